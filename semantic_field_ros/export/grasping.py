"""From a question about an object to its model and its grasps, on one snapshot."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from semantic_field_ros.export.grasps import plan_grasps
from semantic_field_ros.export.gripper import Grasp, GraspWishes, Gripper
from semantic_field_ros.export.object_model import ObjectModel, model_object
from semantic_field_ros.geometry import quaternion_from_matrix
from semantic_field_ros.queries.answering import Answering
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Mask3D


@dataclass(frozen=True)
class GraspQuery:
    """How can a gripper take it?

    Attributes:
        of: what it is: a question whose best answer is taken, or an answer's mask, which must be
            of the newest map.
        gripper: its dimensions.
        wishes: what a grasp should be like.
    """

    of: TextQuery | ClickQuery | Mask3D
    gripper: Gripper = field(default_factory=Gripper)
    wishes: GraspWishes = field(default_factory=GraspWishes)


@dataclass(frozen=True)
class GraspPlan:
    """An object and how to take it; `found=False` always comes with a reason.

    Attributes:
        found: whether there is a grasp.
        reason: why not.
        mask: the object, None if the question has no answer.
        model: of the object, None where the mask shows none.
        grasps: best first.
        latency_s: from question to answer.
        map_version: of the map that was asked.
        stamp_ns: of the newest keyframe in it.
    """

    found: bool
    reason: str
    mask: Mask3D | None
    model: ObjectModel | None
    grasps: list[Grasp]
    latency_s: float
    map_version: int
    stamp_ns: int


def answer_grasps(snapshot: Snapshot | None, answering: Answering, query: GraspQuery) -> GraspPlan:
    """The plan for a query on a snapshot; see `SemanticField.grasps`."""
    started_s = time.monotonic()
    version, stamp_ns = (snapshot.map_version, snapshot.stamp_ns) if snapshot else (0, 0)
    plan = GraspPlan(False, "", None, None, [], 0.0, version, stamp_ns)
    mask, reason = _asked(snapshot, answering, query.of)
    if snapshot is None or mask is None:
        return replace(plan, reason=reason, latency_s=time.monotonic() - started_s)
    plan = replace(plan, mask=mask)
    if mask.map_version != version:
        raise ValueError(f"the mask must be of map version {version}, got {mask.map_version}")
    try:
        model = model_object(snapshot.surface, mask)
    except ValueError as error:
        return replace(plan, reason=str(error), latency_s=time.monotonic() - started_s)
    grasps, reason = plan_grasps(model, snapshot.surface, query.gripper, query.wishes)
    took_s = time.monotonic() - started_s
    return replace(
        plan, found=bool(grasps), reason=reason, model=model, grasps=grasps, latency_s=took_s
    )


def _asked(
    snapshot: Snapshot | None, answering: Answering, of: TextQuery | ClickQuery | Mask3D
) -> tuple[Mask3D | None, str]:
    """The mask that is meant, or why there is none."""
    if isinstance(of, Mask3D):
        return of, "there is no map yet"
    if isinstance(of, TextQuery):
        answer = answering.text(snapshot, replace(of, refine=False))
    else:
        answer = answering.click(snapshot, replace(of, refine=False))
    return (answer.masks[0] if answer.found else None), answer.reason


def plan_tree(plan: GraspPlan) -> dict[str, Any]:
    """A plan for programs, without cloud and mesh; metres, in the map frame."""
    tree: dict[str, Any] = {
        "found": plan.found,
        "reason": plan.reason,
        "latency_s": plan.latency_s,
        "map_version": plan.map_version,
        "stamp_ns": plan.stamp_ns,
        "grasps": [
            {
                "position_m": grasp.world_from_grasp[:3, 3].tolist(),
                "quaternion_xyzw": quaternion_from_matrix(grasp.world_from_grasp).tolist(),
                "width_m": grasp.width_m,
                "opening_m": grasp.opening_m,
                "score": grasp.score,
            }
            for grasp in plan.grasps
        ],
    }
    if plan.model is not None:
        support, box = plan.model.support, plan.model.box
        tree["object"] = {
            "centre_m": box.centre.tolist(),
            "size_m": box.size.tolist(),
            "quaternion_xyzw": box.quaternion.tolist(),
            "seen": float(plan.model.seen.mean()),
            "support": [*support.normal.tolist(), support.offset_m],
            "support_seen": support.seen,
        }
    return tree
