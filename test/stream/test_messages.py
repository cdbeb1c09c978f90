import array

import bags
import numpy as np
import pytest

from semantic_field_ros.stream.messages import (
    CameraSetup,
    add_pose,
    add_transforms,
    frame_from_messages,
    is_rectified_topic,
    lens_from_message,
    rgb_from_message,
)
from semantic_field_ros.stream.pairing import Pair
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


def test_a_fisheye_lens_is_undistorted_unless_its_images_are_rectified():
    """Also one that has no coefficients beyond its model."""
    fisheye = info(d=np.zeros(4), distortion_model="equidistant")
    assert lens_from_message(fisheye, rectified=True).undistort(RGB) is RGB
    assert lens_from_message(fisheye).undistort(RGB) is not RGB


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
    setup = CameraSetup(lens)
    frame = frame_from_messages(Pair(7, image, depth, np.eye(4)), "head", setup)
    assert (frame.stamp_ns, frame.camera_name, frame.camera) == (7, "head", CAMERA)
    np.testing.assert_array_equal(frame.depth_m, np.float32(1.5))
    assert frame.ignored is None
    assert frame_from_messages(Pair(7, image, None, np.eye(4)), "head", setup).depth_m is None


@pytest.mark.parametrize(
    ("image", "depth", "message"),
    [
        (RGB[:6], DEPTH_MM, "image must be 16x12 .* got 16x6"),
        (RGB, DEPTH_MM[:, :8], "depth must be 16x12 .* got 8x12"),
    ],
)
def test_sizes_other_than_the_camera_info_are_refused(image, depth, message):
    pair = Pair(0, bags.image(0, image, "rgb8"), bags.image(0, depth, "16UC1"), np.eye(4))
    with pytest.raises(ValueError, match=message):
        frame_from_messages(pair, "head", CameraSetup(lens_from_message(info())))


def posed(ignored=None, **setup):
    """The frame of an image and depth of 1.5 m on the left half, 3 m on the right."""
    depth = np.full((12, 16), 1500, np.uint16)
    depth[:, 8:] = 3000
    pair = Pair(7, bags.image(7, RGB, "rgb8"), bags.image(7, depth, "16UC1"), np.eye(4), ignored)
    return frame_from_messages(pair, "head", CameraSetup(lens_from_message(info()), **setup))


def test_depth_outside_of_its_range_is_unknown():
    frame = posed(depth_range_m=(0.5, 2.0))
    np.testing.assert_array_equal(frame.depth_m[:, :8], 1.5)
    assert np.isnan(frame.depth_m[:, 8:]).all()


def test_the_fixed_mask_and_that_of_the_moment_are_ignored_together():
    mask = np.zeros((12, 16), bool)
    mask[10:] = True
    people = np.zeros((12, 16), np.uint8)
    people[:, 3] = 255
    frame = posed(bags.image(7, people, "mono8"), mask=mask)
    expected = mask | (people > 0)
    np.testing.assert_array_equal(frame.ignored, expected)
    np.testing.assert_array_equal(np.isnan(frame.depth_m), expected)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="mask must be 16x12 .* got 8x6"):
        posed(mask=np.zeros((6, 8), bool))


def test_depth_of_a_camera_of_its_own_is_reprojected():
    """It looks from 1 m behind the colour camera: everything is 1 m nearer there."""
    ahead = np.eye(4)
    ahead[2, 3] = -1.0
    frame = posed(depth_lens=lens_from_message(info()), colour_from_depth=ahead)
    assert frame.depth_m[6, 2] == 0.5 and frame.depth_m[6, 13] == 2.0


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/camera/image_rect_color", True),
        ("/camera/image_rect", True),
        ("/depth/image_rect_raw", True),
        ("/left/rect/image", True),
        ("/camera/image_raw", False),
        ("/director/image", False),
    ],
)
def test_rectified_topics_are_known_by_their_name(topic, rectified):
    assert is_rectified_topic(topic) is rectified


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
def test_transforms_that_are_not_rigid_are_refused_and_the_others_are_not(part, field, value):
    message = bags.transform(0, "map", "odom", np.eye(4))
    setattr(getattr(message.transform, part), field, value)
    tree, sound = TfTree(), bags.transform(0, "map", "camera", np.eye(4))
    with pytest.raises(ValueError, match="'odom' in 'map': .* got"):
        add_transforms(tree, bags.tf(message, sound), static=False)
    assert tree.frames() == {"map", "camera"}
