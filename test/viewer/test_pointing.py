"""From pointers on a page to points of the map and pixels of views."""

import numpy as np
import pytest

from semantic_field_ros.geometry import look_at, unproject
from semantic_field_ros.types import PinholeCamera, SurfaceCloud
from semantic_field_ros.viewer.pointing import (
    MOST_POINTS,
    PICTURE_M,
    Pointed,
    View,
    camera_hit,
    fitting_fov_rad,
    hit,
    window_ray,
    window_view,
)

CAMERA = PinholeCamera(200, 100, 100.0, 100.0, 99.5, 49.5)


def two_walls() -> SurfaceCloud:
    """Points every 10 cm on the planes x = 1 and x = 2."""
    y, z = (
        grid.ravel() for grid in np.meshgrid(np.arange(-1, 1.01, 0.1), np.arange(-1, 1.01, 0.1))
    )
    walls = [np.stack([np.full_like(y, x), y, z], axis=1) for x in (1.0, 2.0)]
    points = np.concatenate(walls).astype(np.float32)
    normals = np.tile(np.array([-1, 0, 0], np.float32), (len(points), 1))
    return SurfaceCloud(
        points,
        normals,
        np.zeros((len(points), 3), np.uint8),
        np.full(len(points), 0.1, np.float32),
    )


def test_a_ray_hits_the_nearer_wall_where_it_points():
    direction = np.array([5.0, 1.0, 0.0])  # at x = 1 it is at y = 0.2
    found = hit(two_walls(), np.zeros(3), direction)
    np.testing.assert_allclose(found, [1.0, 0.2, 0.0], atol=1e-6)


def test_a_ray_that_passes_by_hits_nothing():
    assert hit(two_walls(), np.zeros(3), np.array([-1.0, 0.0, 0.0])) is None
    assert hit(two_walls(), np.zeros(3), np.array([0.0, 0.0, 1.0])) is None


def test_a_camera_is_clicked_only_in_front_of_the_surface():
    eyes = np.array([[0.5, 0.3, 0.0], [0.5, 0.01, 0.0], [3.0, 0.0, 0.0]])
    ray = np.zeros(3), np.array([1.0, 0.0, 0.0])
    assert camera_hit(eyes, *ray, before_m=1.0) == 1
    assert camera_hit(eyes[[0, 2]], *ray, before_m=1.0) is None
    assert camera_hit(eyes[:0], *ray, before_m=1.0) is None


def test_a_place_in_the_window_is_the_pixel_of_the_view_that_it_shows():
    """The view is narrower than the window that looks through it, so the rays differ in scale."""
    pose = look_at(np.array([1.0, 2.0, 3.0]), np.zeros(3))
    view = View(CAMERA, pose)
    window = window_view(pose, fitting_fov_rad(CAMERA, 1.0), 1.0, 400)
    # The view's 200 x 100 pixels fill the whole width and the middle half of the height.
    for screen, pixel in (((0.5, 0.5), (99.5, 49.5)), ((0.25, 0.25 + 1e-6), (49.5, -0.5))):
        np.testing.assert_allclose(view.pixel_of(*window_ray(window, screen)), pixel, atol=1e-3)


def test_a_click_names_what_the_picture_shows_there_wherever_the_browser_looks_from():
    view = View(CAMERA, look_at(np.array([1.0, 2.0, 3.0]), np.zeros(3)))
    pixel = np.array([[150.0, 20.0]])
    # (0.505, -0.295, 1) m from the camera, of which the picture hangs at 0.15.
    shown = unproject(CAMERA, view.world_from_camera, pixel, np.array([PICTURE_M]))[0]
    right, _, ahead, eye = view.world_from_camera[:3].T
    for moved in (0.0 * ahead, 0.05 * ahead, -0.4 * ahead, 0.1 * right - 0.1 * ahead):
        direction = 3.0 * (shown - eye - moved)
        np.testing.assert_allclose(view.pixel_of(eye + moved, direction), pixel[0], atol=1e-2)
    with pytest.raises(ValueError, match="outside of the picture"):  # which is behind
        view.pixel_of(eye + 0.2 * ahead, ahead)


def test_a_click_beside_the_picture_is_refused():
    view = View(CAMERA, np.eye(4))
    with pytest.raises(ValueError, match="outside of the picture"):
        view.pixel_of(np.zeros(3), np.array([3.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="outside of the picture"):
        view.pixel_of(np.zeros(3), np.array([0.0, 0.0, -1.0]))
    with pytest.raises(ValueError, match="outside of the picture"):
        view.pixel_of(np.zeros(3), np.array([1.0, 0.0, 0.0]))


def test_what_is_pointed_at_starts_positive_and_stays_bounded():
    with pytest.raises(ValueError, match="first"):
        Pointed().plus(np.zeros(3), positive=False)
    pointed = Pointed()
    for _ in range(MOST_POINTS):
        pointed = pointed.plus(np.zeros(3), positive=True)
    with pytest.raises(ValueError, match="at most 20"):
        pointed.plus(np.zeros(3), positive=False)


def test_a_box_may_be_followed_by_what_is_not_meant():
    boxed = Pointed(view=View(CAMERA, np.eye(4)), box_px=np.array([1, 2, 3, 4], np.float32))
    more = boxed.plus(np.array([1.0, 2.0]), positive=False)
    assert more.positive == (False,) and more.box_px is boxed.box_px and more.view is boxed.view


def test_the_field_of_view_shows_the_wider_side():
    # 100 of 100 pixels focal length on each side: 90 degrees wide, 2 atan(0.5) high.
    assert fitting_fov_rad(CAMERA, 2.0) == pytest.approx(2 * np.arctan(0.5))
    assert fitting_fov_rad(CAMERA, 1.0) == pytest.approx(np.pi / 2)
