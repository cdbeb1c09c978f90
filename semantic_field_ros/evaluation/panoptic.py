"""Panoptic quality of instances on a surface (Kirillov et al. 2019, "Panoptic Segmentation")."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.metrics import MapToTruth, TrueSurface


@dataclass(frozen=True)
class PanopticFigures:
    """PQ = SQ · RQ (eq. 1 of the paper), and what it is made of.

    Attributes:
        quality: PQ = sum of IoUs of the matched / (matched + spurious / 2 + missed / 2).
        segmentation: SQ, the mean IoU of the matched; 0 if nothing is.
        recognition: RQ, the F1 score of finding objects.
        matched: objects that one instance covers with an IoU above a half.
        spurious: instances that belong to an object, or to nothing, and match none.
        missed: objects that no instance matches.
    """

    quality: float
    segmentation: float
    recognition: float
    matched: int
    spurious: int
    missed: int


@dataclass(frozen=True)
class CountedSurface:
    """The true surface as instances are counted on it; areas in voxels of the true surface.

    Attributes:
        truth: its points have an area of 1 each.
        things: ids of the objects that count.
        unknown: (G,) bool, where nobody knows what is there; such area counts nowhere.
        link: of the map's surface and `truth`.
        area: (N,) of each point of the map's surface; counts where it lies beside all truth.
    """

    truth: TrueSurface
    things: Collection[int]
    unknown: NDArray[np.bool_]
    link: MapToTruth
    area: NDArray[np.floating]


def panoptic_figures(
    segments: Sequence[NDArray[np.int64]], surface: CountedSurface
) -> PanopticFigures | None:
    """Compares instances without classes with the objects that are there.

    Where instances overlap, the earlier one has the surface: a segmentation gives every place to
    one. A true point belongs to the instance of the map's surface point nearest to it, if one is
    in reach; what an instance has beside all true surface is in its area too. An instance that
    matches no object is spurious, unless it lies mostly on what is unknown, or more on some
    surface that is no object, such as the table, than on any object.

    Args:
        segments: (M,) indices into the map's surface each, the surest first.
        surface: what is right.

    Returns:
        None if no object counts.
    """
    label = _first_claims(segments, len(surface.area))
    claimed = np.append(label, -1)[surface.link.nearest]
    owner = np.where(surface.unknown, -1, surface.truth.owner)
    beside = np.bincount(
        label[(label >= 0) & surface.link.beside],
        surface.area[(label >= 0) & surface.link.beside],
        minlength=len(segments),
    )
    here = sorted(set(surface.things) & set(owner.tolist()))
    if not here:
        return None
    ious, spurious = [], 0
    for number in range(len(segments)):
        iou = _iou_with_most_covered(owner[claimed == number], float(beside[number]), owner, here)
        if iou is not None and iou > 0.5:
            ious.append(iou)
        elif iou is not None:
            spurious += 1
    missed = len(here) - len(ious)
    recognition = len(ious) / (len(ious) + spurious / 2 + missed / 2)
    segmentation = float(np.mean(ious)) if ious else 0.0
    quality = segmentation * recognition
    return PanopticFigures(quality, segmentation, recognition, len(ious), spurious, missed)


def _first_claims(segments: Sequence[NDArray[np.int64]], points: int) -> NDArray[np.int64]:
    """(points,) number of the first segment that holds each, -1 for none."""
    label = np.full(points, -1, np.int64)
    for number, indices in reversed(list(enumerate(segments))):
        label[indices] = number
    return label


def _iou_with_most_covered(
    covered: NDArray[np.int64], beside: float, owner: NDArray[np.int64], things: Collection[int]
) -> float | None:
    """IoU of an instance with the object that it covers most of; None if it need not match any.

    No other object can match: an IoU above a half takes more than half of the instance, which is
    also why matches are unique (section 4.1 of the paper).

    Args:
        covered: (K,) owners of the true points of the instance, -1 unknown.
        beside: its area beside all true surface.
        owner: (G,) of all true points.
        things: ids of the objects.
    """
    known = covered[covered >= 0]
    area = len(known) + beside
    if area == 0 or len(covered) - len(known) > area:
        return None
    ids, counts = np.unique(known, return_counts=True)
    shared = int(counts.max(initial=0))
    if beside > shared:
        return 0.0
    most = int(ids[counts.argmax()])
    if most not in things:
        return None
    return shared / (area + int(np.count_nonzero(owner == most)) - shared)
