import numpy as np
import pytest

from semantic_field_ros.semantics.matching import language_cost, mask_cost, match, soft_iou
from semantic_field_ros.semantics.regions import suppress_overlaps

MASKS = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], np.bool_)


def test_soft_iou_by_hand():
    membership = np.array([[1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]], np.float32)
    expected = [[0.75, 0.0], [0.0, 0.5]]
    np.testing.assert_allclose(soft_iou(MASKS, membership), expected, atol=1e-6)


def test_mask_cost_by_hand():
    p = np.array([[0.5, 0.5, 0.5, 0.5]], np.float32)
    focal = 4 * 0.25 * np.log(2) / 2  # over a mask of two samples
    dice = 1 - (2 * 1.0 + 1) / (2 + 2 + 1)
    np.testing.assert_allclose(mask_cost(MASKS[:1], p), [[focal + 0.05 * dice]], rtol=1e-5)


def test_language_cost_by_hand():
    masks, queries = np.eye(2, dtype=np.float32)[:1], np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(language_cost(masks, queries), [[0.0, 2.0]])


def test_assignment_is_one_to_one_and_needs_overlap():
    iou = np.array([[0.9, 0.8], [0.7, 0.1]], np.float32)
    assert match(1 - iou, iou) == [(0, 1), (1, 0)]
    assert match(1 - iou, np.array([[0.9, 0.2], [0.7, 0.1]], np.float32)) in ([(0, 0)], [(1, 0)])
    assert match(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)) == []


@pytest.mark.parametrize(("limit", "kept"), [(0.5, [0, 2]), (1.0, [0, 1, 2])])
def test_overlapping_sets_are_dropped_best_first(limit, kept):
    sets = [np.arange(10), np.arange(4, 8), np.arange(9, 15), np.arange(0)]
    assert suppress_overlaps(sets, 20, limit) == kept
