"""Where a picture shows more than the masks that were found in it: small things on large ones."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Image

Floats = NDArray[np.float32]

#: it is looked for in pictures whose shorter side has about this many pixels.
SIDE_PX = 120
#: blur of what is compared, so that texture averages out, and of its surroundings, in such pixels.
DETAIL_PX, SURROUNDINGS_PX = 1.5, 8.0
#: spots are at least this far from each other and from the border, in such pixels.
APART_PX = 3
#: brightness counts less than colour, for light and shade change it.
BRIGHTNESS = 0.6
#: smaller differences, in CIELAB, can hardly be noticed.
LEAST_DIFFERENCE = 2.0
#: regions of fewer such pixels hold nothing smaller.
LEAST_PX = 15


def unexplained_spots(
    image: Image, masks: Sequence[NDArray[np.bool_]], asked: NDArray[np.bool_], count: int
) -> Floats:
    """Pixels whose colour differs most from the surroundings within the same mask.

    Outlines of what was found are no spots, because surroundings end where a mask ends. What no
    mask covers is one region more.

    Args:
        image: (H, W, 3) u8 RGB.
        masks: (H, W) bool each; where they overlap, the smallest counts.
        asked: (H, W) bool, where no spot is wanted.
        count: how many spots at most.

    Returns:
        (N <= count, 2) (u, v) pixels, the most different first.
    """
    height, width = image.shape[:2]
    step = max(1, round(min(height, width) / SIDE_PX))
    size = (-(-width // step), -(-height // step))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    colour = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)
    colour[..., 0] *= BRIGHTNESS
    difference = np.zeros(colour.shape[:2], np.float32)
    owner = _smallest_owner([mask[::step, ::step] for mask in masks], difference.shape)
    for number in np.unique(owner):
        _compare(colour, owner == number, difference)
    difference[asked[::step, ::step]] = 0
    spots = _peaks(difference)[:count]
    return np.minimum(spots * step + step // 2, (width - 1, height - 1)).astype(np.float32)


def _smallest_owner(
    masks: Sequence[NDArray[np.bool_]], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """(h, w) number of the smallest mask at each pixel, -1 for none."""
    owner = np.full(shape, -1, np.int64)
    for number in sorted(range(len(masks)), key=lambda i: -np.count_nonzero(masks[i])):
        owner[masks[number]] = number
    return owner


def _compare(colour: Floats, region: NDArray[np.bool_], difference: Floats) -> None:
    """Writes how far each pixel of the region is from its surroundings in the region."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = region[part]
    if np.count_nonzero(inside) < LEAST_PX:
        return
    near = _mean_within(colour[part], inside, DETAIL_PX)
    around = _mean_within(colour[part], inside, SURROUNDINGS_PX)
    difference[part][inside] = np.linalg.norm(near - around, axis=2)[inside]


def _mean_within(colour: Floats, inside: NDArray[np.bool_], blur_px: float) -> Floats:
    """(h, w, 3) Gaussian mean of those neighbours of each pixel that are inside."""
    weight = inside.astype(np.float32)
    total = cv2.GaussianBlur(weight, (0, 0), blur_px)
    summed = cv2.GaussianBlur(colour * weight[..., None], (0, 0), blur_px)
    return np.asarray(summed / np.maximum(total, 1e-3)[..., None], np.float32)


def _peaks(difference: Floats) -> NDArray[np.int64]:
    """(N, 2) (u, v) of local maxima that can be noticed, the highest first."""
    size = 2 * APART_PX + 1
    highest = cv2.dilate(difference, np.ones((size, size), np.uint8))
    peak = (difference >= LEAST_DIFFERENCE) & (difference >= highest)
    border = np.zeros_like(peak)
    border[APART_PX:-APART_PX, APART_PX:-APART_PX] = True
    v, u = np.nonzero(peak & border)
    order = np.argsort(-difference[v, u], kind="stable")
    return np.stack([u[order], v[order]], axis=1)
