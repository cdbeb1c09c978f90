import numpy as np
import pytest

from semantic_field_ros.evaluation.views import (
    ViewErrors,
    compare_view,
    mask_in_view,
    points_in_view,
)
from semantic_field_ros.types import PinholeCamera, PosedFrame, SurfaceCloud

CAMERA = PinholeCamera(4, 3, 2.0, 2.0, 1.5, 1.0)


def frame(grey, depth_m=None):
    rgb = np.full((3, 4, 3), grey, np.uint8)
    depth = None if depth_m is None else np.full((3, 4), depth_m, np.float32)
    return PosedFrame(0, "camera", CAMERA, np.eye(4), rgb, depth)


def test_without_truth_the_sensor_tells_the_depth():
    error = compare_view(frame(51, 2.0), np.full((3, 4, 3), 0.3), np.full((3, 4), 2.03), None)
    assert error.psnr_db == pytest.approx(20.0, abs=0.01)  # 0.3 against 51 / 255 = 0.2
    assert error.psnr_fitted_db > 50  # one grey is fitted exactly
    assert error.depth_median_m == pytest.approx(0.03, abs=1e-6)


def test_views_without_depth_say_nothing_about_it():
    errors = ViewErrors()
    assert errors.psnr_db() is None and errors.depth_median_m() is None
    errors.add(compare_view(frame(51), np.full((3, 4, 3), 0.3), np.full((3, 4), 2.0), None))
    errors.add(compare_view(frame(51, 2.0), np.full((3, 4, 3), 0.3), np.full((3, 4), 2.1), None))
    assert errors.psnr_db() == pytest.approx(20.0, abs=0.01)
    assert errors.depth_median_m() == pytest.approx(0.1, abs=1e-6)


def test_a_mask_is_seen_where_the_map_itself_shows_its_points():
    # At 2 m neighbouring pixels are 1 m apart: one surface point per pixel of the lower two rows.
    points = np.array([[u - 1.5, v - 1.0, 2.0] for v in (1, 2) for u in range(4)], np.float32)
    surface = SurfaceCloud(
        points, np.zeros_like(points), np.zeros((8, 3), np.uint8), np.full(8, 0.05, np.float32)
    )
    depth_m = np.full((3, 4), 2.0, np.float32)
    depth_m[2, 0] = np.nan  # empty
    depth_m[2, 1] = 1.0  # something else in front
    mask = mask_in_view(frame(0), depth_m, surface, 0.1)
    assert mask(np.array([0, 4, 5, 6])).tolist() == [
        [False, False, False, False],
        [True, False, False, False],
        [False, False, True, False],
    ]
    assert not mask(np.zeros(0, np.int64)).any()


def test_where_the_surface_is_sparse_its_spacing_is_the_reach():
    points = np.array([[-1.5, -1.0, 2.0], [1.5, -1.0, 2.0]], np.float32)
    spacing = np.array([0.05, 0.3], np.float32)
    surface = SurfaceCloud(points, points, np.zeros((2, 3), np.uint8), spacing)
    depth_m = np.full((3, 4), np.nan, np.float32)
    depth_m[0] = 2.2  # the two points' pixels are 0.27 m from them
    front = points_in_view(frame(0), depth_m, surface, 0.1)
    assert front[0].tolist() == [2, 2, 2, 1]
