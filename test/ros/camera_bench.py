"""A camera that publishes, and the inputs of a node that listens; shared by tests."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest

from semantic_field_ros.geometry import look_at
from semantic_field_ros.ros.graph import LATCHED, Graph, Publisher, Qos
from semantic_field_ros.ros.inputs import Inputs
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    transform_message,
)
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
START_NS = 1_000_000_000_000
STEP_NS = 100_000_000


def eventually(condition: Callable[[], object], patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def frame(index: int, camera_name: str = "camera") -> PosedFrame:
    rng = np.random.default_rng(index)
    depth_m = rng.integers(500, 3000, (24, 32)).astype(np.float32) / 1000
    depth_m[0, 0] = np.nan
    return PosedFrame(
        START_NS + index * STEP_NS,
        camera_name,
        CAMERA,
        look_at(np.array([2.0, 0.1 * index, 1.0]), np.zeros(3)),
        rng.integers(0, 256, (24, 32, 3), np.uint8),
        depth_m,
    )


def assert_same(received: PosedFrame, sent: PosedFrame) -> None:
    assert (received.stamp_ns, received.camera_name) == (sent.stamp_ns, sent.camera_name)
    assert received.camera == sent.camera
    np.testing.assert_array_equal(received.rgb, sent.rgb)
    np.testing.assert_allclose(received.world_from_camera, sent.world_from_camera, atol=1e-9)
    if sent.depth_m is not None:
        np.testing.assert_allclose(received.depth_m, sent.depth_m, atol=1e-6)


@dataclass
class Bench:
    """Inputs of one node, and publishers of another."""

    graph: Graph
    other: Graph
    settings: NodeSettings
    frames: list[PosedFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs = Inputs(self.graph, self.settings, self.take)
        self.image = self.publisher("sensor_msgs/msg/Image", "image")
        self.depth = self.publisher("sensor_msgs/msg/Image", "depth")
        self.info = self.publisher("sensor_msgs/msg/CameraInfo", "camera_info")
        self.tf = self.publisher("tf2_msgs/msg/TFMessage", "/tf")

    def take(self, taken: PosedFrame) -> bool:
        self.frames.append(taken)
        return True

    def publisher(self, kind: str, topic: str) -> Publisher:
        return self.other.publisher(kind, topic, Qos(depth=100))

    def header(self, sent: PosedFrame, frame_id: str = "camera"):
        return header_message(self.other.message, frame_id, sent.stamp_ns)

    def ready(self) -> None:
        eventually(lambda: all(p.subscribers() for p in (self.image, self.depth, self.info)))

    def send_info(self, sent: PosedFrame, **changes) -> None:
        message = camera_info_message(self.other.message, self.header(sent), CAMERA)
        for name, value in changes.items():
            setattr(message, name, value)
        self.info.publish(message)

    def send_images(self, sent: PosedFrame) -> None:
        make = self.other.message
        self.depth.publish(image_message(make, self.header(sent), sent.depth_m, "32FC1"))
        self.image.publish(image_message(make, self.header(sent), sent.rgb, "rgb8"))

    def send_tf(self, sent: PosedFrame) -> None:
        make, header = self.other.message, self.header(sent, "map")
        item = transform_message(make, header, "camera", sent.world_from_camera)
        self.tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))

    def send(self, sent: PosedFrame) -> None:
        self.send_info(sent)
        self.send_tf(sent)
        self.send_images(sent)

    def drops(self, reason: str) -> int:
        return self.inputs.drops().get(reason, 0)

    def refused(self, reason: str) -> int:
        return self.inputs.refused().get(reason, 0)


class Driver:
    """A camera that stands still, and tells its intrinsics when it is asked to."""

    def __init__(self, graph: Graph) -> None:
        self.make, self.stamps_ns = graph.message, count(START_NS, STEP_NS)
        self.image, self.depth, self.info = (
            graph.publisher(f"sensor_msgs/msg/{kind}", topic, Qos(depth=100))
            for kind, topic in (
                ("Image", "image"),
                ("Image", "depth"),
                ("CameraInfo", "camera_info"),
            )
        )
        fixed = graph.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
        world = header_message(self.make, "map", 0)
        item = transform_message(self.make, world, "camera", frame(0).world_from_camera)
        fixed.publish(self.make("tf2_msgs/msg/TFMessage", transforms=[item]))

    def is_heard(self) -> bool:
        return all(p.subscribers() for p in (self.image, self.depth, self.info))

    def tell_intrinsics(self) -> None:
        header = header_message(self.make, "camera", START_NS)
        self.info.publish(camera_info_message(self.make, header, CAMERA))

    def send_until(self, outcome: Callable[[], object]) -> None:
        """Images and their depth."""
        sent = frame(0)

        def done() -> object:
            header = header_message(self.make, "camera", next(self.stamps_ns))
            self.depth.publish(image_message(self.make, header, sent.depth_m, "32FC1"))
            self.image.publish(image_message(self.make, header, sent.rgb, "rgb8"))
            return outcome()

        eventually(done)


def parameters(**values):
    return pytest.mark.parametrize("bench", [values], indirect=True)
