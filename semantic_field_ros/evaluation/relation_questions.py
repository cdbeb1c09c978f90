"""Questions about space with their right answers, from the built-in world's ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.clicks import views_by_object
from semantic_field_ros.evaluation.ground_truth import FrameTruth, TrueThing
from semantic_field_ros.evaluation.true_relations import Solid, truly
from semantic_field_ros.queries.base import RELATIONS, Relation, TextQuery

PER_SCENE = 20


@dataclass(frozen=True)
class RelationQuestion:
    """Which of the things that `text` names stand in a relation to the anchor?

    Attributes:
        text: a category ("mug") or a phrase ("red mug").
        relation: one of RELATIONS.
        anchor: phrase of the other thing.
        anchor_id: its instance.
        named: every instance that `text` names and some view shows.
        right: those of them for which it is true; none = the answer is *not found*.
        world_from_camera: (4, 4) pose of a view that shows thing and anchor.
    """

    text: str
    relation: str
    anchor: str
    anchor_id: int
    named: tuple[int, ...]
    right: tuple[int, ...]
    world_from_camera: NDArray[np.float64]

    def query(self) -> TextQuery:
        """It as it is asked."""
        relation = Relation(self.relation, self.anchor)
        pose = self.world_from_camera
        return TextQuery(self.text, relations=(relation,), reference_pose=pose)


@dataclass(frozen=True)
class Scene:
    """What is known of a world.

    Attributes:
        things: whatever can be asked for, by instance id.
        solids: their exact shapes.
        views: the truth of keyframes, by stamp.
    """

    things: Mapping[int, TrueThing]
    solids: Mapping[int, Solid]
    views: Mapping[int, FrameTruth]


def relation_questions(
    scene: Scene, rng: np.random.Generator, count: int
) -> list[RelationQuestion]:
    """At most `count` questions, taking turns among relations, and true ones with false ones."""
    piles = [
        _asked_of(scene, relation, is_true, rng)
        for relation in RELATIONS
        for is_true in (True, False)
    ]
    chosen: list[RelationQuestion] = []
    asked: set[tuple[str, str, str]] = set()
    while piles and len(chosen) < count:
        for pile in list(piles):
            question = next(pile, None)
            if question is None:
                piles.remove(pile)
                continue
            key = (question.text, question.relation, question.anchor)
            if key not in asked and len(chosen) < count:
                asked.add(key)
                chosen.append(question)
    return chosen


def _asked_of(
    scene: Scene, relation: str, is_true: bool, rng: np.random.Generator
) -> Iterator[RelationQuestion]:
    """Unambiguous questions of one relation, in random order, lazily, for most pairs are not."""
    seen = views_by_object(scene.views)
    ids = sorted(set(seen) & set(scene.things))
    pairs = [(a, b) for a in ids for b in ids if a != b and set(seen[a]) & set(seen[b])]
    if not is_true and relation != "near":
        pairs = _nearer_half(scene, pairs)
    for position in rng.permutation(len(pairs)):
        thing, anchor = pairs[position]
        shared = sorted(set(seen[thing]) & set(seen[anchor]))
        pose = scene.views[shared[int(rng.integers(len(shared)))]].world_from_camera
        text = str(rng.choice([scene.things[thing].phrase, scene.things[thing].category]))
        if truly(relation, scene.solids[thing], scene.solids[anchor], pose) is not is_true:
            continue
        named = [i for i in ids if i != anchor and _names(text, scene.things[i])]
        verdicts = [truly(relation, scene.solids[i], scene.solids[anchor], pose) for i in named]
        if None in verdicts or any(verdicts) != is_true:
            continue
        right = tuple(i for i, holds in zip(named, verdicts, strict=True) if holds)
        phrase = scene.things[anchor].phrase
        yield RelationQuestion(text, relation, phrase, anchor, tuple(named), right, pose)


def _nearer_half(scene: Scene, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """That something across the room is not on the shelf would be too easy to tell."""
    middle = {i: solid.points.mean(axis=0) for i, solid in scene.solids.items()}
    apart_m = np.array([np.linalg.norm(middle[a] - middle[b]) for a, b in pairs])
    return [pairs[i] for i in np.flatnonzero(apart_m <= np.median(apart_m))] if pairs else []


def _names(text: str, thing: TrueThing) -> bool:
    return text in (thing.phrase, thing.category)


def summary(relations: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """Share of right answers of each relation that was asked about."""
    return {
        relation: float(
            np.mean([r for name, r in zip(relations, right, strict=True) if name == relation])
        )
        for relation in RELATIONS
        if relation in relations
    }
