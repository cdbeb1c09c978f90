import array

import bags
import numpy as np
import pytest

from semantic_field_ros.stream.messages import (
    add_pose,
    add_transforms,
    frame_from_messages,
    lens_from_message,
    rgb_from_message,
)
from semantic_field_ros.stream.tf_tree import TfTree
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(16, 12, 14.0, 14.0, 7.5, 5.5)
RGB = np.arange(16 * 12 * 3, dtype=np.uint8).reshape(12, 16, 3)
DEPTH_MM = np.full((12, 16), 1500, np.uint16)


def info(**changes):
    message = bags.camera_info(CAMERA)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_binning_and_region_of_interest_change_the_camera():
    binned = lens_from_message(info(binning_x=2, binning_y=2)).camera
    assert binned == CAMERA.scaled_to(8, 6)
    cropped = info()
    roi = cropped.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = 4, 2, 8, 8
    assert lens_from_message(cropped).camera == PinholeCamera(8, 8, 14.0, 14.0, 3.5, 3.5)


def test_rectified_images_take_the_projection_matrix():
    distorted = info(d=np.array([0.1, 0, 0, 0, 0]))
    distorted.p[0] = 13.0
    assert lens_from_message(distorted, rectified=True).camera.fx == 13.0
    assert lens_from_message(distorted).camera != CAMERA


@pytest.mark.parametrize(
    "changes",
    [
        {"k": np.zeros(9)},
        {"k": np.full(9, np.nan)},
        {"width": 0},
        {"width": 2**31},
        {"distortion_model": "pano", "d": np.ones(4)},
        {"d": np.full(5, np.inf)},
    ],
)
def test_camera_info_that_cannot_be_is_refused(changes):
    with pytest.raises(ValueError, match="got"):
        lens_from_message(info(**changes))


def test_bytes_of_rclpy_are_read_like_those_of_rosbags():
    message = bags.image(0, RGB, "rgb8")
    message.data = array.array("B", RGB.tobytes())
    np.testing.assert_array_equal(rgb_from_message(message), RGB)


def test_frame_of_messages_that_belong_together():
    image, depth = bags.image(7, RGB, "rgb8"), bags.image(7, DEPTH_MM, "16UC1")
    lens = lens_from_message(info())
    frame = frame_from_messages(7, "head", lens, np.eye(4), image, depth)
    assert (frame.stamp_ns, frame.camera_name, frame.camera) == (7, "head", CAMERA)
    np.testing.assert_array_equal(frame.depth_m, np.float32(1.5))
    assert frame_from_messages(7, "head", lens, np.eye(4), image).depth_m is None


@pytest.mark.parametrize(
    ("image", "depth", "message"),
    [
        (RGB[:6], DEPTH_MM, "image must be 16x12 .* got 16x6"),
        (RGB, DEPTH_MM[:, :8], "depth must be 16x12 .* got 8x12"),
    ],
)
def test_sizes_other_than_the_camera_info_are_refused(image, depth, message):
    parts = bags.image(0, image, "rgb8"), bags.image(0, depth, "16UC1")
    with pytest.raises(ValueError, match=message):
        frame_from_messages(0, "head", lens_from_message(info()), np.eye(4), *parts)


def test_poses_and_transforms_fill_the_tree():
    step = np.eye(4)
    step[0, 3] = 2.0
    tree = TfTree()
    add_transforms(tree, bags.tf(bags.transform(5, "map", "odom", step)), static=False)
    add_pose(tree, bags.odometry(5, "odom", "base", step), child_frame="camera")
    add_pose(tree, bags.pose_stamped(5, "base", step), child_frame="camera")
    assert tree.lookup("map", "camera", 5)[0, 3] == 6.0


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [("translation", "x", np.nan), ("rotation", "w", 0.2), ("rotation", "x", np.inf)],
)
def test_transforms_that_are_not_rigid_are_refused(part, field, value):
    message = bags.transform(0, "map", "odom", np.eye(4))
    setattr(getattr(message.transform, part), field, value)
    with pytest.raises(ValueError, match="got"):
        add_transforms(TfTree(), bags.tf(message), static=False)
