import numpy as np
import pytest

from semantic_field_ros.field.surface_patch import (
    KeyframeDepth,
    measured_depth,
    strided,
    surface_samples,
)
from semantic_field_ros.geometry import look_at, pixel_grid, transform_points, unproject
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(40, 30, 40.0, 40.0, 19.5, 14.5)


def depth_map(depth_m, pose=None):
    pose = np.eye(4) if pose is None else pose
    return KeyframeDepth(0, CAMERA, pose, depth_m.astype(np.float32))


def black():
    return np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)


def test_strided_pixels_are_those_of_the_camera():
    small, pixel = strided(PinholeCamera(10, 7, 20.0, 21.0, 4.5, 3.0), 3)
    assert (small.width, small.height) == (3, 2)
    assert pixel[:4].tolist() == [[1, 1], [4, 1], [7, 1], [1, 4]]
    depth = np.linspace(1, 2, 6)
    big = unproject(PinholeCamera(10, 7, 20.0, 21.0, 4.5, 3.0), np.eye(4), pixel, depth)
    np.testing.assert_allclose(
        unproject(small, np.eye(4), pixel_grid(3, 2), depth), big, atol=1e-6
    )


def test_a_stride_larger_than_the_picture_takes_one_pixel():
    small, pixel = strided(PinholeCamera(4, 2, 5.0, 5.0, 1.5, 0.5), 9)
    assert (small.width, small.height) == (1, 1)
    assert pixel.tolist() == [[2, 1]]


@pytest.mark.parametrize("radius_px", [0, 1, 2])
def test_measured_depth_of_a_slanted_plane_is_exact(radius_px):
    """Inverse depth is linear in the pixel there, so its mean is that of the middle."""
    depth_m = (1 / (0.5 + 0.01 * np.arange(40, dtype=np.float32)))[None].repeat(30, axis=0)
    _, pixel = strided(CAMERA, 5)
    found = measured_depth(depth_m, pixel, radius_px, noise_per_m=0.01)
    np.testing.assert_allclose(found, depth_m[0, pixel[:, 0].astype(int)], rtol=1e-6)


def test_measured_depth_does_not_mix_a_thing_with_what_is_behind():
    """A noise of 2 mm at 1 m allows 6 mm, and a share of 1 % of the depth another 10 mm."""
    depth_m = np.full((3, 3), 1.0, np.float32)
    depth_m[:, 2] = 1.03
    middle = np.array([[1, 1]], np.float32)
    assert measured_depth(depth_m, middle, 1, 0.002)[0] == pytest.approx(1.0)
    depth_m[:, 2] = 1.01
    assert measured_depth(depth_m, middle, 1, 0.002)[0] == pytest.approx(1.0033, abs=1e-4)


@pytest.mark.parametrize("unknown", [np.nan, 0.0, np.inf, -1.0])
def test_depth_that_was_not_measured_stays_unknown_and_spoils_no_other(unknown):
    depth_m = np.full((3, 4), 2.0, np.float32)
    depth_m[1, 1] = unknown
    pixel = np.array([[1, 1], [2, 1], [3, 2], [0, 0]], np.float32)
    np.testing.assert_array_equal(measured_depth(depth_m, pixel, 1, 0.002), [np.nan, 2, 2, 2])


@pytest.mark.parametrize("tilt", [0.0, 0.5, 1.5])
def test_a_slanted_plane_gives_its_normal(tilt):
    """The plane z = 2 + tilt·x in the camera."""
    rays_x = (pixel_grid(40, 30)[:, 0] - 19.5) / 40.0
    depth = (2 / (1 - tilt * rays_x)).reshape(30, 40)
    samples = surface_samples(depth_map(depth), black())
    assert len(samples) == 1200
    expected = np.array([tilt, 0, -1]) / np.hypot(tilt, 1)
    np.testing.assert_allclose(samples[:, 3:6], np.broadcast_to(expected, (1200, 3)), atol=1e-3)
    np.testing.assert_allclose(samples[:, 2] - tilt * samples[:, 0], 2, atol=1e-4)


def test_pixels_between_object_and_background_are_dropped():
    depth = np.full((30, 40), 2.0)
    depth[:, :20] = 1.0
    depth[:, 20] = 1.4
    samples = surface_samples(depth_map(depth), black())
    assert sorted(set(samples[:, 2].round(3).tolist())) == [1.0, 2.0]
    assert len(samples) == 30 * 39


def test_a_thing_one_pixel_wide_is_kept():
    depth = np.full((30, 40), 2.0)
    depth[:, 20] = 1.5
    samples = surface_samples(depth_map(depth), black())
    assert (samples[:, 2] == 1.5).sum() == 30


def test_grazing_and_unknown_pixels_are_dropped():
    """A floor 2 cm below the camera: the angle to it is that of the ray to the horizon."""
    rays_y = ((pixel_grid(40, 30)[:, 1] - 14.5) / 40.0).reshape(30, 40)
    depth = np.where(rays_y > 0, 0.02 / np.maximum(rays_y, 1e-6), np.nan)
    samples = surface_samples(depth_map(depth), black())
    length = np.linalg.norm(samples[:, :3], axis=1)
    assert (0.02 / length > 0.1).all()
    assert len(samples) == 11 * 40
    assert len(surface_samples(depth_map(np.full((30, 40), np.nan)), black())) == 0


def test_moving_the_camera_moves_the_samples():
    motion = look_at(np.array([0.3, -0.2, 0.1]), np.array([1.0, 1.0, 0.5]))
    depth = np.full((30, 40), 1.5)
    still = surface_samples(depth_map(depth), black())
    moved = surface_samples(depth_map(depth, motion), black())
    np.testing.assert_allclose(moved[:, :3], transform_points(motion, still[:, :3]), atol=1e-5)
    np.testing.assert_allclose(moved[:, 3:6], still[:, 3:6] @ motion[:3, :3].T, atol=1e-5)
