import numpy as np
import pytest

from semantic_field_ros.evaluation.metrics import (
    ClassCounts,
    ClassFigures,
    PooledMasks,
    TrueSurface,
    fit_exposure,
    iou_2d,
    iou_3d,
    lies_on,
    mean,
    median_depth_error_m,
    percentile,
    psnr_db,
    register,
    relevancy_distance,
    relevancy_recalled,
)


def on_line(*x_m):
    """Points on the x axis."""
    return np.array([[x, 0, 0] for x in x_m], np.float32)


def test_psnr_of_a_tenth_everywhere_is_20_db():
    assert psnr_db(np.full((4, 4, 3), 0.6), np.full((4, 4, 3), 0.5)) == pytest.approx(20.0)


def test_psnr_refuses_different_shapes():
    with pytest.raises(ValueError, match=r"\(2, 2, 3\) and \(2, 3, 3\)"):
        psnr_db(np.zeros((2, 2, 3)), np.zeros((2, 3, 3)))


def test_exposure_fit_undoes_gain_and_offset_but_not_structure():
    true = np.random.default_rng(0).uniform(0.2, 0.8, (8, 8, 3))
    assert np.allclose(fit_exposure(0.5 * true + 0.1, true), true)
    assert psnr_db(fit_exposure(true[::-1].copy(), true), true) < 25


def test_median_depth_error_ignores_what_the_truth_does_not_know():
    true = np.array([1.0, 2.0, np.nan, 3.0])
    assert median_depth_error_m(np.array([1.1, 2.3, 9.0, 3.2]), true) == pytest.approx(0.2)
    assert median_depth_error_m(np.ones(4), np.full(4, np.nan)) is None


def test_depth_missing_in_the_map_is_an_error_and_not_an_excuse():
    true = np.array([1.0, 2.0, 3.0])
    assert median_depth_error_m(np.array([1.0, np.nan, np.nan]), true) == np.inf


def test_iou_2d_by_hand():
    a, b = np.zeros((2, 3), bool), np.zeros((2, 3), bool)
    a[0], b[:, 0] = True, True  # 3 pixels, 2 pixels, 1 shared
    assert iou_2d(a, b) == pytest.approx(1 / 4)
    assert iou_2d(a & False, b & False) == 1.0


# Five true points 10 cm apart: a mug (id 3) of three, a table (id 0) of two.
TRUTH = TrueSurface(on_line(0.0, 0.1, 0.2, 0.3, 0.4), np.array([3, 3, 3, 0, 0]))


def test_iou_3d_perfect_and_empty():
    link = register(TRUTH.points, TRUTH)
    assert iou_3d(np.array([0, 1, 2]), [3], TRUTH, link) == 1.0
    assert iou_3d(np.array([], np.int64), [3], TRUTH, link) == 0.0


def test_iou_3d_spill_onto_the_table_counts():
    link = register(TRUTH.points, TRUTH)
    assert iou_3d(np.array([1, 2, 3]), [3], TRUTH, link) == pytest.approx(2 / 4)


def test_iou_3d_surface_missing_in_the_map_is_a_miss():
    surface = on_line(0.0, 0.1, 0.3, 0.4)  # nothing at 0.2
    link = register(surface, TRUTH)
    assert link.nearest.tolist() == [0, 1, -1, 2, 3]
    assert iou_3d(np.array([0, 1]), [3], TRUTH, link) == pytest.approx(2 / 3)


def test_iou_3d_predicted_points_beside_the_surface_join_the_union():
    surface = np.concatenate([TRUTH.points, on_line(0.95, 0.97)])
    link = register(surface, TRUTH)
    assert link.beside.tolist() == [False] * 5 + [True, True]
    assert iou_3d(np.arange(7), [3], TRUTH, link) == pytest.approx(3 / 7)


def test_reach_is_two_centimetres():
    near = register(on_line(0.019), TrueSurface(on_line(0.0), np.array([1])))
    far = register(on_line(0.021), TrueSurface(on_line(0.0), np.array([1])))
    assert (near.nearest[0], near.beside[0]) == (0, False)
    assert (far.nearest[0], far.beside[0]) == (-1, True)


def test_union_of_several_true_objects():
    truth = TrueSurface(TRUTH.points, np.array([3, 3, 5, 0, 0]))
    link = register(truth.points, truth)
    assert iou_3d(np.array([0, 1, 2]), [3, 5], truth, link) == 1.0
    assert iou_3d(np.array([0, 1, 2]), [3], truth, link) == pytest.approx(2 / 3)


def test_an_empty_map_scores_nothing():
    link = register(np.zeros((0, 3), np.float32), TRUTH)
    assert iou_3d(np.array([], np.int64), [3], TRUTH, link) == 0.0


def test_lies_on_asks_the_nearest_true_surface():
    assert lies_on(np.array([0.21, 0, 0]), [3], TRUTH)
    assert not lies_on(np.array([0.29, 0, 0]), [3], TRUTH)  # nearest is table
    assert not lies_on(np.array([0.25, 0, 0]), [3], TRUTH)  # out of reach of everything


def test_percentile_is_a_value_that_occurred():
    assert percentile([0.3, 0.1, 0.2, 0.4], 0.5) == 0.2
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([], 0.95) is None
    assert mean([]) is None


def test_recall_looks_at_the_most_relevant_tenth_of_what_is_relevant():
    relevancy = np.linspace(0.51, 0.70, 20).reshape(4, 5)  # all relevant: 2 pixels count
    relevancy = np.vstack([relevancy, np.full((4, 5), 0.5)])  # not relevant: they do not
    inside = np.zeros((8, 5), bool)
    inside[3, 3:] = True
    assert relevancy_recalled(relevancy, inside)
    inside[3, 4] = False
    assert not relevancy_recalled(relevancy, inside)


def test_recall_of_nine_in_ten_is_success_and_of_nothing_is_failure():
    relevancy = np.full((10, 10), 0.6)
    relevancy[0] = 0.9
    inside = np.zeros((10, 10), bool)
    inside[0, :9] = True
    assert relevancy_recalled(relevancy, inside)
    inside[0, 8] = False
    assert not relevancy_recalled(relevancy, inside)
    assert not relevancy_recalled(np.full((10, 10), 0.5), inside)


def test_relevancy_distance_of_four_pixels():
    relevancy, inside = np.array([[0.5, 1.0], [0.2, 0.0]]), np.array([[True, True], [False, True]])
    assert relevancy_distance(relevancy, inside) == pytest.approx((0.25 + 0 + 0.04 + 1) / 4)


def test_class_figures_are_means_over_the_classes_that_are_there():
    true = np.array([0, 0, 0, 0, 1, 1, -1])
    predicted = np.array([0, 0, 0, 1, 1, -1, 2])
    # class 0: 3 of 4, IoU 3/4; class 1: 1 of 2, IoU 1/3; class 2 is not there
    counts = ClassCounts(3)
    counts.add(predicted, true)
    assert counts.figures() == ClassFigures(
        pytest.approx((3 / 4 + 1 / 3) / 2), pytest.approx((3 / 4 + 1 / 2) / 2)
    )


def test_class_figures_need_a_known_place():
    counts = ClassCounts(1)
    counts.add(np.zeros(2, int), np.full(2, -1))
    assert counts.figures() is None


def test_pooled_masks_count_pixels_not_views():
    pooled = PooledMasks()
    assert pooled.iou() is None and pooled.accuracy() is None
    # 3 of 4 pixels shared in a view of 8, then a view of 2 with one false pixel of nothing.
    pooled.add(
        np.array([[1, 1, 1, 0, 0, 0, 0, 0]], bool), np.array([[1, 1, 1, 1, 0, 0, 0, 0]], bool)
    )
    assert pooled.iou() == pytest.approx(3 / 4)
    pooled.add(np.array([[1, 0]], bool), np.array([[0, 0]], bool))
    assert pooled.iou() == pytest.approx(3 / 5)
    assert pooled.accuracy() == pytest.approx(8 / 10)


def test_pooled_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(2, 1\)"):
        PooledMasks().add(np.zeros((1, 2), bool), np.zeros((2, 1), bool))


def test_classes_are_counted_over_all_parts_together():
    counts = ClassCounts(3)
    assert counts.figures() is None
    counts.add(np.array([0, 0, 1]), np.array([0, 0, 0]))
    counts.add(np.array([1, -1, 2]), np.array([1, 1, -1]))
    # Class 0: 2 of 3, union 3. Class 1: 1 of 2, union 3. Class 2 is not there.
    assert counts.figures() == ClassFigures((2 / 3 + 1 / 3) / 2, (2 / 3 + 1 / 2) / 2)
