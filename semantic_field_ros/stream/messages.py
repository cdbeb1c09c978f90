"""Reads camera and pose messages, whoever carries them (rosbags and rclpy name fields alike).

What cannot be read is a ValueError that names what was expected and what came.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import pose_from_quaternion
from semantic_field_ros.stream.decoding import (
    RawImage,
    check_size,
    decode_compressed_depth,
    decode_compressed_image,
    decode_depth,
    decode_image,
)
from semantic_field_ros.stream.frames import check_frame
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.pairing import Pair
from semantic_field_ros.stream.registration import register_depth
from semantic_field_ros.stream.tf_tree import TfTree
from semantic_field_ros.types import PinholeCamera, PosedFrame

Float = NDArray[np.float64]

_RECTIFIED = frozenset({"rect", "rectified", "rectify"})


@dataclass(frozen=True)
class CameraSetup:
    """What one camera's images need to become frames.

    Attributes:
        lens: of the colour image.
        depth_lens: of depth that is not in the pixels of the colour image as it comes, because it
            is not registered to it or has been rectified alone; None = it is.
        colour_from_depth: (4, 4) between the optical frames, of such depth.
        depth_range_m: least and greatest depth that is believed, metres.
        mask: (H, W) bool over the image as it comes, True where the camera sees the robot itself;
            None = nowhere.
    """

    lens: Lens
    depth_lens: Lens | None = None
    colour_from_depth: Float = field(default_factory=lambda: np.eye(4))
    depth_range_m: tuple[float, float] = (0.0, float("inf"))
    mask: NDArray[np.bool_] | None = None


def is_rectified_topic(topic: str) -> bool:
    """Whether images of this topic are free of distortion, by the names that ROS gives them.

    The CameraInfo beside a rectified image still holds the coefficients of the lens; only the
    name (image_rect, image_rect_color, rect/image) tells the two apart.
    """
    words = topic.lower().replace("/", "_").split("_")
    return not _RECTIFIED.isdisjoint(words)


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def byte_array(data: Any) -> NDArray[np.uint8]:
    """(N,) u8 view of a `uint8[]` field, which rosbags holds as numpy and rclpy as array.array."""
    return np.frombuffer(data, np.uint8)


def rgb_from_message(message: Any) -> NDArray[np.uint8]:
    """(H, W, 3) u8 RGB of a sensor_msgs/Image or CompressedImage.

    Raises:
        ValueError: unknown encoding, wrong sizes, damaged file.
    """
    if hasattr(message, "format"):
        return decode_compressed_image(byte_array(message.data), message.format)
    return decode_image(_raw(message))


def depth_from_message(message: Any) -> NDArray[np.float32]:
    """(H, W) f32 metres, NaN unknown, of an Image (16UC1 mm, 32FC1 m) or a compressedDepth one.

    Raises:
        ValueError: unknown encoding, wrong sizes, damaged file.
    """
    if hasattr(message, "format"):
        return decode_compressed_depth(byte_array(message.data), message.format)
    return decode_depth(_raw(message))


def lens_from_message(info: Any, rectified: bool = False) -> Lens:
    """What turns images of this sensor_msgs/CameraInfo into those of a pinhole camera.

    Args:
        info: binning and region of interest are taken into account.
        rectified: the images are free of distortion already; P holds their intrinsics.

    Raises:
        ValueError: an uncalibrated camera, or a distortion model that is not known.
    """
    camera = camera_from_message(info, rectified)
    if rectified:
        return Lens(camera)
    return Lens(camera, np.asarray(info.d, np.float64).tolist(), info.distortion_model)


def camera_from_message(info: Any, rectified: bool = False) -> PinholeCamera:
    """The camera of a sensor_msgs/CameraInfo without its distortion; as `lens_from_message`."""
    check_size(info.width, info.height)
    matrix = np.asarray(info.p if rectified else info.k, np.float64).reshape(3, -1)
    fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not np.isfinite([fx, fy, cx, cy]).all() or fx <= 0 or fy <= 0:
        raise ValueError(
            f"CameraInfo must hold finite intrinsics with fx, fy > 0, got {matrix.tolist()}"
        )
    roi, x_step, y_step = info.roi, max(info.binning_x, 1), max(info.binning_y, 1)
    whole = roi.width == 0 or roi.height == 0
    return PinholeCamera(
        int(info.width if whole else roi.width) // x_step,
        int(info.height if whole else roi.height) // y_step,
        fx / x_step,
        fy / y_step,
        (cx - roi.x_offset + 0.5) / x_step - 0.5,
        (cy - roi.y_offset + 0.5) / y_step - 0.5,
    )


def ignored_from_message(message: Any) -> NDArray[np.bool_]:
    """(H, W) bool, True where an Image (mono8, 8UC1) or a compressed one is not black.

    Raises:
        ValueError: unknown encoding, wrong sizes, damaged file.
    """
    return np.asarray(rgb_from_message(message).any(axis=2))


def frame_from_messages(pair: Pair, camera_name: str, setup: CameraSetup) -> PosedFrame:
    """A checked, undistorted frame of messages that belong together.

    Args:
        pair: image and, where there are some, depth and ignore mask: Image or CompressedImage.
        camera_name: which camera.
        setup: of the CameraInfo; knows the sizes that the images must have.

    Raises:
        ValueError: anything about them that is wrong.
    """
    lens = setup.lens
    rgb = lens.undistort(_of_size(rgb_from_message(pair.image), lens.camera, "image"))
    return check_frame(
        PosedFrame(
            pair.stamp_ns,
            camera_name,
            lens.camera,
            pair.world_from_camera,
            rgb,
            None if pair.depth is None else _depth(pair.depth, setup),
            _ignored(pair.ignored, setup),
        )
    )


def _depth(message: Any, setup: CameraSetup) -> NDArray[np.float32]:
    """(H, W) f32 metres in the pixels of the undistorted colour image."""
    lens = setup.depth_lens or setup.lens
    depth_m = lens.undistort_depth(_of_size(depth_from_message(message), lens.camera, "depth"))
    least_m, greatest_m = setup.depth_range_m
    with np.errstate(invalid="ignore"):
        depth_m = np.where((depth_m >= least_m) & (depth_m <= greatest_m), depth_m, np.nan)
    colour = setup.lens.camera
    if lens.camera == colour and np.array_equal(setup.colour_from_depth, np.eye(4)):
        return depth_m.astype(np.float32, copy=False)
    return register_depth(depth_m, lens.camera, colour, setup.colour_from_depth)


def _ignored(message: Any | None, setup: CameraSetup) -> NDArray[np.bool_] | None:
    """(H, W) bool in the undistorted colour image, of the fixed mask and that of the moment."""
    masks = [] if setup.mask is None else [_of_size(setup.mask, setup.lens.camera, "mask")]
    if message is not None:
        masks.append(_of_size(ignored_from_message(message), setup.lens.camera, "ignore mask"))
    return setup.lens.undistort_mask(np.logical_or.reduce(masks)) if masks else None


def matrix_from_pose(pose: Any) -> Float:
    """(4, 4) of a geometry_msgs/Pose: moves points from the posed frame to the header's.

    Raises:
        ValueError: not finite, or a quaternion that is not of length 1.
    """
    return _matrix(pose.position, pose.orientation)


def matrix_from_transform(transform: Any) -> Float:
    """(4, 4) of a geometry_msgs/Transform: moves points from the child frame to the header's.

    Raises:
        ValueError: not finite, or a quaternion that is not of length 1.
    """
    return _matrix(transform.translation, transform.rotation)


def add_transforms(tree: TfTree, message: Any, static: bool) -> None:
    """Puts a tf2_msgs/TFMessage into the tree.

    Raises:
        ValueError: transforms that cannot be; all others are in the tree.
    """
    refused = []
    for transform in message.transforms:
        parent, child = transform.header.frame_id, transform.child_frame_id
        try:
            matrix = matrix_from_transform(transform.transform)
            tree.set_transform(parent, child, stamp_ns(transform.header.stamp), matrix, static)
        except ValueError as error:
            refused.append(f"{child!r} in {parent!r}: {error}")
    if refused:
        raise ValueError("; ".join(refused))


def add_pose(tree: TfTree, message: Any, child_frame: str) -> None:
    """Puts a geometry_msgs/PoseStamped or nav_msgs/Odometry into the tree.

    Args:
        tree: where to.
        message: the pose of `child_frame` in the header's frame.
        child_frame: what is posed; an Odometry that names its own child frame overrules it.

    Raises:
        ValueError: a pose that cannot be.
    """
    child = getattr(message, "child_frame_id", "") or child_frame
    pose = message.pose.pose if hasattr(message.pose, "pose") else message.pose
    stamp = stamp_ns(message.header.stamp)
    tree.set_transform(message.header.frame_id, child, stamp, matrix_from_pose(pose))


def _of_size(array: NDArray, camera: PinholeCamera, what: str) -> NDArray:
    if array.shape[:2] != (camera.height, camera.width):
        raise ValueError(
            f"{what} must be {camera.width}x{camera.height} as its CameraInfo says, "
            f"got {array.shape[1]}x{array.shape[0]}"
        )
    return array


def _raw(message: Any) -> RawImage:
    return RawImage(
        data=byte_array(message.data),
        height=message.height,
        width=message.width,
        step=message.step,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
    )


def _matrix(translation: Any, rotation: Any) -> Float:
    position = np.array([translation.x, translation.y, translation.z], np.float64)
    if not np.isfinite(position).all():
        raise ValueError(f"position must be finite, got {position.tolist()}")
    return pose_from_quaternion(
        position, np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    )
