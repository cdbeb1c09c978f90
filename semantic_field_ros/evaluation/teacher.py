"""How well the features that a map renders stand in for the segmenter's own.

SAN (Chen et al. 2023), section 5.4: a grid of 5 × 5 points in a view that was never trained on;
each is decoded from the rendered features and from the segmenter's own, and the two masks are
compared. The segmenter is the teacher, right or wrong: this needs no labels.

The paper's teacher looks at the picture that the map renders of the view (4.1), for that is what
imitation takes the place of. Against the captured image imitation answers for more than itself:
for what the map has not learnt, and for the error of the view's pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.metrics import iou_2d
from semantic_field_ros.models.base import Image, Prompts, Segmenter

#: points of the grid per side.
GRID_SIDE = 5


@dataclass(frozen=True)
class TeacherIou:
    """Mean IoUs of masks in one view, or over several.

    Attributes:
        captured: of rendered features and the segmenter's own of the captured image.
        picture: of rendered features and the segmenter's own of the map's picture of the view.
        without: of the segmenter's own features of that picture and of the captured image: what
            there is without imitation, for a run of the segmenter.
    """

    captured: float
    picture: float
    without: float


def compare_with_teacher(
    segmenter: Segmenter, imitated: NDArray[np.floating], captured: Image, picture: Image
) -> TeacherIou:
    """Compares features that a map renders with the segmenter's own.

    Args:
        segmenter: the teacher.
        imitated: (C, h, w) embedding rendered by the map.
        captured: (H, W, 3) u8 of a view.
        picture: (H, W, 3) u8 that the map renders of it.
    """
    size = (captured.shape[0], captured.shape[1])
    ours, seen, drawn = (
        grid_masks(segmenter, embedding, size)
        for embedding in (imitated, segmenter.embed(captured), segmenter.embed(picture))
    )
    return TeacherIou(teacher_iou(ours, seen), teacher_iou(ours, drawn), teacher_iou(drawn, seen))


def grid_prompts(image_size: tuple[int, int], side: int = GRID_SIDE) -> list[Prompts]:
    """Clicks in the middles of side × side equal parts of an image of (height, width)."""
    height, width = image_size
    middles = (np.arange(side) + 0.5) / side
    return [Prompts.click(u * width - 0.5, v * height - 0.5) for v in middles for u in middles]


def grid_masks(
    segmenter: Segmenter, embedding: NDArray[np.floating], image_size: tuple[int, int]
) -> list[NDArray[np.bool_]]:
    """What a user would get who clicked the grid's points.

    Args:
        segmenter: whose decoder is used.
        embedding: (C, h, w).
        image_size: (height, width).

    Returns:
        Per point the (H, W) mask of the highest predicted quality.
    """
    decoded = segmenter.decode(embedding, image_size, grid_prompts(image_size))
    return [masks.logits[0] > 0 for masks in decoded]


def teacher_iou(
    imitated: Sequence[NDArray[np.bool_]], taught: Sequence[NDArray[np.bool_]]
) -> float:
    """Mean IoU of the grid's masks and of those that they stand in for."""
    return float(np.mean([iou_2d(*pair) for pair in zip(imitated, taught, strict=True)]))
