"""The one way a region of an image is prepared for a language model."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 127
PADDING = 0.12


def square_around(mask: NDArray[np.bool_], padding: float = PADDING) -> tuple[int, int, int]:
    """(left, top, side) of the padded square around a non-empty (H, W) mask; may leave the image.

    Raises:
        ValueError: the mask is empty or not two-dimensional.
    """
    if mask.ndim != 2 or not mask.any():
        raise ValueError(f"mask must be (H, W) and not empty, got shape {mask.shape}")
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = max(round(max(height, width) * (1 + 2 * padding)), 4)
    left = round((columns[0] + columns[-1] + 1 - side) / 2)
    top = round((rows[0] + rows[-1] + 1 - side) / 2)
    return int(left), int(top), int(side)


def segment_crop(
    rgb: NDArray[np.uint8], mask: NDArray[np.bool_], size: int, keep_background: bool = False
) -> NDArray[np.uint8]:
    """A padded square crop around a region, with everything outside it mid-grey.

    Training and inference share this preparation, so that vectors mean the same in both.

    Args:
        rgb: (H, W, 3) u8.
        mask: (H, W) bool, not empty.
        size: side of the result in pixels.
        keep_background: leaves what is around the region inside the image as it is.

    Returns:
        (size, size, 3) u8.

    Raises:
        ValueError: the mask is empty or does not fit the image.
    """
    if rgb.shape[:2] != mask.shape:
        raise ValueError(f"mask must be {rgb.shape[:2]} like the image, got {mask.shape}")
    left, top, side = square_around(mask)
    height, width = mask.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, width), min(top + side, height)
    square = np.full((side, side, 3), GREY, np.uint8)
    inside = square[y0 - top : y1 - top, x0 - left : x1 - left]
    window = rgb[y0:y1, x0:x1]
    visible = slice(None) if keep_background else mask[y0:y1, x0:x1]
    inside[visible] = window[visible]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=how), np.uint8)
