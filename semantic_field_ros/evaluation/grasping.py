"""Grasps planned on maps of the built-in world, checked against its exact meshes.

Every object of a table is asked for by a click and by its phrase; the best grasp of each answer is
carried out on the exact meshes of the object that the answer shows. Questions for objects that no
grasp of a dense sampling on the exact meshes could hold are left out and counted; a question that
has no answer is a miss like any other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.clicks import Click, choose_clicks
from semantic_field_ros.evaluation.grasp_check import ExactScene, Verdict
from semantic_field_ros.evaluation.ground_truth import WorldTruth
from semantic_field_ros.evaluation.metrics import mean
from semantic_field_ros.evaluation.streaming import Run, check_alive, recorded, stream_into
from semantic_field_ros.export.grasping import GraspPlan, GraspQuery
from semantic_field_ros.export.gripper import Grasp, Gripper
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.synthetic import SyntheticSource, World
from semantic_field_ros.stream.synthetic.mesh import Mesh
from semantic_field_ros.types import Mask3D, PosedFrame

Float = NDArray[np.float64]

#: test tables, and the training steps that each is mapped for: about 90 s on two idle cores.
GRASP_TABLES, STEPS = (961, 962, 963), 700
#: how densely exact meshes are sampled: points, turns of the approach, depths of the fingertips
#: beyond the contacts, and room beside the object.
POINTS, TURNS, DEPTHS_M, ROOMS_M = 150, 12, (0.008, 0.025), (0.012, 0.04)
#: nothing is taken from below: upward part of the steepest approach.
HIGHEST_APPROACH = 0.3
#: an answer shows the object on whose mesh most of its points lie, this near, metres.
ON_MESH_M = 0.02


@dataclass(frozen=True)
class Trial:
    """One question and what became of its best grasp.

    Attributes:
        kind: "click" or "text".
        phrase: of the object that was asked for.
        shown: id of the object that the answer shows; None if nothing was found, or no object.
        right: whether that is the object that was asked for.
        holdable: whether any grasp could hold the object that was asked for.
        verdict: on the best grasp; None if none was offered.
        latency_s: of the plan.
    """

    kind: str
    phrase: str
    shown: int | None
    right: bool
    holdable: bool
    verdict: Verdict | None
    latency_s: float


def measure_grasps(seeds: Sequence[int] = GRASP_TABLES) -> dict[str, Any]:
    """Figures over some tables, each mapped for `STEPS` with the bundled models."""
    trials: list[Trial] = []
    for seed in seeds:
        source = SyntheticSource("table", seed)
        with SemanticField() as field:
            run = stream_into(field, recorded(source), Holdout())
            _train(field, STEPS)
            field.pause(features=True)
            trials += run_trials(field, source, run)
    return figures(trials)


def _train(field: SemanticField, steps: int) -> None:
    """Waits for the steps, and until every keyframe has its features."""
    while True:
        status = field.status()
        check_alive(status)
        if status["steps"] >= steps and status["feature_backlog"] == 0:
            return
        time.sleep(0.2)


def run_trials(
    field: SemanticField, source: SyntheticSource, run: Run, gripper: Gripper | None = None
) -> list[Trial]:
    """Asks a map for every object of its table, twice."""
    bench = GraspBench(source.world, gripper or Gripper())
    truth = WorldTruth(source)
    trials = []
    for click in chosen_clicks(truth, run.kept):
        phrase = truth.things[click.id].phrase
        pixels = np.array([click.pixel], np.float32)
        pointed = ClickQuery(pixels=pixels, stamp_ns=click.stamp_ns)
        for kind, query in (("click", pointed), ("text", TextQuery(phrase))):
            plan = field.grasps(GraspQuery(query, bench.gripper))
            trials.append(bench.judged(kind, phrase, click.id, plan))
    return trials


def chosen_clicks(truth: WorldTruth, kept: Iterable[PosedFrame]) -> list[Click]:
    """One click per object that some keyframe shows well enough."""
    views = {frame.stamp_ns: truth.of(frame) for frame in kept}
    return choose_clicks(views, truth.things, np.random.default_rng(0))


def figures(trials: Sequence[Trial]) -> dict[str, Any]:
    """What was asked, answered, offered and held, for clicks, phrases and both.

    Shares are of the questions for objects that can be held; `top1_closes` is of the grasps that
    were offered for these.
    """
    kinds = {"click": ("click",), "text": ("text",), "all": ("click", "text")}
    return {
        name: _figures([trial for trial in trials if trial.kind in chosen])
        for name, chosen in kinds.items()
    }


def _figures(trials: Sequence[Trial]) -> dict[str, Any]:
    answered = [trial for trial in trials if trial.shown is not None]
    fair = [trial for trial in trials if trial.holdable]
    tops = [trial.verdict for trial in fair if trial.verdict is not None]
    closing = [verdict for verdict in tops if verdict.closes]
    held = [trial.right and trial.verdict is not None and trial.verdict.closes for trial in fair]
    reasons = [verdict.reason for verdict in tops if not verdict.closes]
    return {
        "asked": len(trials),
        "answered": len(answered),
        "unholdable": len(trials) - len(fair),
        "offered_share": mean([trial.verdict is not None for trial in fair]),
        "top1_closes": mean([verdict.closes for verdict in tops]),
        "closes_share": mean(held),
        "cosine": mean([verdict.cosine for verdict in closing]),
        "push_m": mean([verdict.push_m for verdict in closing]),
        "latency_s": mean([trial.latency_s for trial in answered]),
        "failures": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    }


class GraspBench:
    """A world's exact meshes and a gripper."""

    def __init__(self, world: World, gripper: Gripper) -> None:
        self.gripper = gripper
        self._meshes = {i: _arrays(mesh) for i, mesh in world.meshes.items()}
        self._objects = [o.id for o in world.objects if o.is_object]
        self.scene = ExactScene(self._meshes)
        self._holdable: dict[int, bool] = {}

    def judged(self, kind: str, phrase: str, asked_id: int, plan: GraspPlan) -> Trial:
        """What a plan is worth."""
        shown = None if plan.mask is None else self.shown_by(plan.mask)
        right, verdict = shown == asked_id, None
        if plan.found:
            # Whoever closes on the table because a mask lies there has grasped nothing.
            nothing = Verdict(False, "the answer shows no object")
            best = plan.grasps[0]
            verdict = nothing if shown is None else self.scene.check(best, self.gripper, shown)
        # A dense sampling may miss the one grasp that comes off.
        held = right and verdict is not None and verdict.closes
        holdable = held or self.holdable(asked_id)
        return Trial(kind, phrase, shown, right, holdable, verdict, plan.latency_s)

    def shown_by(self, mask: Mask3D) -> int | None:
        """The object on which most points of a mask lie, None if they lie on none."""
        query = o3d.core.Tensor.from_numpy(np.ascontiguousarray(mask.points, np.float32))
        ids = self._objects
        far_m = [self.scene.surface(i).compute_distance(query).numpy() for i in ids]
        nearest, least_m = np.argmin(far_m, axis=0), np.min(far_m, axis=0)
        count = np.bincount(nearest[least_m < ON_MESH_M], minlength=len(ids))
        return ids[int(count.argmax())] if count.any() else None

    def holdable(self, target: int) -> bool:
        """Whether some grasp of a dense sampling on the exact meshes comes off."""
        if target not in self._holdable:
            mesh, surface = self._meshes[target], self.scene.surface(target)
            dense = dense_grasps(*mesh, surface, self.gripper)
            self._holdable[target] = any(
                self.scene.check(grasp, self.gripper, target).closes for grasp in dense
            )
        return self._holdable[target]


def dense_grasps(
    vertices: Float,
    triangles: NDArray[np.int32],
    surface: o3d.t.geometry.RaycastingScene,
    gripper: Gripper,
) -> Iterable[Grasp]:
    """Many grasps between opposite sides of an exact mesh, level ones from above first."""
    rng = np.random.default_rng(0)
    corners = vertices[triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1)
    chosen = rng.choice(len(area), POINTS, p=area / area.sum())
    weight = rng.dirichlet(np.ones(3), POINTS)
    start = (corners[chosen] * weight[:, :, None]).sum(axis=1)
    closing = normals[chosen] / area[chosen, None]
    level = closing * [1.0, 1.0, 0.0]
    length = np.linalg.norm(level, axis=1)
    start = np.concatenate([start, start[length > 0.1]])
    closing = np.concatenate([closing, (level / length[:, None].clip(1e-9))[length > 0.1]])
    far = np.concatenate([start - gripper.max_opening_m * closing, closing], axis=1)
    back_m = surface.cast_rays(o3d.core.Tensor.from_numpy(far.astype(np.float32)))["t_hit"].numpy()
    width_m = gripper.max_opening_m - back_m
    order = np.argsort(np.abs(closing[:, 2]))
    for turn in sorted(range(TURNS), key=lambda turn: min(turn, TURNS - turn)):
        for i in order[(width_m[order] > 1e-3) & (width_m[order] < gripper.max_opening_m)]:
            middle = start[i] - closing[i] * width_m[i] / 2
            yield from _around(middle, closing[i], float(width_m[i]), turn, gripper)


def _around(
    middle: Float, closing: Float, width_m: float, turn: int, gripper: Gripper
) -> Iterable[Grasp]:
    """Grasps with one closing and approach direction, at several depths and openings."""
    down = np.array([0.0, 0.0, -1.0]) + closing[2] * closing
    if np.linalg.norm(down) < 1e-3:
        down = np.cross(closing, [1.0, 0.0, 0.0])
    down /= np.linalg.norm(down)
    angle = 2 * np.pi * turn / TURNS
    approach = np.cos(angle) * down + np.sin(angle) * np.cross(closing, down)
    if approach[2] > HIGHEST_APPROACH:
        return
    pose = np.eye(4)
    pose[:3, :3] = np.stack([closing, np.cross(approach, closing), approach], axis=1)
    contacts = middle + np.array([[-width_m / 2], [width_m / 2]]) * closing
    for depth_m in DEPTHS_M:
        pose[:3, 3] = middle + depth_m * approach
        for room_m in ROOMS_M:
            opening_m = min(width_m + 2 * room_m, gripper.max_opening_m)
            yield Grasp(pose.copy(), width_m, opening_m, 1.0, contacts)


def _arrays(mesh: Mesh) -> tuple[Float, NDArray[np.int32]]:
    return mesh.vertices.astype(np.float64), mesh.triangles
