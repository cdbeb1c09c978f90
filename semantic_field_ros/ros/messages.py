"""Image, camera and pose messages to arrays and back.

Nothing else in the package reads or fills these messages; `clouds.py` does the same for point
clouds and grids, `answers.py` for queries and their answers.
Messages are taken as they come from either graph; to make one, `make` is `Graph.message`. What
cannot be read is a ValueError that names what was expected and what came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import pose_from_quaternion, quaternion_from_matrix
from semantic_field_ros.stream.decoding import (
    RawImage,
    check_size,
    decode_compressed_depth,
    decode_compressed_image,
    decode_depth,
    decode_image,
)
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.types import PinholeCamera

Make = Callable[..., Any]
Float = NDArray[np.float64]

_NS_PER_S = 10**9
#: bytes per pixel and numpy type, by encoding.
_ENCODINGS = {
    "rgb8": (np.uint8, 3),
    "mono8": (np.uint8, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}


def stamp_ns(stamp: Any) -> int:
    """Nanoseconds of a builtin_interfaces/Time."""
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)


def time_message(make: Make, stamp_ns: int) -> Any:
    """builtin_interfaces/Time."""
    sec, nanosec = divmod(int(stamp_ns), _NS_PER_S)
    return make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


def header_message(make: Make, frame_id: str, stamp_ns: int) -> Any:
    """std_msgs/Header."""
    return make("std_msgs/msg/Header", frame_id=frame_id, stamp=time_message(make, stamp_ns))


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


def image_message(make: Make, header: Any, pixels: NDArray, encoding: str) -> Any:
    """sensor_msgs/Image.

    Args:
        make: of the graph.
        header: std_msgs/Header.
        pixels: (H, W, 3) u8 for rgb8, (H, W) u8 for mono8, u16 for 16UC1 and f32 for 32FC1.
        encoding: one of these.

    Raises:
        ValueError: an encoding or array that does not fit.
    """
    if encoding not in _ENCODINGS:
        raise ValueError(f"encoding must be one of {list(_ENCODINGS)}, got {encoding!r}")
    dtype, channels = _ENCODINGS[encoding]
    shape = pixels.shape[:2] + ((channels,) if channels > 1 else ())
    if pixels.shape != shape or pixels.ndim < 2 or pixels.dtype != dtype:
        raise ValueError(
            f"{encoding} needs {dtype.__name__} {shape}, got {pixels.dtype} {pixels.shape}"
        )
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    return make(
        "sensor_msgs/msg/Image",
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=little.strides[0],
        data=little.reshape(-1).view(np.uint8),
    )


def lens_from_message(info: Any, rectified: bool = False) -> Lens:
    """What turns images of this sensor_msgs/CameraInfo into those of a pinhole camera.

    Args:
        info: binning and region of interest are taken into account.
        rectified: the images are free of distortion already; P holds their intrinsics.

    Raises:
        ValueError: an uncalibrated camera, or a distortion model that is not known.
    """
    check_size(info.width, info.height)
    matrix = np.asarray(info.p if rectified else info.k, np.float64)
    fx, cx, fy, cy = (float(matrix[i]) for i in ((0, 2, 5, 6) if rectified else (0, 2, 4, 5)))
    if not np.isfinite([fx, fy, cx, cy]).all() or fx <= 0 or fy <= 0:
        raise ValueError(
            f"CameraInfo must hold finite intrinsics with fx, fy > 0, got {matrix.tolist()}"
        )
    roi, x_step, y_step = info.roi, max(info.binning_x, 1), max(info.binning_y, 1)
    whole = roi.width == 0 or roi.height == 0
    camera = PinholeCamera(
        int(info.width if whole else roi.width) // x_step,
        int(info.height if whole else roi.height) // y_step,
        fx / x_step,
        fy / y_step,
        (cx - roi.x_offset + 0.5) / x_step - 0.5,
        (cy - roi.y_offset + 0.5) / y_step - 0.5,
    )
    if rectified:
        return Lens(camera)
    return Lens(camera, np.asarray(info.d, np.float64).tolist(), info.distortion_model)


def camera_info_message(make: Make, header: Any, camera: PinholeCamera) -> Any:
    """sensor_msgs/CameraInfo of an undistorted camera."""
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1.0, 0]),
    )


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


def point_message(make: Make, point: NDArray, kind: str = "Point") -> Any:
    """geometry_msgs/Point, or Vector3 by `kind`, of (3,) numbers."""
    x, y, z = (float(value) for value in point)
    return make(f"geometry_msgs/msg/{kind}", x=x, y=y, z=z)


def quaternion_message(make: Make, quaternion_xyzw: NDArray) -> Any:
    """geometry_msgs/Quaternion."""
    x, y, z, w = (float(value) for value in quaternion_xyzw)
    return make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def pose_message(make: Make, parent_from_child: Float) -> Any:
    """geometry_msgs/Pose of a (4, 4) rigid transform."""
    return make(
        "geometry_msgs/msg/Pose",
        position=point_message(make, parent_from_child[:3, 3]),
        orientation=quaternion_message(make, quaternion_from_matrix(parent_from_child)),
    )


def transform_message(make: Make, header: Any, child_frame: str, parent_from_child: Float) -> Any:
    """geometry_msgs/TransformStamped of a (4, 4) rigid transform."""
    rotation = quaternion_message(make, quaternion_from_matrix(parent_from_child))
    translation = point_message(make, parent_from_child[:3, 3], "Vector3")
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=header,
        child_frame_id=child_frame,
        transform=make("geometry_msgs/msg/Transform", translation=translation, rotation=rotation),
    )


def _raw(message: Any) -> RawImage:
    return RawImage(
        data=byte_array(message.data),
        height=message.height,
        width=message.width,
        step=message.step,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
    )


def byte_array(data: Any) -> NDArray[np.uint8]:
    """(N,) u8 view of a `uint8[]` field, which rosbags holds as numpy and rclpy as array.array."""
    return np.frombuffer(data, np.uint8)


def _matrix(translation: Any, rotation: Any) -> Float:
    position = np.array([translation.x, translation.y, translation.z], np.float64)
    if not np.isfinite(position).all():
        raise ValueError(f"position must be finite, got {position.tolist()}")
    return pose_from_quaternion(
        position, np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    )
