"""Arrays to image, camera and pose messages; `stream/messages.py` is the way back.

Nothing else in the package fills these messages; `clouds.py` does the same for point clouds and
grids, `answers.py` for answers. `make` is `Graph.message`, so that one code serves every graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import quaternion_from_matrix
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


def time_message(make: Make, stamp_ns: int) -> Any:
    """builtin_interfaces/Time.

    Raises:
        TypeError: a stamp that is no int, and so no longer tells every nanosecond.
    """
    if isinstance(stamp_ns, float | np.floating):
        raise TypeError(f"stamp_ns must be an int, got {stamp_ns!r} ({type(stamp_ns).__name__})")
    sec, nanosec = divmod(int(stamp_ns), _NS_PER_S)
    return make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


def header_message(make: Make, frame_id: str, stamp_ns: int) -> Any:
    """std_msgs/Header."""
    return make("std_msgs/msg/Header", frame_id=frame_id, stamp=time_message(make, stamp_ns))


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
