"""An image as a partition: every pixel belongs to exactly one segment, background included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import MaskProposal


@dataclass(frozen=True)
class Partition:
    """S segments that fill an image.

    Attributes:
        label: (H, W) i32 in [0, S).
        boxes: (S, 4) i64 left, top, width, height of each segment's bounding box, pixels.
    """

    label: NDArray[np.int32]
    boxes: NDArray[np.int64]

    def sides_px(self) -> NDArray[np.int64]:
        """(S,) edge of each segment's padded square tile: the longer side of its box."""
        return self.boxes[:, 2:].max(axis=1)

    def middles_px(self) -> NDArray[np.float64]:
        """(S, 2) (u, v) in the middle of each box."""
        return self.boxes[:, :2] + (self.boxes[:, 2:] - 1) / 2


def partition(proposals: Sequence[MaskProposal], size: tuple[int, int]) -> Partition:
    """Proposals with the smallest on top; what none covers is split into connected pieces.

    Args:
        proposals: masks of an image.
        size: (H, W) of the image.

    Raises:
        ValueError: a proposal is of another size.
    """
    label = np.full(size, -1, np.int32)
    masks = [proposal.mask() for proposal in proposals]
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True)):
        if mask.shape != size:
            raise ValueError(f"proposals must be {size} like the image, got {mask.shape}")
        label[mask] = number
    rest = label < 0
    _, pieces = cv2.connectedComponents(rest.astype(np.uint8), connectivity=4)
    label[rest] = len(masks) - 1 + pieces[rest]
    seen, number_of_pixel = np.unique(label, return_inverse=True)  # the covered have gone
    label = number_of_pixel.reshape(size).astype(np.int32)
    return Partition(label, _boxes(label, len(seen)))


def _boxes(label: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    v, u = np.indices(label.shape)
    boxes = np.empty((count, 4), np.int64)
    for first, at in ((0, u), (1, v)):
        low = np.full(count, np.iinfo(np.int64).max)
        high = np.full(count, -1, np.int64)
        np.minimum.at(low, label.ravel(), at.ravel())
        np.maximum.at(high, label.ravel(), at.ravel())
        boxes[:, first], boxes[:, first + 2] = low, high - low + 1
    return boxes
