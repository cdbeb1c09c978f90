"""Panoptic quality on ten true points in a row, 10 cm apart, worked out by hand."""

import numpy as np
import pytest

from semantic_field_ros.evaluation.metrics import TrueSurface, register
from semantic_field_ros.evaluation.panoptic import (
    CountedSurface,
    PanopticFigures,
    panoptic_figures,
)

#: a mug of four points, a pan of three, and three of the table (id 9), which is no object.
OWNER = np.array([1, 1, 1, 1, 2, 2, 2, 9, 9, 9])
POINTS = np.array([[i / 10, 0, 0] for i in range(10)], np.float32)


def surface(owner=OWNER, unknown=(), extra=0, area=1.0):
    """What is right; the map has every true point, and `extra` ones far from all of them."""
    truth = TrueSurface(POINTS, np.asarray(owner))
    far = np.array([[5.0 + i, 0, 0] for i in range(extra)], np.float32).reshape(-1, 3)
    in_map = np.concatenate([POINTS, far])
    not_known = np.isin(np.arange(10), unknown)
    areas = np.full(len(in_map), area)
    return CountedSurface(truth, (1, 2), not_known, register(in_map, truth), areas)


def segments(*parts):
    return [np.array(part, np.int64) for part in parts]


def test_everything_right():
    figures = panoptic_figures(segments(range(4), [4, 5, 6]), surface())
    assert figures == PanopticFigures(1.0, 1.0, 1.0, 2, 0, 0)


def test_quality_is_segmentation_times_recognition():
    # Mug: 3 of 4 points, IoU 3/4. Two pieces of the pan, IoU 2/3 and 1/3: the second is spurious.
    figures = panoptic_figures(segments([0, 1, 2], [4, 5], [6]), surface())
    assert (figures.matched, figures.spurious, figures.missed) == (2, 1, 0)
    assert figures.segmentation == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert figures.recognition == pytest.approx(2 / 2.5)
    assert figures.quality == pytest.approx((3 / 4 + 2 / 3) / 2.5)


def test_a_half_is_not_enough_and_leaves_one_missed_and_one_spurious():
    # Two of the mug's four: IoU exactly 1/2. The pan is matched.
    figures = panoptic_figures(segments([0, 1], [4, 5, 6]), surface())
    assert figures == PanopticFigures(1 / 2, 1.0, 1 / 2, 1, 1, 1)  # 1 / (1 + 1/2 + 1/2)


def test_spilling_onto_the_table_costs_and_a_table_of_its_own_does_not():
    figures = panoptic_figures(segments([0, 1, 2, 3], [4, 5, 6, 7], [8, 9]), surface())
    assert (figures.matched, figures.spurious) == (2, 0)
    assert figures.segmentation == pytest.approx((1 + 3 / 4) / 2)


def test_what_nobody_knows_counts_nowhere():
    known = panoptic_figures(segments([0, 1, 2, 3], [4, 5, 6, 7]), surface(unknown=(7, 8, 9)))
    assert known == PanopticFigures(1.0, 1.0, 1.0, 2, 0, 0)
    mostly = panoptic_figures(segments([3, 7, 8, 9], [4, 5, 6]), surface(unknown=(7, 8, 9)))
    assert (mostly.matched, mostly.spurious, mostly.missed) == (1, 0, 1)
    assert panoptic_figures(segments([0]), surface(owner=np.full(10, 9))) is None


def test_surface_beside_all_truth_is_counted_by_its_area():
    # The mug's segment has one more point off the surface, as large as three of the truth's.
    wide = panoptic_figures(segments([0, 1, 2, 3, 10], [4, 5, 6]), surface(extra=1, area=3.0))
    assert wide.segmentation == pytest.approx((4 / 7 + 1) / 2)
    ghost = panoptic_figures(segments(range(4), [4, 5, 6], [10]), surface(extra=1))
    assert (ghost.matched, ghost.spurious) == (2, 1)


def test_the_surer_of_two_that_overlap_has_the_surface():
    figures = panoptic_figures(segments([0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6]), surface())
    assert figures == PanopticFigures(1.0, 1.0, 1.0, 2, 0, 0)
    covered = panoptic_figures(segments(range(4), [1, 2], [4, 5, 6]), surface())
    assert covered.spurious == 0  # nothing is left of it


def test_no_instance_at_all_is_no_quality():
    assert panoptic_figures([], surface()) == PanopticFigures(0.0, 0.0, 0.0, 0, 0, 2)
