"""SE(3) and the pinhole model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros import geometry
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(320, 240, 280.0, 270.0, 159.5, 119.5)
COORDINATE = st.floats(-3, 3)


def test_look_at_points_the_optical_axis_and_keeps_the_horizon() -> None:
    pose = geometry.look_at(np.array([1.0, 0, 1]), np.array([0.0, 0, 1]))
    np.testing.assert_allclose(pose[:3, 2], [-1, 0, 0], atol=1e-12)  # z: forward
    np.testing.assert_allclose(pose[:3, 1], [0, 0, -1], atol=1e-12)  # y: down
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_project_by_hand() -> None:
    pixel, depth = geometry.project(CAMERA, np.eye(4), np.array([[0.5, -0.25, 2.0]]))
    np.testing.assert_allclose(pixel, [[159.5 + 70.0, 119.5 - 33.75]], rtol=1e-6)
    assert depth == pytest.approx([2.0])


@given(eye=st.tuples(COORDINATE, COORDINATE, COORDINATE), depth=st.floats(0.1, 9))
def test_unproject_and_project_are_inverse(eye: tuple[float, ...], depth: float) -> None:
    pose = geometry.look_at(np.array(eye), np.array(eye) + [0.3, -1.0, 0.2])
    pixel = np.array([[3.0, 200.0], [319.0, 0.0]], np.float32)
    points = geometry.unproject(CAMERA, pose, pixel, np.full(2, depth))
    back, back_depth = geometry.project(CAMERA, pose, points)
    np.testing.assert_allclose(back, pixel, atol=2e-2)
    np.testing.assert_allclose(back_depth, depth, rtol=1e-4, atol=1e-5)


def test_points_behind_the_camera_are_outside() -> None:
    pixel, depth = geometry.project(CAMERA, np.eye(4), np.array([[0, 0, -1.0], [0, 0, 1.0]]))
    assert geometry.inside_image(CAMERA, pixel, depth).tolist() == [False, True]


def test_quaternions_round_trip_and_refuse_other_lengths() -> None:
    pose = geometry.look_at(np.array([1.0, 2, 3]), np.zeros(3))
    quaternion = geometry.quaternion_from_matrix(pose[:3, :3])
    np.testing.assert_allclose(
        geometry.pose_from_quaternion(pose[:3, 3], quaternion), pose, atol=1e-12
    )
    with pytest.raises(ValueError, match="quaternion must have length 1, got 0"):
        geometry.pose_from_quaternion(np.zeros(3), np.zeros(4))


def test_invert_rigid() -> None:
    pose = geometry.look_at(np.array([1.0, 2, 3]), np.zeros(3))
    np.testing.assert_allclose(geometry.invert_rigid(pose) @ pose, np.eye(4), atol=1e-12)
    assert geometry.rotation_angle_rad(pose, pose) == pytest.approx(0, abs=1e-6)


def test_half_way_between_two_poses() -> None:
    start, end = np.eye(4), np.eye(4)
    end[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # a quarter turn about z
    end[:3, 3] = [2, 0, -1]
    middle = geometry.interpolate_pose(start, end, 0.5)
    half = np.sqrt(0.5)  # cos and sin of 45 degrees
    np.testing.assert_allclose(middle[:3, :3], [[half, -half, 0], [half, half, 0], [0, 0, 1]])
    np.testing.assert_allclose(middle[:3, 3], [1, 0, -0.5])
    np.testing.assert_allclose(geometry.interpolate_pose(start, end, 1.0), end, atol=1e-12)
    np.testing.assert_allclose(geometry.interpolate_pose(start, end, 0.0), start, atol=1e-12)


def test_the_nearest_of_some_points():
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0]], np.float32)
    distance, index = geometry.nearest_points(points, np.array([[0.9, 0, 0], [0, 2, 3.0]]))
    assert index.tolist() == [1, 2]
    np.testing.assert_allclose(distance, [0.1, 3.0], rtol=1e-6)
