"""Arrays to messages; what `stream/messages.py` reads comes back the same."""

import numpy as np
import pytest

from semantic_field_ros.geometry import look_at
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    pose_message,
    transform_message,
)
from semantic_field_ros.stream.messages import (
    depth_from_message,
    lens_from_message,
    matrix_from_pose,
    matrix_from_transform,
    rgb_from_message,
    stamp_ns,
)
from semantic_field_ros.types import PinholeCamera

make = Types().message
HEADER = header_message(make, "camera", 1_700_000_000_123_456_789)


def test_headers_keep_every_nanosecond() -> None:
    assert stamp_ns(HEADER.stamp) == 1_700_000_000_123_456_789
    assert HEADER.stamp.nanosec == 123_456_789
    assert HEADER.frame_id == "camera"


@pytest.mark.parametrize("stamp", [1.5, np.float64(1.7e18)])
def test_stamps_that_are_no_ints_are_refused(stamp: float) -> None:
    with pytest.raises(TypeError, match="stamp_ns must be an int, got .*float"):
        header_message(make, "camera", stamp)  # type: ignore[arg-type]


def test_colour_comes_back() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    message = image_message(make, HEADER, rgb[:, ::-1], "rgb8")
    assert (message.height, message.width, message.step, message.is_bigendian) == (3, 4, 12, 0)
    np.testing.assert_array_equal(rgb_from_message(message), rgb[:, ::-1])


def test_depth_comes_back_in_both_encodings() -> None:
    millimetres = np.array([[0, 1234], [65535, 1]], np.uint16)
    metres = depth_from_message(image_message(make, HEADER, millimetres, "16UC1"))
    np.testing.assert_array_equal(metres, np.array([[np.nan, 1.234], [np.nan, 0.001]], "f4"))
    float_depth = np.array([[np.nan, 0.5]], np.float32)
    again = depth_from_message(image_message(make, HEADER, float_depth, "32FC1"))
    np.testing.assert_array_equal(again, float_depth)


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [
        (np.zeros((2, 2), np.uint8), "rgb8"),
        (np.zeros((2, 2, 3), np.float32), "rgb8"),
        (np.zeros((2, 2), np.float64), "32FC1"),
        (np.zeros((2, 2), np.uint8), "yuv"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(pixels: np.ndarray, encoding: str) -> None:
    with pytest.raises(ValueError, match=f"got .*({pixels.dtype}|{encoding})"):
        image_message(make, HEADER, pixels, encoding)


def test_camera_info_comes_back() -> None:
    camera = PinholeCamera(640, 480, 500.5, 501.5, 319.25, 240.75)
    message = camera_info_message(make, HEADER, camera)
    assert lens_from_message(message).camera == camera
    assert lens_from_message(message, rectified=True).camera == camera


def test_poses_come_back() -> None:
    pose = look_at(np.array([1.0, 2.0, 3.0]), np.array([0.3, -0.2, 0.5]))
    np.testing.assert_allclose(matrix_from_pose(pose_message(make, pose)), pose, atol=1e-12)
    stamped = transform_message(make, HEADER, "child", pose)
    assert stamped.child_frame_id == "child"
    np.testing.assert_allclose(matrix_from_transform(stamped.transform), pose, atol=1e-12)
