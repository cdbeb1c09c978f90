"""Where a person who wants an object would click, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.ground_truth import FrameTruth

#: an object is clicked, and counts as present, where it covers this many pixels of a view.
LEAST_PIXELS = 400


@dataclass(frozen=True)
class Click:
    """One positive point in one view.

    Attributes:
        id: the object that is meant.
        stamp_ns: the view.
        pixel: (u, v) in the view's own image size.
    """

    id: int
    stamp_ns: int
    pixel: tuple[int, int]


def interior_pixel(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(u, v) of the pixel of an (H, W) mask that is farthest from everything outside it.

    The border of the image counts as outside: an object that leaves the picture is not clicked at
    its edge.
    """
    if not mask.any():
        raise ValueError("mask must not be empty")
    padded = np.pad(mask, 1).astype(np.uint8)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(column), int(row)


def views_by_object(views: Mapping[int, FrameTruth]) -> dict[int, list[int]]:
    """Per instance id the stamps of the views in which it covers at least `LEAST_PIXELS`."""
    seen: dict[int, list[int]] = {}
    for stamp_ns, truth in views.items():
        ids, counts = np.unique(truth.instance, return_counts=True)
        for instance, count in zip(ids.tolist(), counts.tolist(), strict=True):
            if instance != 0 and count >= LEAST_PIXELS:
                seen.setdefault(instance, []).append(stamp_ns)
    return seen


def choose_clicks(
    views: Mapping[int, FrameTruth], wanted: Mapping[int, object], rng: np.random.Generator
) -> list[Click]:
    """One click per wanted object that some view shows well enough, in one random such view.

    Args:
        views: truth of the views that may be clicked in, by stamp.
        wanted: objects to click, by instance id.
        rng: chooses the views.
    """
    clicks = []
    for instance, stamps in sorted(views_by_object(views).items()):
        if instance in wanted:
            stamp_ns = stamps[int(rng.integers(len(stamps)))]
            pixel = interior_pixel(views[stamp_ns].instance == instance)
            clicks.append(Click(instance, stamp_ns, pixel))
    return clicks
