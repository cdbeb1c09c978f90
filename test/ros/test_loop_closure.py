"""A loop closure as SLAM tells it, on a map that was learnt from a camera: topics in and out."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from camera_bench import eventually

from semantic_field_ros.config import Config, ImaginationConfig, TrainingConfig
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.ros.client import NodeClient
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.ros.messages import header_message, pose_message
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
CONFIG = Config(
    training=TrainingConfig(threads=1, snapshot_every_s=1.0),
    imagination=ImaginationConfig(time_share=0.0),
)
#: how far the robot was from where it took itself to be, metres.
OFF_M = np.array([0.3, -0.1, 0.0])
PATIENCE_S = 240.0


@pytest.fixture()
def slam(domain: int) -> Iterator[Graph]:
    with connect("dds", "slam", []) as opened:
        yield opened


@pytest.fixture()
def node(domain: int, graph_kind: str, tmp_path) -> Iterator[SemanticFieldNode]:
    frame_id = f"{next(iter(SyntheticSource('table', 1005, 1, CAMERA))).camera_name}_optical_frame"
    told = ["--ros-args", "-p", f"corrected_frame:={frame_id}", "-p", "reliable:=true"]
    with connect(graph_kind, "semantic_field", told) as graph:
        settings = replace(declare_settings(graph), status_period_s=0.2)
        made = SemanticFieldNode(graph, lambda: SemanticField(CONFIG), settings, str(tmp_path))
        made.start()
        yield made
        made.close()


def path_message(slam: Graph, frames: list[PosedFrame]) -> Any:
    """The same way, but where it really was."""
    make, poses = slam.message, []
    for frame in frames:
        right = frame.world_from_camera.copy()
        right[:3, 3] += OFF_M
        header = header_message(make, "map", frame.stamp_ns)
        pose = pose_message(make, right)
        poses.append(make("geometry_msgs/msg/PoseStamped", header=header, pose=pose))
    header = header_message(make, "map", frames[-1].stamp_ns)
    return make("nav_msgs/msg/Path", header=header, poses=poses)


def middle(cloud: Any) -> np.ndarray:
    """(3,) median of a cloud's points, metres."""
    rows = np.frombuffer(bytes(cloud.data), np.uint8).reshape(-1, cloud.point_step)
    return np.median(np.ascontiguousarray(rows[:, :12]).view(np.float32), axis=0)


def test_surface_and_phrases_follow_a_corrected_path(slam: Graph, node: SemanticFieldNode) -> None:
    surfaces: list[Any] = []
    slam.subscribe(
        "sensor_msgs/msg/PointCloud2", "/semantic_field/surface", surfaces.append, LATCHED
    )
    path = slam.publisher("nav_msgs/msg/Path", "/corrected_path", LATCHED)
    source = SyntheticSource("table", 1005, frames=12, camera=CAMERA)
    frames = list(source)
    camera = threading.Thread(target=replay, args=(frames, slam, ReplayOptions(rate_hz=4.0)))
    camera.start()
    camera.join(60.0)
    field = node.field

    def is_mapped() -> bool:
        status = field.status()
        return status["features_done"] == status["keyframes"] >= 10 and status["steps"] >= 60

    eventually(is_mapped, PATIENCE_S)
    client = NodeClient(slam, "/semantic_field")
    client.pause(True)
    eventually(lambda: surfaces and field.status()["state"] == "paused", PATIENCE_S)
    phrases = [TextQuery(thing.phrase) for thing in source.world.objects if thing.is_object]
    phrase = max(phrases, key=lambda query: client.query_text(query).score)
    found, before = client.query_text(phrase).masks[0].box.centre, middle(surfaces[-1])

    path.publish(path_message(slam, frames))
    eventually(lambda: np.allclose(middle(surfaces[-1]) - before, OFF_M, atol=0.02), PATIENCE_S)

    def has_followed() -> bool:
        masks = client.query_text(phrase).masks
        return bool(masks) and np.allclose(masks[0].box.centre - found, OFF_M, atol=0.05)

    eventually(has_followed, PATIENCE_S)
