"""How well the features that a map renders stand in for the segmenter's own.

SAN (Chen et al. 2023), section 5.4: a grid of 5 × 5 points in a view that was never trained on;
each is decoded from the rendered features and from those of the captured image, and the two masks
are compared. The segmenter is the teacher, right or wrong: this needs no labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.metrics import iou_2d
from semantic_field_ros.models.base import DecodedMasks, Prompts, Segmenter

#: points of the grid per side.
GRID_SIDE = 5


def grid_prompts(image_size: tuple[int, int], side: int = GRID_SIDE) -> list[Prompts]:
    """Clicks in the middles of side × side equal parts of an image of (height, width)."""
    height, width = image_size
    middles = (np.arange(side) + 0.5) / side
    return [Prompts.click(u * width - 0.5, v * height - 0.5) for v in middles for u in middles]


def teacher_iou(
    segmenter: Segmenter,
    imitated: NDArray[np.floating],
    taught: NDArray[np.floating],
    image_size: tuple[int, int],
) -> float:
    """Mean IoU over the grid's points of the best masks decoded from two embeddings.

    Args:
        segmenter: whose decoder is used.
        imitated: (C, h, w) embedding rendered by the map.
        taught: (C, h, w) embedding of the captured image of the same view.
        image_size: (height, width).
    """
    prompts = grid_prompts(image_size)
    pairs = zip(
        segmenter.decode(imitated, image_size, prompts),
        segmenter.decode(taught, image_size, prompts),
        strict=True,
    )
    return float(np.mean([iou_2d(_best(ours), _best(theirs)) for ours, theirs in pairs]))


def _best(masks: DecodedMasks) -> NDArray[np.bool_]:
    """(H, W) the mask of the highest predicted quality, which is what a user would get."""
    best: NDArray[np.bool_] = masks.logits[0] > 0
    return best
