"""How every place of a map is named and how relevant it is, compared with the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.asking import Bench
from semantic_field_ros.evaluation.ground_truth import GroundTruth
from semantic_field_ros.evaluation.metrics import (
    REACH_M,
    ClassFigures,
    class_figures,
    mean,
    relevancy_distance,
    relevancy_recalled,
)
from semantic_field_ros.evaluation.report import RelevancyFigures
from semantic_field_ros.evaluation.views import points_in_view


@dataclass(frozen=True)
class ClassList:
    """Phrases that every place of a scene is one of.

    Attributes:
        objects: phrases of what can be asked for, each a class.
        background: words for everything else, together one class, the last.
    """

    objects: tuple[str, ...]
    background: tuple[str, ...]

    @property
    def phrases(self) -> tuple[str, ...]:
        """All of them."""
        return self.objects + self.background


def class_list(truth: GroundTruth, generic: Sequence[str]) -> ClassList:
    """The classes of a source.

    Args:
        truth: names its objects and its scenery.
        generic: words of the language model's calibration that mean nothing in particular.
    """
    objects = sorted({thing.phrase for thing in truth.things.values()})
    background = dict.fromkeys([*truth.scenery, *generic])
    return ClassList(tuple(objects), tuple(word for word in background if word not in objects))


def judge_classes(bench: Bench, classes: ClassList) -> ClassFigures | None:
    """mIoU and mAcc on the true surface; surface that the map lacks is wrong.

    None where the map names no place, or where no place's class is known.
    """
    named = bench.field.classify(classes.phrases).class_of_point
    true = _true_classes(bench, classes)
    if (named < 0).all() or (true < 0).all():
        return None
    merged = np.append(np.minimum(named, len(classes.objects)), -1)  # the last for nothing near
    return class_figures(merged[bench.link.nearest], true, len(classes.objects) + 1)


def _true_classes(bench: Bench, classes: ClassList) -> NDArray[np.int64]:
    """(G,) classes of the true surface; what no label names is background if all is labelled."""
    owner = bench.true_surface.owner
    elsewhere = len(classes.objects) if bench.truth.lists_everything else -1
    true = np.full(len(owner), elsewhere, np.int64)
    for thing in bench.truth.things.values():
        true[owner == thing.id] = classes.objects.index(thing.phrase)
    return true


def judge_relevancy(bench: Bench) -> RelevancyFigures:
    """Recall and D_relevancy over held-out views, a case per view and phrase that it shows."""
    surface, field = bench.surface, bench.field
    relevancies = {
        phrase: np.append(field.relevancy(phrase), np.float32(0))
        for phrase in bench.questions.present
    }
    recalled, distances = [], []
    for frame in bench.run.held_out:
        depth_m = field.render(frame.camera, frame.world_from_camera, "depth")
        shown = points_in_view(frame, depth_m, surface, REACH_M)
        instance = bench.truth.of(frame).instance
        for phrase, ids in bench.questions.present.items():
            inside = np.isin(instance, ids)
            if inside.any():
                recalled.append(relevancy_recalled(relevancies[phrase][shown], inside))
                distances.append(relevancy_distance(relevancies[phrase][shown], inside))
    return RelevancyFigures(mean(recalled), mean(distances), len(recalled))
