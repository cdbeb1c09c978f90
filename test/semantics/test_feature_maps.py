import numpy as np
import pytest

from semantic_field_ros.models.base import EmbeddingLayout
from semantic_field_ros.semantics.feature_maps import (
    cell_centres,
    draw_window,
    ray_map,
    unaffected,
    valid_features,
)
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(640, 480, 500, 500, 319.5, 239.5)
LAYOUT = EmbeddingLayout(256, 64, (48, 64))


def test_cells_of_a_640x480_image_in_a_64x64_embedding():
    centres = cell_centres(CAMERA, LAYOUT)
    assert centres.shape == (48 * 64, 2)
    np.testing.assert_allclose(
        centres[[0, 1, 64, -1]], [[4.5, 4.5], [14.5, 4.5], [4.5, 14.5], [634.5, 474.5]]
    )


def test_rays_say_how_they_look():
    pose = np.eye(4)
    pose[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    depth_m = np.full((480, 640), 2.0, np.float32)
    depth_m[4:6, 4:6] = np.nan
    rays = ray_map(CAMERA, pose, LAYOUT, depth_m=depth_m)
    np.testing.assert_array_equal(rays.rotation, pose[:3, :3])
    # The first cell is 10 pixels wide: its middle is 5 of 640 from the left, 5 of 480 from above.
    np.testing.assert_allclose(rays.place[0], [-1 + 10 / 640, (10 - 480) / 640], rtol=1e-5)
    assert rays.cell_share == pytest.approx(10 / 500)
    assert np.isnan(rays.depth_m[0]) and rays.depth_m[1] == 2.0
    assert np.isnan(ray_map(CAMERA, pose, LAYOUT).depth_m).all()


def test_a_rectangle_of_cells_keeps_their_rays():
    rays = ray_map(CAMERA, np.eye(4), LAYOUT)
    part, at = rays.cells(slice(2, 4), slice(10, 13))
    assert part.size == (2, 3)
    np.testing.assert_array_equal(at, [138, 139, 140, 202, 203, 204])  # 2·64 + 10, 3·64 + 10
    np.testing.assert_array_equal(part.directions, rays.directions[at])


def test_several_rays_lead_through_a_cell():
    """Of a cell 10 pixels wide, their pixels are the middles of its four quarters."""
    rays = ray_map(CAMERA, np.eye(4), LAYOUT, per_cell=2)
    assert rays.size == (48, 64) and rays.grid == (96, 128)
    part, at = rays.cells(slice(1, 2), slice(3, 5))
    assert at.tolist() == [67, 68] and part.grid == (2, 4)
    u = part.directions[:, 0] * CAMERA.fx + CAMERA.cx
    v = part.directions[:, 1] * CAMERA.fy + CAMERA.cy
    np.testing.assert_allclose(u, [32, 37, 42, 47] * 2, atol=1e-3)
    np.testing.assert_allclose(v, [12] * 4 + [17] * 4, atol=1e-3)
    assert part.counts.shape == (2,)


def test_cells_that_show_something_ignored_do_not_count():
    ignored = np.zeros((480, 640), bool)
    ignored[479, 639] = ignored[0, :21] = True
    rays = ray_map(CAMERA, np.eye(4), LAYOUT, ignored=ignored)
    np.testing.assert_array_equal(np.flatnonzero(~rays.counts), [0, 1, 2, 48 * 64 - 1])
    part, _ = rays.cells(slice(0, 2), slice(1, 5))
    np.testing.assert_array_equal(part.counts, [False, False, *[True] * 6])


def test_valid_cells_and_padding():
    features = np.arange(8, dtype=np.float16).reshape(2, 2, 2)
    valid, padding = valid_features(features, EmbeddingLayout(2, 2, (1, 2)))
    np.testing.assert_array_equal(valid, [[0, 4], [1, 5]])
    np.testing.assert_array_equal(padding, [[2, 6], [3, 7]])
    with pytest.raises(ValueError, match=r"embedding must be \(3, 2, 2\), got \(2, 2, 2\)"):
        valid_features(features, EmbeddingLayout(3, 2, (1, 2)))


def test_windows_lie_inside_and_fill_small_maps():
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows, columns = draw_window((30, 6), 8, rng)
        assert 0 <= rows.start and rows.stop <= 30 and rows.stop - rows.start == 8
        assert (columns.start, columns.stop) == (0, 6)


def test_cells_near_a_cut_do_not_count_but_those_at_the_border_do():
    # Of a map of 4 rows and 5 columns, rows 0 to 2 and columns 2 to 4: cut below and on the left.
    clean = unaffected((slice(0, 3), slice(2, 5)), (4, 5), reach=1).reshape(3, 3)
    np.testing.assert_array_equal(clean, [[0, 1, 1], [0, 1, 1], [0, 0, 0]])
