"""Images and depth that are free of distortion already, as the names of their topics say."""

import cv2
import numpy as np
import pytest
from camera_bench import eventually
from numpy.typing import NDArray

from semantic_field_ros.geometry import camera_rays, pixel_grid
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, Qos
from semantic_field_ros.ros.inputs import Inputs
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    transform_message,
)
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.types import PinholeCamera, PosedFrame

STAMP_NS = 1_000_000_000_000
CAMERA = PinholeCamera(160, 120, 120.0, 120.0, 79.5, 59.5)
RECTIFIED = PinholeCamera(160, 120, 100.0, 100.0, 79.5, 59.5)
#: moves what lies at the edges by ten pixels.
DISTORTION = np.array([-0.3, 0.05, 0.0, 0.0, 0.0])
RGB = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


def plane_m(rays: NDArray[np.floating]) -> NDArray[np.float32]:
    """(120, 160) depth of the plane z = 2 + x / 2 along rays (N, 3) with z = 1."""
    return (2 / (1 - rays[:, 0] / 2)).reshape(120, 160).astype(np.float32)


def rays_of(camera: PinholeCamera) -> NDArray[np.floating]:
    return camera_rays(camera, pixel_grid(160, 120))


def bent_rays() -> NDArray[np.floating]:
    """What the pixels of the distorted image look along."""
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    pixels = pixel_grid(160, 120).astype(np.float64)
    straight = cv2.undistortPoints(pixels[:, None], matrix, DISTORTION)[:, 0]
    return np.column_stack([straight, np.ones(len(straight))])


def received(image_topic: str, depth_topic: str, depth_m: NDArray[np.float32]) -> PosedFrame:
    """The frame that comes of an image and depth on remapped topics. P of the CameraInfo has
    another focal length than K."""
    remapped = ["-r", f"image:=/head/{image_topic}", "-r", f"depth:=/head/{depth_topic}"]
    with (
        connect("dds", "tester", ["--ros-args", *remapped]) as graph,
        connect("dds", "other", []) as other,
    ):
        frames: list[PosedFrame] = []
        Inputs(graph, declare_settings(graph), frames.append)
        make = other.message
        image = other.publisher("sensor_msgs/msg/Image", f"/head/{image_topic}", Qos())
        depth = other.publisher("sensor_msgs/msg/Image", f"/head/{depth_topic}", Qos())
        info = other.publisher("sensor_msgs/msg/CameraInfo", "camera_info", LATCHED)
        tf = other.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
        header = header_message(make, "camera", STAMP_NS)
        told = camera_info_message(make, header, CAMERA)
        told.d = DISTORTION
        told.p = np.array([100.0, 0, 79.5, 0, 0, 100.0, 59.5, 0, 0, 0, 1.0, 0])
        info.publish(told)
        item = transform_message(make, header_message(make, "map", 0), "camera", np.eye(4))
        tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))
        eventually(lambda: all(p.subscribers() for p in (image, depth, info, tf)))
        depth.publish(image_message(make, header, depth_m, "32FC1"))
        image.publish(image_message(make, header, RGB, "rgb8"))
        eventually(lambda: frames)
        return frames[0]


@pytest.mark.parametrize("topic", ["image_rect_color", "image_raw"])
def test_rectified_images_are_told_by_their_topic_after_remapping(domain, topic: str) -> None:
    """And their depth is as they are, whatever its topic is called."""
    rectified = topic == "image_rect_color"
    depth_m = plane_m(rays_of(RECTIFIED) if rectified else bent_rays())
    frame = received(topic, "depth", depth_m)
    assert np.array_equal(frame.rgb, RGB) == rectified
    assert (frame.camera == RECTIFIED) == rectified
    assert frame.depth_m is not None and np.array_equal(frame.depth_m, depth_m) == rectified
    np.testing.assert_allclose(frame.depth_m, plane_m(rays_of(frame.camera)), atol=0.05)


def test_depth_that_was_rectified_alone_is_not_undistorted_again(domain) -> None:
    frame = received("image_raw", "depth_registered/image_rect", plane_m(rays_of(RECTIFIED)))
    assert not np.array_equal(frame.rgb, RGB) and frame.camera != RECTIFIED
    assert frame.depth_m is not None
    known = np.isfinite(frame.depth_m)
    assert known.mean() > 0.9
    expected = plane_m(rays_of(frame.camera))
    np.testing.assert_allclose(frame.depth_m[known], expected[known], atol=0.05)
