"""What is asked of a scene whose ground truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semantic_field_ros.evaluation.clicks import Click, choose_clicks, views_by_object
from semantic_field_ros.evaluation.ground_truth import FrameTruth, GroundTruth, WorldTruth
from semantic_field_ros.evaluation.phrases import Vocabulary, absent_phrases, present_phrases
from semantic_field_ros.stream.synthetic import CATEGORIES, COLOURS


@dataclass(frozen=True)
class Questions:
    """Queries with what would be right.

    Attributes:
        present: phrases with the ids of all that they describe.
        absent: phrases of what is not there, hard ones first.
        clicks: one per object that is seen well enough.
    """

    present: dict[str, tuple[int, ...]]
    absent: tuple[str, ...]
    clicks: tuple[Click, ...]

    def only(self, kinds: Sequence[str]) -> Questions:
        """Those of the given kinds, of "click" and "text"."""
        return Questions(
            self.present if "text" in kinds else {},
            self.absent if "text" in kinds else (),
            self.clicks if "click" in kinds else (),
        )


def choose_questions(truth: GroundTruth, views: Mapping[int, FrameTruth], seed: int) -> Questions:
    """Everything that can be asked.

    Args:
        truth: of the source.
        views: truth of the views that may be clicked in, by stamp.
        seed: of the absent phrases and of which view is clicked.
    """
    rng = np.random.default_rng(seed)
    present = present_phrases(truth.things, views_by_object(views))
    objects = {i: thing for i, thing in truth.things.items() if not thing.is_stuff}
    clicks = choose_clicks(views, objects, rng)
    absent: list[str] = []
    if truth.lists_everything:
        absent = absent_phrases(truth.things.values(), vocabulary_of(truth), rng)
    return Questions(present, tuple(absent), tuple(clicks))


def vocabulary_of(truth: GroundTruth | None) -> Vocabulary:
    """The built-in world's words, without the categories of its nameless scenery."""
    unnamed = truth.unnamed if isinstance(truth, WorldTruth) else frozenset()
    return Vocabulary([c for c in CATEGORIES if c not in unnamed], COLOURS)
