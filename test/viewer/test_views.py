"""Colours of layers, and answers drawn into views."""

import numpy as np
import pytest

from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.types import Mask3D, OrientedBox, PinholeCamera, SurfaceCloud
from semantic_field_ros.viewer.colours import depth_colours, instance_colours, relevancy_colours
from semantic_field_ros.viewer.pointing import View
from semantic_field_ros.viewer.scene import box_edges, thinned
from semantic_field_ros.viewer.views import lit, members

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
BOX = OrientedBox(np.zeros(3), np.array([0.0, 0, 0, 1]), np.ones(3))


def wall(version: int = 3, shift_m: float = 0.0) -> SurfaceCloud:
    """A point in every pixel of the camera at 1 m; `shift_m` moves it along x."""
    pixel = pixel_grid(CAMERA.width, CAMERA.height)
    points = unproject(CAMERA, np.eye(4), pixel, np.ones(len(pixel)))
    points = points + np.array([shift_m, 0, 0], np.float32)
    normals = np.tile(np.array([0, 0, -1], np.float32), (len(points), 1))
    rgb = np.full((len(points), 3), 100, np.uint8)
    spacing_m = np.full(len(points), 1 / 60, np.float32)
    return SurfaceCloud(points, normals, rgb, spacing_m, map_version=version)


def left_half(surface: SurfaceCloud) -> Mask3D:
    indices = np.flatnonzero(np.arange(len(surface.points)) % CAMERA.width < CAMERA.width // 2)
    ones = np.ones(len(indices), np.float32)
    points, rgb = surface.points[indices], surface.rgb[indices]
    return Mask3D(indices, points, rgb, ones, "left", 1.0, BOX, surface.map_version)


def test_an_answer_is_lit_where_the_view_shows_it():
    surface = wall()
    grey = np.full((48, 64, 3), 100, np.uint8)
    picture = lit(grey, View(CAMERA, np.eye(4)), surface, [left_half(surface)]).astype(int)
    reddish = picture[..., 0] - picture[..., 2] > 30
    # The outline in between is white.
    assert reddish[4:-4, 4:28].all() and not reddish[:, 36:].any()
    np.testing.assert_array_equal(lit(grey, View(CAMERA, np.eye(4)), surface, []), grey)


def test_an_answer_of_an_older_map_is_found_again_by_its_points():
    old, new = wall(version=2), wall(version=3, shift_m=0.002)
    mask = left_half(old)
    np.testing.assert_array_equal(np.flatnonzero(members(old, [mask])), mask.indices)
    near = members(new, [mask])
    assert near[mask.indices].all() and near.sum() < 1.1 * len(mask.indices)


def test_relevancy_glows_and_the_rest_is_grey():
    rgb = np.full((3, 3), 200, np.uint8)
    cold, warm, hot = relevancy_colours(np.array([0.1, 0.5, 0.9]), rgb).astype(int)
    assert cold[0] == cold[1] == cold[2] == 110  # 0.55 of the brightness
    assert warm[0] > warm[2] and hot.sum() > warm.sum()


def test_depth_runs_from_warm_to_cold_and_unknown_is_black():
    near, far, unknown = depth_colours(np.array([[1.0, 3.0, np.nan]]))[0].astype(int)
    assert near[0] > near[2] and far[2] > far[0] and not unknown.any()
    assert not depth_colours(np.full((2, 2), np.nan)).any()


def test_instances_differ_in_colour():
    colours = instance_colours(np.array([0, 1, 2, 3]), np.full((4, 3), 100, np.uint8))
    assert len(np.unique(colours, axis=0)) == 4
    np.testing.assert_array_equal(colours[0], [70, 70, 70])


@pytest.mark.parametrize(("most", "count"), [(10, 10), (5000, 48 * 64)])
def test_a_cloud_is_thinned_evenly(most, count):
    shown = thinned(wall(), most)
    assert len(np.unique(shown)) == count
    assert shown[0] == 0 and shown[-1] == 48 * 64 - 1


def test_a_box_has_twelve_edges_of_its_sizes():
    turned = OrientedBox(
        np.ones(3), np.array([0, 0, np.sqrt(0.5), np.sqrt(0.5)]), np.array([1, 2, 3])
    )
    edges = box_edges(turned)
    lengths = np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1)
    np.testing.assert_allclose(np.sort(lengths), [1] * 4 + [2] * 4 + [3] * 4, atol=1e-6)
    # A quarter turn about z lays the 2 m edge along x: from 0 to 2.
    np.testing.assert_allclose([edges[..., 0].min(), edges[..., 0].max()], [0, 2], atol=1e-6)
