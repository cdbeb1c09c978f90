"""Colours for what has none: depth, relevancy, instances, features."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.uint8]

#: relevancy from which a place glows, and at which it glows fully.
WARM, HOT = 0.45, 0.75
#: turn of hue from one instance to the next: the golden ratio keeps neighbours apart.
HUE_STEP = 0.618034


def relevancy_colours(relevancy: NDArray[np.floating], rgb: Colours) -> Colours:
    """(..., 3) what glows where it is relevant and is a dim grey elsewhere.

    Args:
        relevancy: (...) in [0, 1].
        rgb: (..., 3) what is there.
    """
    share = np.clip((relevancy - WARM) / (HOT - WARM), 0, 1)
    heat = _ramp(0.35 + 0.6 * share, cv2.COLORMAP_INFERNO)
    return _mixed(_grey(rgb, 0.55), heat, share > 0, 0.85)


def depth_colours(depth_m: NDArray[np.floating]) -> Colours:
    """(H, W, 3) near is warm, far is cold, unknown is black; stretched over what there is."""
    known = np.isfinite(depth_m)
    if not known.any():
        return np.zeros((*depth_m.shape, 3), np.uint8)
    near, far = np.quantile(depth_m[known], [0.02, 0.98])
    share = (np.where(known, depth_m, far) - near) / max(far - near, 1e-6)
    colours = _ramp(0.9 - 0.8 * np.clip(share, 0, 1), cv2.COLORMAP_TURBO)
    colours[~known] = 0
    return colours


def instance_colours(number: NDArray[np.integer], rgb: Colours) -> Colours:
    """(..., 3) each instance in its own colour; what belongs to none (0) in grey.

    Args:
        number: (...) of the instance, from 1 on.
        rgb: (..., 3) what is there.
    """
    hue = np.mod(np.arange(256) * HUE_STEP, 1.0) * 179
    saturation = np.where(np.arange(256) % 2 == 0, 150, 210)
    hsv = np.stack([hue, saturation, np.full(256, 240)], axis=-1).astype(np.uint8)
    palette = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0]
    return _mixed(_grey(rgb, 0.7), palette[np.mod(number, 256)], number > 0, 0.7)


def _ramp(share: NDArray[np.floating], colour_map: int) -> Colours:
    """(..., 3) RGB of numbers in [0, 1]."""
    table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], colour_map)[0, :, ::-1]
    return np.ascontiguousarray(table[np.rint(255 * share).astype(np.int64)])


def _grey(rgb: Colours, brightness: float) -> NDArray[np.float32]:
    return np.repeat(brightness * rgb.astype(np.float32).mean(axis=-1, keepdims=True), 3, axis=-1)


def _mixed(
    base: NDArray[np.floating], top: Colours, where: NDArray[np.bool_], weight: float
) -> Colours:
    mixed = np.where(where[..., None], (1 - weight) * base + weight * top, base)
    return np.rint(mixed).astype(np.uint8)
