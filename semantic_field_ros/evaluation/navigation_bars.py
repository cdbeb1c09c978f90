"""Relations, keep-out zones and goals against the built-in world's exact meshes.

The bars of true masks give the geometry alone what the views saw of each thing, without noise.
`asked_of_maps` maps every world with the bundled models and asks for everything by its name, so
that what these models do not recognise counts too.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.metrics import TrueSurface, lies_on, mean
from semantic_field_ros.evaluation.relation_questions import (
    PER_SCENE,
    RelationQuestion,
    relation_questions,
    summary,
)
from semantic_field_ros.evaluation.streaming import check_alive, stream_into
from semantic_field_ros.evaluation.true_masks import (
    TrueMasks,
    footprint,
    true_masks,
    world_masks,
)
from semantic_field_ros.export.ground import GroundGrid
from semantic_field_ros.export.keepout import KeepOutMask, KeepOutZone, keep_out_mask
from semantic_field_ros.geometry import look_at
from semantic_field_ros.queries.base import Relation, TextQuery
from semantic_field_ros.queries.relations import keep_related
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera, QueryAnswer

#: kind and seed of worlds that no model and no tuning saw.
WORLDS = (("table", 951), ("table", 952), ("table", 953), ("room", 954), ("room", 955))
#: training steps on each map that is asked.
STEPS = 1500
#: radius of the keep-out zones, metres; the grid's resolution is that of the configuration.
RADIUS_M, RESOLUTION_M = 0.3, 0.05
#: heights at which a robot must not touch anything, metres.
BODY_M = np.linspace(0.06, 1.2, 24)
#: what a goal must see of its thing, in pixels of this camera.
EYE, LEAST_PIXELS = PinholeCamera(96, 72, 80.0, 80.0, 47.5, 35.5), 4

Tree = dict[str, Any]
Worlds = Sequence[tuple[str, int]]


def relations_of_true_masks(worlds: Worlds = WORLDS) -> Tree:
    """Share of questions about space that the geometry of relations answers right by itself."""
    asked: list[RelationQuestion] = []
    right: list[bool] = []
    for kind, seed in worlds:
        known = world_masks(kind, seed)
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
        known = world_masks(kind, seed)
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


def coverage(mask: KeepOutMask, places: NDArray[np.float64]) -> float:
    """Share of (N, 2) places that are forbidden."""
    cells = mask.grid.cells(places)
    inside = mask.grid.inside(cells)
    forbidden = mask.cells[cells[inside, 0], cells[inside, 1]] > 0
    return float(forbidden.sum() / len(places))


def asked_of_maps(worlds: Worlds = WORLDS, steps: int = STEPS) -> Tree:
    """Maps worlds with the bundled models and asks about space, zones and goals."""
    totals = Totals()
    for kind, seed in worlds:
        source = SyntheticSource(kind, seed)  # type: ignore[arg-type]
        with SemanticField() as field:
            run = stream_into(field, list(source), Holdout())
            while _unfinished(field.status(), steps):
                time.sleep(0.5)
            field.pause(features=True)
            ask_map(field, true_masks(source, [frame.stamp_ns for frame in run.kept]), totals)
    return totals.tree()


def _unfinished(status: dict[str, Any], steps: int) -> bool:
    check_alive(status)
    return bool(status["steps"] < steps or status["feature_backlog"])


def ask_map(field: SemanticField, known: TrueMasks, totals: Totals) -> None:
    """Everything that is asked of one map; zones and goals in rooms alone."""
    world = known.source.world
    for question in relation_questions(known.scene, np.random.default_rng(world.seed), PER_SCENE):
        answer = field.query_text(question.query())
        totals.questions.append(question)
        totals.right.append(_answered(answer, question, known))
        named = field.query_text(TextQuery(question.text)), question.named
        anchor = field.query_text(TextQuery(question.anchor)), (question.anchor_id,)
        known_words = (_names(*named, known), _names(*anchor, known))
        totals.words_known.append(all(known_words))
    if world.kind == "room":
        _ask_for_things(field, known, totals)


@dataclass(frozen=True)
class Totals:
    """What is gathered over all worlds.

    Attributes:
        questions, right: about space, and whether they were answered right.
        words_known: whether both phrases of a question, without the relation, were answered right.
        found: of the things in rooms, whether the answer is that thing.
        coverage: of what was found, the share of its footprint that is kept out of.
        goals_found: of what was found, whether there was any goal.
        goals_good: of all goals, whether a robot stands free there and sees the thing.
    """

    questions: list[RelationQuestion] = dataclasses.field(default_factory=list)
    right: list[bool] = dataclasses.field(default_factory=list)
    words_known: list[bool] = dataclasses.field(default_factory=list)
    found: list[bool] = dataclasses.field(default_factory=list)
    coverage: list[float] = dataclasses.field(default_factory=list)
    goals_found: list[bool] = dataclasses.field(default_factory=list)
    goals_good: list[tuple[bool, bool]] = dataclasses.field(default_factory=list)

    def tree(self) -> Tree:
        """The figures."""
        both = zip(self.right, self.words_known, strict=True)
        return {
            "relations": {
                **_relation_figures(self.questions, self.right),
                "words_known_share": mean(self.words_known),
                "right_where_words_are_known": mean([right for right, known in both if known]),
            },
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
    return _names(answer, question.right, known)


def _names(answer: QueryAnswer, ids: tuple[int, ...], known: TrueMasks) -> bool:
    """Whether the best answer to a phrase is something that it means."""
    return answer.found and _on_thing(answer, ids, known.true_surface)


def _on_thing(answer: QueryAnswer, ids: tuple[int, ...], surface: TrueSurface) -> bool:
    best = answer.masks[0]
    return lies_on(best.points[int(best.point_scores.argmax())], ids, surface)


def _ask_for_things(field: SemanticField, known: TrueMasks, totals: Totals) -> None:
    """Zones and goals for each thing by its phrase; judged where the answer is the thing."""
    for i in known.masks:
        answer = field.query_text(TextQuery(known.scene.things[i].phrase))
        found = _names(answer, (i,), known)
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
