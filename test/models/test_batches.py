"""Batches come in few sizes, and what fills them up changes no result."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.models.base import Prompts
from semantic_field_ros.models.batches import filled_up
from semantic_field_ros.models.registry import load_language_model, load_segmenter


@pytest.mark.parametrize(
    ("count", "size"), [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 16), (24, 24)]
)
def test_sizes_are_few_and_what_is_added_repeats_the_last(count: int, size: int) -> None:
    items = list(range(count))
    assert filled_up(items) == items + [count - 1] * (size - count)


@given(st.integers(0, 200))
def test_less_than_a_step_is_added_and_nothing_to_what_has_a_size(count: int) -> None:
    once = filled_up(range(count))
    assert 0 <= len(once) - count < 8
    assert filled_up(once) == once


def test_three_clicks_are_answered_as_one_by_one() -> None:
    segmenter = load_segmenter("tiny")
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    embedding = segmenter.embed(image)
    clicks = [Prompts.click(*pixel) for pixel in ((40, 60), (160, 120), (300, 200))]
    together = segmenter.decode(embedding, (240, 320), clicks)
    assert len(together) == 3
    for click, found in zip(clicks, together, strict=True):
        alone = segmenter.decode(embedding, (240, 320), [click])[0]
        np.testing.assert_allclose(found.logits, alone.logits, atol=1e-3)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)


def test_three_crops_are_named_as_one_by_one() -> None:
    language = load_language_model("tiny")
    crops = list(np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8))
    together = language.encode_crops(crops)
    assert together.shape == (3, language.dim)
    alone = np.concatenate([language.encode_crops([crop]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-4)
