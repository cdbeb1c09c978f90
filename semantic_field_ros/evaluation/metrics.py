"""What is measured, as functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: a predicted point farther than this from all true surface is beside it, metres.
REACH_M = 0.02

Points = NDArray[np.floating]
Mask = NDArray[np.bool_]


def psnr_db(rendered: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Peak signal-to-noise ratio of two equally shaped images with values in [0, 1]."""
    if rendered.shape != true.shape:
        raise ValueError(f"images must have equal shapes, got {rendered.shape} and {true.shape}")
    error = float(np.mean((np.asarray(rendered, np.float64) - true) ** 2))
    return float(-10.0 * np.log10(max(error, 1e-10)))


def fit_exposure(
    rendered: NDArray[np.floating], true: NDArray[np.floating]
) -> NDArray[np.float64]:
    """`rendered` (..., 3) with the gain and offset per channel that bring it closest to `true`."""
    flat, target = rendered.reshape(-1, 3).astype(np.float64), true.reshape(-1, 3)
    fitted = np.empty_like(flat)
    for channel in range(3):
        design = np.stack([flat[:, channel], np.ones(len(flat))], axis=1)
        solution, *_ = np.linalg.lstsq(design, target[:, channel].astype(np.float64), rcond=None)
        fitted[:, channel] = design @ solution
    return np.clip(fitted, 0.0, 1.0).reshape(rendered.shape)


def median_depth_error_m(rendered_m: Points, true_m: Points) -> float | None:
    """Median |difference| where the truth is known (finite); unknown rendered depth is a miss.

    A pixel that the map leaves empty counts with an infinite error, so that leaving out what is
    hard cannot help. None where no pixel of the truth is known.
    """
    known = np.isfinite(true_m)
    if not known.any():
        return None
    error = np.abs(rendered_m[known] - true_m[known])
    return float(np.median(np.where(np.isfinite(error), error, np.inf)))


def iou_2d(predicted: Mask, true: Mask) -> float:
    """Intersection over union of two (H, W) masks; 1 if both are empty."""
    union = np.count_nonzero(predicted | true)
    return np.count_nonzero(predicted & true) / union if union else 1.0


def relevancy_recalled(relevancy: NDArray[np.floating], inside: Mask) -> bool:
    """Whether what is most relevant lies where it should (Ji et al. 2024, table 1).

    Of the pixels with relevancy > 0.5, at least nine in ten of the most relevant tenth must be
    `inside`; no such pixel is a failure. (Which pixels the paper's "top 10 percent" counts is
    ambiguous; this is our reading.)

    Args:
        relevancy: (H, W) in [0, 1].
        inside: (H, W) where the query's truth is.
    """
    relevant = np.flatnonzero(relevancy > 0.5)
    top = relevant[np.argsort(-relevancy.ravel()[relevant], kind="stable")]
    top = top[: max(1, round(len(top) / 10))]
    return bool(len(top)) and float(inside.ravel()[top].mean()) >= 0.9


def relevancy_distance(relevancy: NDArray[np.floating], inside: Mask) -> float:
    """D_relevancy, the mean of (R_gt − R)² with R_gt 1 inside and 0 outside (eqs. 4 and 5).

    Args:
        relevancy: (H, W) in [0, 1].
        inside: (H, W) where the query's truth is.
    """
    return float(np.mean((inside.astype(np.float64) - relevancy) ** 2))


@dataclass(frozen=True)
class ClassFigures:
    """mIoU and mAcc: means over the classes that are really there of IoU and of recall."""

    mean_iou: float
    mean_accuracy: float


class ClassCounts:
    """How a segmentation into classes compares with the truth, counted part by part.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        # Rows are true classes, columns predicted ones; the last column stands for nothing.
        self._counts = np.zeros((classes, classes + 1), np.int64)

    def add(self, predicted: NDArray[np.integer], true: NDArray[np.integer]) -> None:
        """Counts the places of two equally shaped arrays.

        Args:
            predicted: classes in [0, classes), -1 for nothing, which is always wrong.
            true: classes, -1 where nobody knows; such places do not count.
        """
        known = true >= 0
        said = np.where(predicted[known] < 0, self._classes, predicted[known])
        pairs = true[known].astype(np.int64) * (self._classes + 1) + said
        self._counts += np.bincount(pairs, minlength=self._counts.size).reshape(self._counts.shape)

    def figures(self) -> ClassFigures | None:
        """mIoU and mAcc over the classes that are there; None if no place's class is known."""
        there = self._counts.sum(axis=1)
        said = self._counts.sum(axis=0)[:-1]
        hit = self._counts.diagonal()
        real = there > 0
        if not real.any():
            return None
        ious, recalls = hit / np.maximum(there + said - hit, 1), hit / np.maximum(there, 1)
        return ClassFigures(float(ious[real].mean()), float(recalls[real].mean()))


class PooledMasks:
    """IoU and accuracy of one object over all of its test views together (SANeRF-HQ, 4.2).

    Views are not averaged: one that shows much of the object counts for more than one that shows
    a corner of it.
    """

    def __init__(self) -> None:
        self._shared = self._either = self._equal = self._pixels = 0

    def add(self, predicted: Mask, true: Mask) -> None:
        """Counts one view, two (H, W) masks.

        Raises:
            ValueError: the shapes differ.
        """
        if predicted.shape != true.shape:
            raise ValueError(
                f"masks must have equal shapes, got {predicted.shape} and {true.shape}"
            )
        self._shared += int(np.count_nonzero(predicted & true))
        self._either += int(np.count_nonzero(predicted | true))
        self._equal += int(np.count_nonzero(predicted == true))
        self._pixels += predicted.size

    def iou(self) -> float | None:
        """Intersection over union of all pixels; None if neither mask had any."""
        return self._shared / self._either if self._either else None

    def accuracy(self) -> float | None:
        """Share of all pixels that are told right; None without a view."""
        return self._equal / self._pixels if self._pixels else None


@dataclass(frozen=True)
class TrueSurface:
    """Points sampled evenly on the true surface that some keyframe saw.

    Attributes:
        points: (G, 3) f32 metres, world frame.
        owner: (G,) i64 instance id; 0 = no object.
        spacing_m: edge of the voxels that have one point each, metres.
    """

    points: NDArray[np.float32]
    owner: NDArray[np.int64]
    spacing_m: float = 0.01


@dataclass(frozen=True)
class MapToTruth:
    """How a map's surface lies on the true one; made once for many queries.

    Attributes:
        nearest: (G,) i64 surface point nearest to each true point, -1 where none is in reach.
        beside: (N,) whether a surface point is out of reach of every true point.
    """

    nearest: NDArray[np.int64]
    beside: Mask


def register(surface_points: Points, truth: TrueSurface, reach_m: float = REACH_M) -> MapToTruth:
    """Relates the (N, 3) points of a map's surface to the true surface."""
    if len(surface_points) == 0 or len(truth.points) == 0:
        return MapToTruth(
            np.full(len(truth.points), -1, np.int64), np.ones(len(surface_points), np.bool_)
        )
    distance, nearest = cKDTree(surface_points).query(truth.points)
    from_truth, _ = cKDTree(truth.points).query(surface_points, distance_upper_bound=reach_m)
    return MapToTruth(
        np.where(distance <= reach_m, nearest, -1).astype(np.int64), np.isinf(from_truth)
    )


def iou_3d(
    predicted: NDArray[np.int64], true_ids: Sequence[int], truth: TrueSurface, link: MapToTruth
) -> float:
    """IoU over the true surface and what was predicted beside it.

    A true point is predicted when the map's surface point nearest to it is, and is within reach;
    surface that the map lacks is therefore a miss. Every predicted point out of reach of the true
    surface joins the union.

    Args:
        predicted: (M,) indices into the map's surface.
        true_ids: instance ids whose union is the truth.
        truth: the true surface.
        link: from `register` of the map's surface and `truth`.
    """
    chosen = np.zeros(len(link.beside) + 1, np.bool_)  # the last one stands for "nothing near"
    chosen[predicted] = True
    hit = chosen[link.nearest]
    wanted = np.isin(truth.owner, list(true_ids))
    beside = int(np.count_nonzero(chosen[:-1] & link.beside))
    union = int(np.count_nonzero(hit | wanted)) + beside
    return int(np.count_nonzero(hit & wanted)) / union if union else 0.0


def lies_on(
    point: Points, true_ids: Sequence[int], truth: TrueSurface, reach_m: float = REACH_M
) -> bool:
    """Whether the true surface nearest to a (3,) point is in reach and is one of `true_ids`."""
    if len(truth.points) == 0:
        return False
    distance = np.linalg.norm(truth.points - point, axis=1)
    nearest = int(distance.argmin())
    return bool(distance[nearest] <= reach_m and truth.owner[nearest] in true_ids)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that a `share` in (0, 1] of the values do not exceed; None of none."""
    if not values:
        return None
    return float(np.sort(values)[int(np.ceil(share * len(values))) - 1])


def mean(values: Sequence[float]) -> float | None:
    """The mean, None of nothing."""
    return float(np.mean(values)) if len(values) else None
