"""A robot with two cameras, as any ROS 2 program would publish it: map → odom → base → cameras.

The front camera sits on the base and sends raw images, the wrist camera moves with the arm and
sends compressed ones. Nothing here knows the mapping node.
"""

import time

import cv2
import numpy as np

from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.ros.graph import LATCHED, Graph, Qos
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    transform_message,
)
from semantic_field_ros.types import PosedFrame

#: where the front camera sits on the base: half a metre up, looking ahead.
BASE_FROM_FRONT = np.array(
    [[0.0, 0.0, 1.0, 0.1], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.5], [0.0, 0.0, 0.0, 1.0]]
)
#: sensor_msgs/CompressedImage of depth begins with a header that only lossy depth needs.
DEPTH_HEADER = bytes(12)


class Robot:
    """Publishes the frames of its two cameras, each with the transforms of its moment."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._make = graph, graph.message
        self._base = np.eye(4)
        out = Qos(depth=20)
        images = {
            "front/image": "Image", "front/depth": "Image",
            "wrist/image/compressed": "CompressedImage",
            "wrist/depth/compressedDepth": "CompressedImage",
            "front/camera_info": "CameraInfo", "wrist/camera_info": "CameraInfo",
        }  # fmt: skip
        self._out = {
            topic: graph.publisher(f"sensor_msgs/msg/{kind}", topic, out)
            for topic, kind in images.items()
        }
        self._tf = graph.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos(depth=100))
        self._tf_static = graph.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
        mounted = transform_message(
            self._make, header_message(self._make, "base", 0), "front_optical", BASE_FROM_FRONT
        )
        self._tf_static.publish(self._make("tf2_msgs/msg/TFMessage", transforms=[mounted]))

    def has_listeners(self) -> bool:
        return all(topic.subscribers() for topic in (*self._out.values(), self._tf))

    def publish(self, frame: PosedFrame) -> None:
        """One frame of the camera that it names; the other transforms are as they were."""
        camera_frame = f"{frame.camera_name}_optical"
        moving = {"odom": ("map", self._drift(frame.stamp_ns))}
        if frame.camera_name == "front":
            self._base = frame.world_from_camera @ invert_rigid(BASE_FROM_FRONT)
        else:
            arm = invert_rigid(self._base) @ frame.world_from_camera
            moving[camera_frame] = ("base", arm)
        odom_from_map = invert_rigid(moving["odom"][1])
        moving["base"] = ("odom", odom_from_map @ self._base)
        self._publish_transforms(frame.stamp_ns, moving)
        header = header_message(self._make, camera_frame, frame.stamp_ns)
        info = camera_info_message(self._make, header, frame.camera)
        self._out[f"{frame.camera_name}/camera_info"].publish(info)
        (self._raw if frame.camera_name == "front" else self._compressed)(header, frame)

    @staticmethod
    def _drift(stamp_ns: int) -> np.ndarray:
        """(4, 4) map_from_odom, which a localiser moves by some millimetres all the time."""
        drift = np.eye(4)
        drift[0, 3] = 0.3 + 0.005 * np.sin(stamp_ns / 1e9)
        return drift

    def _publish_transforms(self, stamp_ns: int, moving: dict) -> None:
        transforms = [
            transform_message(
                self._make, header_message(self._make, parent, stamp_ns), child, pose
            )
            for child, (parent, pose) in moving.items()
        ]
        self._tf.publish(self._make("tf2_msgs/msg/TFMessage", transforms=transforms))

    def _raw(self, header, frame: PosedFrame) -> None:
        depth = image_message(self._make, header, _millimetres(frame), "16UC1")
        self._out["front/depth"].publish(depth)
        self._out["front/image"].publish(image_message(self._make, header, frame.rgb, "rgb8"))

    def _compressed(self, header, frame: PosedFrame) -> None:
        bgr = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        png = DEPTH_HEADER + cv2.imencode(".png", _millimetres(frame))[1].tobytes()
        for topic, kind, data in (
            ("wrist/depth/compressedDepth", "16UC1; compressedDepth png", png),
            ("wrist/image/compressed", "rgb8; jpeg compressed bgr8", jpeg),
        ):
            message = self._make(
                "sensor_msgs/msg/CompressedImage",
                header=header,
                format=kind,
                data=np.frombuffer(data, np.uint8),
            )
            self._out[topic].publish(message)


def drive(robot: Robot, frames: list[PosedFrame], pause_s: float = 0.1) -> None:
    """Publishes frames one after the other."""
    for frame in frames:
        robot.publish(frame)
        time.sleep(pause_s)


def _millimetres(frame: PosedFrame) -> np.ndarray:
    assert frame.depth_m is not None
    return np.rint(np.nan_to_num(frame.depth_m * 1000)).astype(np.uint16)
