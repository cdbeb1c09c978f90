"""IoU with the segmenter's own masks, worked out by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from semantic_field_ros.evaluation.teacher import (
    TeacherIou,
    compare_with_teacher,
    grid_masks,
    grid_prompts,
    teacher_iou,
)
from semantic_field_ros.models.base import (
    DecodedMasks,
    EmbeddingLayout,
    Image,
    Prompts,
    Segmenter,
)
from semantic_field_ros.types import MaskProposal

SIZE = (10, 20)


class RowsSegmenter(Segmenter):
    """Its first mask of any point is as many whole rows as the embedding's only value says; its
    second, of lower quality, is everything."""

    def layout(self, image_size: tuple[int, int]) -> EmbeddingLayout:
        return EmbeddingLayout(1, 1, (1, 1))

    def embed(self, image: Image) -> NDArray[np.float16]:
        return np.full((1, 1, 1), image[0, 0, 0], np.float16)

    def propose(self, embedding: NDArray[np.floating], image: Image) -> tuple[MaskProposal, ...]:
        raise NotImplementedError

    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        logits = np.full((2, *image_size), -1.0, np.float32)
        logits[0, : int(embedding[0, 0, 0])] = 1.0
        logits[1] = 1.0
        return [DecodedMasks(logits, np.array([0.9, 0.5], np.float32)) for _ in prompts]


def rows(count: int) -> NDArray[np.float32]:
    return np.full((1, 1, 1), count, np.float32)


def test_the_grid_is_five_by_five_points_in_the_middles_of_equal_parts() -> None:
    prompts = grid_prompts(SIZE)
    assert len(prompts) == 25
    points = np.concatenate([prompt.points_px for prompt in prompts])
    # 20 columns in five parts of four: the middle of the first lies between columns 1 and 2.
    np.testing.assert_allclose(points[:5, 0], [1.5, 5.5, 9.5, 13.5, 17.5])
    np.testing.assert_allclose(points[::5, 1], [0.5, 2.5, 4.5, 6.5, 8.5])
    assert all(prompt.positive.all() and prompt.box_px is None for prompt in prompts)


@pytest.mark.parametrize(("ours", "theirs", "expected"), [(4, 4, 1.0), (2, 4, 0.5), (0, 5, 0.0)])
def test_the_best_masks_are_compared(ours: int, theirs: int, expected: float) -> None:
    # 2 of 4 rows of 20 pixels: 40 shared, 80 in either.
    masks = [grid_masks(RowsSegmenter(), rows(count), SIZE) for count in (ours, theirs)]
    assert teacher_iou(*masks) == pytest.approx(expected)


def test_the_teacher_looks_at_the_captured_image_and_at_the_picture_of_the_map() -> None:
    captured, picture = (np.full((*SIZE, 3), value, np.uint8) for value in (8, 2))
    found = compare_with_teacher(RowsSegmenter(), rows(4), captured, picture)
    assert found == TeacherIou(captured=0.5, picture=0.5, without=0.25)
