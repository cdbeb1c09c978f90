import numpy as np
import pytest

from semantic_field_ros.geometry import camera_rays, pixel_grid
from semantic_field_ros.stream.registration import register_depth
from semantic_field_ros.types import PinholeCamera

COLOUR = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
SMALL = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)


def shifted(x=0.0, y=0.0, z=0.0):
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


def test_the_same_camera_sees_the_same():
    depth_m = np.random.default_rng(0).uniform(0.5, 4, (48, 64)).astype(np.float32)
    depth_m[10, 20] = np.nan
    np.testing.assert_array_equal(register_depth(depth_m, COLOUR, COLOUR, np.eye(4)), depth_m)


def test_a_coarser_depth_camera_leaves_no_holes_in_a_plane():
    """Both look at a plane from places 10 cm apart; every colour pixel that sees it has it."""
    depth_m = np.full((24, 32), 2.0, np.float32)
    registered = register_depth(depth_m, SMALL, COLOUR, shifted(x=0.1))
    # 0.1 m are 0.1 · 60 / 2 = 3 pixels to the right; the small image's edge lies at -0.5 - 0.5.
    np.testing.assert_array_equal(registered[:, 3:], 2.0)
    assert np.isnan(registered[:, :2]).all()


def test_a_slanted_plane_keeps_its_shape():
    """z = 2 + 0.5·x in the depth camera's frame, seen 10 cm further right."""
    ray = camera_rays(COLOUR, pixel_grid(64, 48))
    depth_m = (2 / (1 - 0.5 * ray[:, 0])).reshape(48, 64).astype(np.float32)
    registered = register_depth(depth_m, COLOUR, COLOUR, shifted(x=-0.1))
    # x_depth = x_colour + 0.1, so z = 2.05 + 0.5·x_colour there.
    expected = (2.05 / (1 - 0.5 * ray[:, 0])).reshape(48, 64)
    known = np.isfinite(registered)
    assert known[5:43, 5:55].mean() > 0.95
    np.testing.assert_allclose(registered[known], expected[known], rtol=0.015)


def test_the_nearest_surface_wins():
    depth_m = np.full((48, 64), 3.0, np.float32)
    depth_m[:, 30:34] = 1.0
    registered = register_depth(depth_m, COLOUR, COLOUR, shifted(x=0.1))
    # The post moves by 0.1 · 60 / 1 = 6 pixels and hides what moved there by 2.
    np.testing.assert_array_equal(registered[:, 36:40], 1.0)
    np.testing.assert_array_equal(registered[:, 42:], 3.0)


@pytest.mark.parametrize("degrees", [45, 90, 180])
def test_a_turned_depth_camera_leaves_no_holes(degrees):
    turn, angle = np.eye(4), np.radians(degrees)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    registered = register_depth(np.full((48, 64), 2.0, np.float32), COLOUR, COLOUR, turn)
    np.testing.assert_allclose(registered[10:38, 18:46], 2.0, rtol=1e-6)


def test_what_lies_behind_or_absurdly_near_is_left_out():
    depth_m = np.full((48, 64), 0.5, np.float32)
    assert np.isnan(register_depth(depth_m, COLOUR, COLOUR, shifted(z=-1.0))).all()
    assert np.isnan(register_depth(depth_m, COLOUR, COLOUR, shifted(z=-0.499))).all()


def test_depth_of_another_size_is_refused():
    with pytest.raises(ValueError, match="depth must be 32x24 .* got 64x48"):
        register_depth(np.ones((48, 64), np.float32), SMALL, COLOUR, np.eye(4))
