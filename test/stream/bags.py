"""Writes rosbag2 recordings for the tests."""

from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from semantic_field_ros.geometry import quaternion_from_matrix

TYPES = get_typestore(Stores.ROS2_JAZZY)
STORAGE = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def make(name, **fields):
    return TYPES.types[name](**fields)


def header(stamp_ns, frame_id):
    sec, nanosec = divmod(stamp_ns, 10**9)
    stamp = make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def image(stamp_ns, array, encoding, frame_id="camera_optical"):
    """sensor_msgs/Image of an (H, W) or (H, W, C) array."""
    data = np.ascontiguousarray(array)
    return make(
        "sensor_msgs/msg/Image",
        header=header(stamp_ns, frame_id),
        height=data.shape[0],
        width=data.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=data.strides[0],
        data=data.reshape(-1).view(np.uint8),
    )


def compressed(stamp_ns, data, image_format, frame_id="camera_optical"):
    return make(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp_ns, frame_id),
        format=image_format,
        data=np.frombuffer(data, np.uint8),
    )


def camera_info(camera, stamp_ns=0, distortion=(), model="plumb_bob"):
    roi = make(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp_ns, "camera_optical"),
        height=camera.height,
        width=camera.width,
        distortion_model=model,
        d=np.array(distortion, float),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1.0, 0]),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def _parts(matrix):
    x, y, z = map(float, matrix[:3, 3])
    qx, qy, qz, qw = map(float, quaternion_from_matrix(matrix))
    return (x, y, z), make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw)


def transform(stamp_ns, parent, child, matrix):
    (x, y, z), rotation = _parts(matrix)
    translation = make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=make("geometry_msgs/msg/Transform", translation=translation, rotation=rotation),
    )


def tf(*transforms):
    return make("tf2_msgs/msg/TFMessage", transforms=list(transforms))


def pose_stamped(stamp_ns, frame_id, matrix):
    return make(
        "geometry_msgs/msg/PoseStamped", header=header(stamp_ns, frame_id), pose=pose(matrix)
    )


def pose(matrix):
    (x, y, z), rotation = _parts(matrix)
    point = make("geometry_msgs/msg/Point", x=x, y=y, z=z)
    return make("geometry_msgs/msg/Pose", position=point, orientation=rotation)


def odometry(stamp_ns, frame_id, child, matrix):
    zero = make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    twist = make("geometry_msgs/msg/Twist", linear=zero, angular=zero)
    return make(
        "nav_msgs/msg/Odometry",
        header=header(stamp_ns, frame_id),
        child_frame_id=child,
        pose=make(
            "geometry_msgs/msg/PoseWithCovariance", pose=pose(matrix), covariance=np.zeros(36)
        ),
        twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=np.zeros(36)),
    )


def write_bag(folder: Path, messages, storage="mcap"):
    """Messages are (record time ns, topic, message or raw bytes with type name)."""
    with Writer(folder, version=9, storage_plugin=STORAGE[storage]) as writer:
        links = {}
        for time_ns, topic, message in messages:
            kind = message[0] if isinstance(message, tuple) else message.__msgtype__
            if topic not in links:
                links[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            raw = message[1] if isinstance(message, tuple) else TYPES.serialize_cdr(message, kind)
            writer.write(links[topic], time_ns, raw)
    return folder
