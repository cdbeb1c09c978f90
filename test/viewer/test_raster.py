import numpy as np
import pytest

from semantic_field_ros.types import PinholeCamera, SurfaceCloud
from semantic_field_ros.viewer.raster import facing, front_points, orbit, shade, spacing_of

CAMERA = PinholeCamera(9, 7, 8.0, 8.0, 4.0, 3.0)


def test_the_nearer_point_hides_the_farther_in_either_order():
    points = np.array([[0, 0, 2.0], [0, 0, 1.0], [0.25, 0, 1.0]])
    fine = np.full(3, 0.001)
    front = front_points(points, CAMERA, np.eye(4), fine)
    assert (front[3, 4], front[3, 6]) == (1, 2)
    assert front_points(points[::-1], CAMERA, np.eye(4), fine)[3, 4] == 1
    assert np.count_nonzero(front >= 0) == 2


def test_every_point_closes_the_gap_to_its_own_neighbours():
    points = np.array([[-0.25, 0, 1.0], [0.375, 0, 1.0]])
    front = front_points(points, CAMERA, np.eye(4), np.array([0.2, 0.05]))
    assert np.count_nonzero(front == 0) == 25  # 2 · 0.2 m is 3.2 px: 2 px to each side
    assert np.count_nonzero(front == 1) == 1


def test_points_behind_and_beside_the_camera_are_not_drawn():
    points = np.array([[0, 0, -1.0], [9.0, 0, 1.0]])
    assert (front_points(points, CAMERA, np.eye(4), np.full(2, 0.1)) == -1).all()
    assert (front_points(np.zeros((0, 3)), CAMERA, np.eye(4), np.zeros(0)) == -1).all()


def floor_and_ceiling():
    points = np.array([[0, 0, 0], [0, 0, 2.0]], np.float32)
    normals = np.array([[0, 0, 1], [0, 0, -1.0]], np.float32)
    return SurfaceCloud(points, normals, np.zeros((2, 3), np.uint8), np.ones(2, np.float32))


def test_a_room_is_open_from_above():
    assert facing(floor_and_ceiling(), np.array([0, 0, 5.0])).tolist() == [0]
    assert facing(floor_and_ceiling(), np.array([0, 0, 1.0])).tolist() == [0, 1]


def test_light_falls_off_with_the_angle():
    surface = floor_and_ceiling()
    above = shade(surface, np.array([0]), np.array([0, 0, 5.0]))
    aslant = shade(surface, np.array([0]), np.array([5.0, 0, 0.0]))
    assert above[0] == pytest.approx(1.0) and aslant[0] == pytest.approx(0.55)


def test_orbit_looks_at_the_centre_from_the_wanted_distance():
    pose = orbit(np.array([1.0, 2, 3]), 2.0, 0.0, 0.0)
    assert pose[:3, 3] == pytest.approx([3, 2, 3])
    assert pose[:3, 2] == pytest.approx([-1, 0, 0])


def test_spacing_of_grids_is_that_of_each_of_them():
    grid = np.stack(np.meshgrid(*[np.arange(5) * 0.03] * 3), -1).reshape(-1, 3)
    spacing_m = spacing_of(np.concatenate([grid, 2 * grid + 9]))
    middle = 62  # of 125
    assert spacing_m[[middle, 125 + middle]] == pytest.approx([0.03, 0.06])
    stray = np.append(grid, [[1.0, 1.0, 1.0]], axis=0)
    assert spacing_of(stray)[-1] < 0.06
    assert spacing_of(grid[:1]).tolist() == [np.float32(0.01)]
