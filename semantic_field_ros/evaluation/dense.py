"""How every place of a map is named and how relevant it is, compared with the ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.asking import Bench
from semantic_field_ros.evaluation.clicks import interior_pixel
from semantic_field_ros.evaluation.ground_truth import FrameTruth, GroundTruth
from semantic_field_ros.evaluation.metrics import (
    REACH_M,
    ClassCounts,
    ClassFigures,
    mean,
    relevancy_distance,
    relevancy_recalled,
)
from semantic_field_ros.evaluation.panoptic import (
    CountedSurface,
    PanopticFigures,
    panoptic_figures,
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
    """The classes of a source; there is no background where its own are a closed list.

    Args:
        truth: names its objects and its scenery.
        generic: words of the language model's calibration that mean nothing in particular.
    """
    objects = sorted({thing.phrase for thing in truth.things.values()})
    if truth.names_every_place:
        return ClassList(tuple(objects), ())
    background = dict.fromkeys([*truth.scenery, *generic])
    return ClassList(tuple(objects), tuple(word for word in background if word not in objects))


def judge_classes(bench: Bench, classes: ClassList) -> ClassFigures | None:
    """mIoU and mAcc on the true surface; what the map lacks, or has no name for, is wrong.

    None where no place's class is known.
    """
    named = _named(bench, classes)
    counts = ClassCounts(len(classes.objects) + 1)
    true = _true_classes(bench, classes, bench.true_surface.owner)
    counts.add(named[bench.link.nearest], true)
    return counts.figures()


def judge_view_classes(bench: Bench, classes: ClassList) -> ClassFigures | None:
    """mIoU and mAcc of class maps, over the pixels of all labelled held-out views together.

    A pixel that shows nothing of the map is wrong; None as for `judge_classes`.
    """
    named = _named(bench, classes)
    counts = ClassCounts(len(classes.objects) + 1)
    for view, shown in _shown_in_views(bench):
        counts.add(named[shown], _true_classes(bench, classes, view.instance))
    return counts.figures()


def _named(bench: Bench, classes: ClassList) -> NDArray[np.int64]:
    """(N + 1,) classes of the map's surface, one for all backgrounds; then -1 for nothing near."""
    named = bench.field.classify(classes.phrases).class_of_point
    return np.append(np.minimum(named, len(classes.objects)), -1)


def _true_classes(bench: Bench, classes: ClassList, ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Classes of things; what no label names is background if all is labelled, else -1."""
    elsewhere = len(classes.objects) if bench.truth.lists_everything else -1
    true = np.full(ids.shape, elsewhere, np.int64)
    for thing in bench.truth.things.values():
        true[ids == thing.id] = classes.objects.index(thing.phrase)
    return true


def _shown_in_views(bench: Bench) -> Iterator[tuple[FrameTruth, NDArray[np.int64]]]:
    """Truth of each labelled held-out view, and (H, W) surface points that it shows, else N."""
    for frame in bench.run.held_out:
        if bench.truth.knows(frame):
            depth_m = bench.field.render(frame.camera, frame.world_from_camera, "depth")
            shown = points_in_view(frame, depth_m, bench.surface, REACH_M)
            yield bench.truth.of(frame), shown


def judge_relevancy(bench: Bench) -> RelevancyFigures:
    """Recall, D_relevancy and localisation over held-out views, a case per view and phrase."""
    relevancies = {
        phrase: np.append(bench.field.relevancy(phrase), np.float32(0))
        for phrase in bench.questions.present
    }
    recalled, distances, localised = [], [], []
    for view, shown in _shown_in_views(bench):
        for phrase, ids in bench.questions.present.items():
            inside = view.mask(ids)
            if inside.any():
                relevancy = relevancies[phrase][shown]
                recalled.append(relevancy_recalled(relevancy, inside))
                distances.append(relevancy_distance(relevancy, inside))
                localised.append(
                    most_relevant_lies_inside(relevancy.reshape(inside.shape), inside)
                )
    return RelevancyFigures(mean(recalled), mean(distances), len(recalled), mean(localised))


def most_relevant_lies_inside(relevancy: NDArray[np.float32], inside: NDArray[np.bool_]) -> bool:
    """Whether the most relevant pixel of a view is one of an (H, W) mask of what is meant.

    Of equally relevant ones the innermost is taken: where whole regions have one score, the first
    pixel of a region would always be on its edge.
    """
    highest = relevancy.max()
    u, v = interior_pixel(relevancy == highest)
    return bool(highest > 0 and inside[v, u])


def judge_instances(bench: Bench) -> PanopticFigures | None:
    """Panoptic quality of everything that the map tells apart, on the true surface.

    Objects that no keyframe shows well enough to be clicked are unknown, and so is what has no
    label where not everything need have one.
    """
    objects = {click.id for click in bench.questions.clicks}
    truth = bench.true_surface
    unseen = {thing.id for thing in bench.truth.things.values() if not thing.is_stuff} - objects
    unknown = np.isin(truth.owner, list(unseen))
    if not bench.truth.lists_everything:
        unknown |= ~np.isin(truth.owner, list(bench.truth.things))
    area = (bench.surface.spacing_m / truth.spacing_m) ** 2
    segments = [mask.indices for mask in bench.field.instances(()).masks]
    counted = CountedSurface(truth, objects, unknown, bench.link, area)
    return panoptic_figures(segments, counted)
