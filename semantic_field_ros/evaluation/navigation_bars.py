"""Relations, keep-out zones and goals against the built-in world's exact meshes.

`true_masks` bars give the geometry alone the masks of the ground truth: what the keyframes saw of
each thing, without sensor noise. `asked` maps every world with the bundled models and asks for
everything by its name, so that what these models do not recognise counts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.clicks import views_by_object
from semantic_field_ros.evaluation.ground_truth import (
    WorldTruth,
    sample_surface,
    spacing_for,
)
from semantic_field_ros.evaluation.metrics import TrueSurface, lies_on, mean
from semantic_field_ros.evaluation.relation_questions import (
    PER_SCENE,
    RelationQuestion,
    Scene,
    relation_questions,
    summary,
)
from semantic_field_ros.evaluation.streaming import stream_into, wait_until
from semantic_field_ros.evaluation.true_relations import Solid, sampled
from semantic_field_ros.export.ground import GroundGrid
from semantic_field_ros.export.keepout import KeepOutMask, KeepOutZone, keep_out_mask
from semantic_field_ros.geometry import look_at
from semantic_field_ros.queries.base import Relation, TextQuery
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.queries.relations import keep_related
from semantic_field_ros.stream.base import stamp_of
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.stream.synthetic.mesh import merge
from semantic_field_ros.types import Mask3D, PinholeCamera, QueryAnswer, SurfaceCloud

#: kind and seed of worlds that no model and no tuning saw.
WORLDS = (("table", 951), ("table", 952), ("table", 953), ("room", 954), ("room", 955))
#: every how many-th frame stands for the keyframes where there is no map.
EVERY = 4
#: mapping time of each world, seconds.
MAPPING_S = 90.0
#: radius of the keep-out zones, metres; the grid's resolution is that of the configuration.
RADIUS_M, RESOLUTION_M = 0.3, 0.05
#: a footprint is compared in cells of this edge, metres.
FOOTPRINT_M = 0.01
#: heights at which a robot must not touch anything, metres, and what it cannot run into.
BODY_M, OVERHEAD = np.linspace(0.06, 1.2, 24), ("floor", "ceiling")
#: what a goal must see of its thing, in pixels of this camera.
EYE, LEAST_PIXELS = PinholeCamera(96, 72, 80.0, 80.0, 47.5, 35.5), 4

Tree = dict[str, Any]
Worlds = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class TrueMasks:
    """What some views of a world show of its things, without noise.

    Attributes:
        source: the world.
        scene: what can be asked about it.
        true_surface: all that the views saw.
        masks: of each thing that they show well enough, by instance id.
    """

    source: SyntheticSource
    scene: Scene
    true_surface: TrueSurface
    masks: dict[int, Mask3D]

    @cached_property
    def obstacles(self) -> Solid:
        """Everything that a robot can run into."""
        world = self.source.world
        meshes = [world.meshes[o.id] for o in world.objects if o.category not in OVERHEAD]
        return Solid(merge(*meshes), 0)


def true_masks(source: SyntheticSource, stamps: Sequence[int]) -> TrueMasks:
    """The ground truth of the frames with these stamps."""
    truth = WorldTruth(source)
    views = {stamp_ns: truth.at(stamp_ns) for stamp_ns in stamps}
    seen = sorted(set(views_by_object(views)) & set(truth.things))
    solids = {i: Solid(source.world.meshes[i], i) for i in seen}
    spacing_m = spacing_for(views.values())
    surface = sample_surface(views.values(), spacing_m)
    cloud = SurfaceCloud(
        surface.points,
        np.zeros_like(surface.points),
        np.zeros(surface.points.shape, np.uint8),
        np.full(len(surface.points), spacing_m, np.float32),
    )
    masks = {}
    for i in seen:
        members = np.flatnonzero(surface.owner == i)
        ones = np.ones(len(members), np.float32)
        masks[i] = make_mask(cloud, members, ones, str(i), 1.0)
    return TrueMasks(source, Scene(truth.things, solids, views), surface, masks)


def relations_of_true_masks(worlds: Worlds = WORLDS) -> Tree:
    """Share of questions about space that the geometry of relations answers right by itself."""
    asked: list[RelationQuestion] = []
    right: list[bool] = []
    for kind, seed in worlds:
        known = _known(kind, seed)
        rng = np.random.default_rng(seed)
        for question in relation_questions(known.scene, rng, PER_SCENE):
            asked.append(question)
            right.append(_related(known, question) == set(question.right))
    return _relation_figures(asked, right)


def _related(known: TrueMasks, question: RelationQuestion) -> set[int]:
    """Which of the things that a question names stand in its relation, by their masks."""
    kept = keep_related(
        [known.masks[i] for i in question.named],
        [known.masks[question.anchor_id]],
        Relation(question.relation, question.anchor),
        question.world_from_camera,
    )
    return {int(mask.label) for mask in kept}


def _relation_figures(asked: Sequence[RelationQuestion], right: Sequence[bool]) -> Tree:
    return {
        "questions": len(asked),
        "right_share": mean(right),
        "right_by_relation": summary([question.relation for question in asked], right),
    }


def keepout_of_true_masks(worlds: Worlds = WORLDS[3:]) -> Tree:
    """Share of each thing's footprint that its zone covers, from what was seen of the thing."""
    coverages: dict[float, list[float]] = {0.0: [], RADIUS_M: []}
    for kind, seed in worlds:
        known = _known(kind, seed)
        ground = GroundGrid.around(known.true_surface.points, RESOLUTION_M)
        for i, mask in known.masks.items():
            for radius_m, shares in coverages.items():
                zone = KeepOutZone(mask.label, mask.points, radius_m)
                made = keep_out_mask(ground, [zone])
                shares.append(coverage(made, footprint(known.source, i)))
    bare, wide = coverages[0.0], coverages[RADIUS_M]
    return {
        "things": len(wide),
        "mean_coverage": mean(wide),
        "covered_share": mean([share >= 0.95 for share in wide]),
        "without_radius": {
            "mean_coverage": mean(bare),
            "covered_share": mean([share >= 0.95 for share in bare]),
        },
    }


def footprint(source: SyntheticSource, instance: int) -> NDArray[np.float64]:
    """(N, 2) x, y of the centimetre cells that a thing's exact mesh is above."""
    points = sampled(source.world.meshes[instance], 40_000, np.random.default_rng(instance))
    cells = np.unique(np.floor(points[:, :2] / FOOTPRINT_M), axis=0)
    middles: NDArray[np.float64] = (cells + 0.5) * FOOTPRINT_M
    return middles


def coverage(mask: KeepOutMask, places: NDArray[np.float64]) -> float:
    """Share of (N, 2) places that are forbidden."""
    cells = mask.grid.cells(places)
    inside = mask.grid.inside(cells)
    forbidden = mask.cells[cells[inside, 0], cells[inside, 1]] > 0
    return float(forbidden.sum() / len(places))


def _known(kind: str, seed: int) -> TrueMasks:
    source = SyntheticSource(kind, seed)  # type: ignore[arg-type]
    stamps = [stamp_of(index, source.rate_hz) for index in range(0, source.length, EVERY)]
    return true_masks(source, stamps)


def asked(worlds: Worlds = WORLDS, seconds: float = MAPPING_S) -> Tree:
    """Maps worlds with the bundled models and asks about space, zones and goals."""
    totals = _Totals([], [], [], [], [], [])
    for kind, seed in worlds:
        source = SyntheticSource(kind, seed)  # type: ignore[arg-type]
        with SemanticField() as field:
            run = stream_into(field, list(source), 0)
            wait_until(run, seconds)
            field.pause()
            known = true_masks(source, [frame.stamp_ns for frame in run.kept])
            rng = np.random.default_rng(seed)
            for question in relation_questions(known.scene, rng, PER_SCENE):
                totals.questions.append(question)
                totals.right.append(_answered(field.query_text(question.query()), question, known))
            if kind == "room":
                _ask_for_things(field, known, totals)
    return totals.tree()


@dataclass(frozen=True)
class _Totals:
    """What `asked` gathers over all worlds."""

    questions: list[RelationQuestion]
    right: list[bool]
    found: list[bool]
    coverage: list[float]
    goals_found: list[bool]
    goals_good: list[tuple[bool, bool]]

    def tree(self) -> Tree:
        """The figures."""
        return {
            "relations": _relation_figures(self.questions, self.right),
            "keepout": {
                "things": len(self.found),
                "found_share": mean(self.found),
                "mean_coverage": mean(self.coverage),
                "covered_share": mean([share >= 0.95 for share in self.coverage]),
            },
            "goals": {
                "found_share": mean(self.goals_found),
                "goals": len(self.goals_good),
                "stands_free_share": mean([free for free, _ in self.goals_good]),
                "sees_it_share": mean([sees for _, sees in self.goals_good]),
            },
        }


def _answered(answer: QueryAnswer, question: RelationQuestion, known: TrueMasks) -> bool:
    """Whether the best mask lies on a right thing, or nothing was found where nothing is right."""
    if not question.right or not answer.found:
        return not question.right and not answer.found
    return _on_thing(answer, question.right, known.true_surface)


def _on_thing(answer: QueryAnswer, ids: tuple[int, ...], surface: TrueSurface) -> bool:
    best = answer.masks[0]
    return lies_on(best.points[int(best.point_scores.argmax())], ids, surface)


def _ask_for_things(field: SemanticField, known: TrueMasks, totals: _Totals) -> None:
    """Zones and goals for each thing by its phrase; judged where the answer is the thing."""
    for i in known.masks:
        answer = field.query_text(TextQuery(known.scene.things[i].phrase))
        found = answer.found and _on_thing(answer, (i,), known.true_surface)
        totals.found.append(found)
        if not found:
            continue
        best = answer.masks[0]
        mask = field.navigation.keep_out([KeepOutZone(best.label, best.points, RADIUS_M)])
        totals.coverage.append(coverage(mask, footprint(known.source, i)))
        goals = field.navigation.goals(best).goals
        totals.goals_found.append(bool(goals))
        radius_m = field.config.navigation.robot_radius_m
        totals.goals_good.extend(
            _judged(known, i, goal.world_from_base, radius_m) for goal in goals
        )


def _judged(
    known: TrueMasks, instance: int, world_from_base: NDArray[np.float64], radius_m: float
) -> tuple[bool, bool]:
    """Whether a robot really stands free at a goal, and really sees the thing from there."""
    world, place = known.source.world, world_from_base[:3, 3]
    body = np.column_stack([np.tile(place[:2], (len(BODY_M), 1)), place[2] + BODY_M])
    free = bool((known.obstacles.distance_m(body) >= radius_m).all())
    vertices = world.meshes[instance].vertices
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    heights_m = [view.world_from_camera[2, 3] for view in known.scene.views.values()]
    eye = np.array([place[0], place[1], np.median(heights_m)])
    view = world.render(EYE, look_at(eye, middle))
    return free, int((view.instance == instance).sum()) >= LEAST_PIXELS
