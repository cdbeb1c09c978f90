"""A square in front of another one, painted from one view of both."""

from dataclasses import replace

import numpy as np

from semantic_field_ros.export.mesh_views import MeshView
from semantic_field_ros.export.texture import atlas_corners, paint
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(41, 41, 40.0, 40.0, 20.0, 20.0)
DEPTH_CAMERA = CAMERA.scaled_to(20, 20)


def square(half_m: float, z_m: float) -> np.ndarray:
    """(2, 3, 3) triangles that look at the origin."""
    low, high = -half_m, half_m
    a, b, c, d = ((low, low), (low, high), (high, low), (high, high))
    return np.array([[(*p, z_m) for p in t] for t in ((a, b, c), (d, c, b))], np.float32)


def view(**changes: object) -> MeshView:
    """Left half red, right half green, from the origin."""
    rgb = np.zeros((41, 41, 3), np.uint8)
    rgb[:, :20, 0], rgb[:, 20:, 1] = 200, 200
    known = MeshView(CAMERA, np.eye(4), rgb, DEPTH_CAMERA, np.ones((20, 20), np.float32))
    return replace(known, **changes)


def middle_colours(triangles: np.ndarray, texture: np.ndarray) -> np.ndarray:
    """(T, 3) what is painted in the middle of each triangle."""
    places, side = atlas_corners(len(triangles))
    u, v = np.floor(places.mean(axis=1) * side).astype(int).T
    return texture[side - 1 - v, u].astype(int)


def test_what_a_view_sees_is_painted_and_what_is_hidden_keeps_its_own_colour() -> None:
    triangles = np.concatenate([square(0.3, 1.0), square(0.3, 2.0)])
    own = np.tile(np.float32([0.0, 0.0, 1.0]), (4, 3, 1))
    colours = middle_colours(triangles, paint(triangles, own, [view()]))
    # The first triangle's middle is left of the camera's axis, the second's right of it.
    np.testing.assert_array_equal(colours[:2], [[200, 0, 0], [0, 200, 0]])
    np.testing.assert_array_equal(colours[2:], [[0, 0, 255], [0, 0, 255]])


def test_nothing_is_painted_from_behind_or_from_pixels_without_surface() -> None:
    front = square(0.3, 1.0)
    own = np.tile(np.float32([0.0, 0.0, 1.0]), (2, 3, 1))
    nowhere = np.full((20, 20), np.nan, np.float32)
    for triangles, seen in ((front[:, [0, 2, 1]], view()), (front, view(depth_m=nowhere))):
        colours = middle_colours(triangles, paint(triangles, own, [seen]))
        np.testing.assert_array_equal(colours, [[0, 0, 255], [0, 0, 255]])


def test_a_near_view_counts_for_more_than_a_far_one() -> None:
    triangles = square(0.1, 1.0)
    far = np.eye(4)
    far[2, 3] = -1.0  # twice as far away
    red = np.zeros((41, 41, 3), np.uint8)
    red[..., 0] = 255
    green = red[..., [1, 0, 2]]
    views = [view(rgb=red), view(rgb=green, world_from_camera=far)]
    own = np.zeros((2, 3, 3), np.float32)
    colours = middle_colours(triangles, paint(triangles, own, views))
    # A quarter of the pixels, to the power of two, and very nearly the same angle: 1 to 16.
    np.testing.assert_allclose(colours, [[240, 15, 0], [240, 15, 0]], atol=2)
