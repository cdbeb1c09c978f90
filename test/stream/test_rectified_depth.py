"""Depth of a bag in the pixels of distorted images, undistorted already or not."""

import bags
import cv2
import numpy as np
import pytest

from semantic_field_ros.geometry import camera_rays, pixel_grid
from semantic_field_ros.stream.bag_topics import TopicChoice
from semantic_field_ros.stream.rosbag import BagOptions, RosBag
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 120.0, 120.0, 79.5, 59.5)
RECTIFIED = PinholeCamera(160, 120, 100.0, 100.0, 79.5, 59.5)
#: moves what lies at the edges by ten pixels.
DISTORTION = (-0.3, 0.05, 0.0, 0.0, 0.0)
IMAGE, RECT, RAW = "/head/image_raw", "/depth/image_rect", "/depth/image_raw"


def plane_mm(rays):
    """The depth of the plane z = 2 + x / 2."""
    return np.rint(2000 / (1 - rays[:, 0] / 2)).reshape(120, 160).astype(np.uint16)


def bent_rays():
    """What the pixels of the distorted image look along."""
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    pixels = pixel_grid(160, 120).astype(np.float64)[:, None]
    return cv2.undistortPoints(pixels, matrix, np.array(DISTORTION))[:, 0]


def recording(depth_topic, depth_mm, **changes):
    """One image; P of its CameraInfo has another focal length than K."""
    info = bags.camera_info(CAMERA, distortion=DISTORTION)
    info.p[[0, 5]] = RECTIFIED.fx
    for name, value in changes.items():
        getattr(info, name)[:] = value
    rgb = np.zeros((120, 160, 3), np.uint8)
    return [
        (0, "/head/camera_info", info),
        (0, "/tf_static", bags.tf(bags.transform(0, "map", "camera_optical", np.eye(4)))),
        (1, IMAGE, bags.image(1, rgb, "rgb8")),
        (2, depth_topic, bags.image(1, depth_mm, "16UC1")),
    ]


@pytest.mark.parametrize("depth_info", [None, ""])
@pytest.mark.parametrize("topic", [RECT, RAW])
def test_depth_is_undistorted_unless_its_own_topic_says_that_it_is(tmp_path, topic, depth_info):
    rays = camera_rays(RECTIFIED, pixel_grid(160, 120)) if topic == RECT else bent_rays()
    bag = bags.write_bag(tmp_path / "bag", recording(topic, plane_mm(rays)))
    (frame,) = RosBag(bag, BagOptions(TopicChoice(depth_info=depth_info)))
    assert frame.camera not in (CAMERA, RECTIFIED)
    known = np.isfinite(frame.depth_m)
    assert known.mean() > 0.9
    expected = plane_mm(camera_rays(frame.camera, pixel_grid(160, 120))) / 1000
    np.testing.assert_allclose(frame.depth_m[known], expected[known], atol=0.05)


def test_rectified_depth_needs_the_intrinsics_of_rectified_images(tmp_path):
    messages = recording(RECT, np.full((120, 160), 1000, np.uint16), p=0)
    source = RosBag(bags.write_bag(tmp_path / "bag", messages))
    assert list(source) == []
    said = "at 1 ns: rectified depth needs a CameraInfo with intrinsics in P"
    assert source.tally.last["frame refused"] == said


def test_the_camera_info_of_the_images_may_be_named_for_depth_too(tmp_path):
    depth_mm = np.full((120, 160), 1000, np.uint16)
    bag = bags.write_bag(tmp_path / "bag", recording(RAW, depth_mm))
    (frame,) = RosBag(bag, BagOptions(TopicChoice(depth_info="/head/camera_info")))
    np.testing.assert_array_equal(frame.depth_m, np.ones((120, 160)))
