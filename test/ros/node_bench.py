"""A node in front of a field that answers at once, and who asks it; shared by tests."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from semantic_field_ros.config import Config, NavigationConfig, QueriesConfig
from semantic_field_ros.export.grasping import GraspPlan, GraspQuery
from semantic_field_ros.export.gripper import Grasp
from semantic_field_ros.export.navigation import Navigation
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.queries.base import ClickQuery, Progress, TextQuery, unwatched
from semantic_field_ros.ros.client import NodeClient
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.settings import declare_config, declare_settings
from semantic_field_ros.training.versions import Versions
from semantic_field_ros.types import (
    Mask3D,
    OrientedBox,
    PinholeCamera,
    PosedFrame,
    QueryAnswer,
    SurfaceCloud,
)

CAMERA = PinholeCamera(16, 12, 15.0, 15.0, 7.5, 5.5)
POINTS = np.array([[1.0, 2.0, 3.0], [1.5, 2.0, 3.0]], np.float32)


def answer(label: str, reason: str = "") -> QueryAnswer:
    box = OrientedBox(POINTS.mean(0).astype(float), np.array([0, 0, 0, 1.0]), np.full(3, 0.5))
    scores = np.array([0.9, 0.8], np.float32)
    mask = Mask3D(np.arange(2), POINTS, np.zeros((2, 3), np.uint8), scores, label, 0.85, box, 3)
    return QueryAnswer(True, reason, [mask], 0.85, 0.01, 3, 99)


class InstantField:
    """Answers with what it was asked, so that the border alone is under test."""

    def __init__(self) -> None:
        self.config = Config()
        self.frames: list[PosedFrame] = []
        self.held: list[PosedFrame] = []
        self.calls: list[tuple] = []
        self.clicks: list[ClickQuery] = []
        self.is_empty = False
        self.rendered: list[PinholeCamera] = []
        snapshot: Any = SimpleNamespace(surface=self.surface())
        self.versions = Versions()
        self.navigation = Navigation(NavigationConfig(), ReplayMemory(8), lambda: snapshot)

    def ingest(self, frame: PosedFrame) -> bool:
        self.frames.append(frame)
        return True

    def start(self) -> None:
        self.calls.append(("start",))

    def pause(self, features: bool = False) -> None:
        self.calls.append(("pause",))

    def resume(self) -> None:
        self.calls.append(("resume",))

    def close(self) -> None:
        self.calls.append(("close",))

    def retune(self, queries: QueriesConfig) -> None:
        self.config = replace(self.config, queries=queries)

    def reset(self) -> None:
        self.calls.append(("reset",))
        self.is_empty = True

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a map")

    def load(self, path: Path) -> None:
        self.calls.append(("load", path.read_text()))

    def export(self, path: Path, what: str) -> None:
        if what != "ply":
            raise ValueError(f"what must be ply, got {what!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a cloud")

    def query_text(self, query: TextQuery, progress: Progress = unwatched) -> QueryAnswer:
        if not query.text:
            return QueryAnswer(False, "the text is empty", [], 0.0, 0.0, 3, 99)
        while query.refine and query.text == "endless":
            progress(0.5)
        return answer(query.text, "refined" if query.refine else "")

    def query_click(self, query: ClickQuery, progress: Progress = unwatched) -> QueryAnswer:
        self.clicks.append(query)
        return answer("clicked", str(query.points_world))

    def instances(
        self, vocabulary: list[str], refine: bool = False, progress: Progress = unwatched
    ) -> QueryAnswer:
        return answer(",".join(vocabulary), "refined" if refine else "")

    def grasps(self, query: GraspQuery) -> GraspPlan:
        pose = np.eye(4)
        pose[:3, 3] = POINTS[0]
        grasp = Grasp(pose, 0.05, query.gripper.max_opening_m, 0.5, np.zeros((2, 3)))
        return GraspPlan(True, "", None, None, [grasp], 0.01, 3, 99)

    def render(self, camera: PinholeCamera, world_from_camera: np.ndarray, layer: str, text: str):
        self.rendered.append(camera)
        return np.full((camera.height, camera.width), world_from_camera[0, 3], np.float32)

    def keyframes(self) -> list[KeyframeView]:
        return [
            KeyframeView(i, i, f.stamp_ns, f.camera_name, f.camera, f.world_from_camera, True)
            for i, f in enumerate(self.held)
        ]

    def keyframe(self, keyframe_id: int) -> PosedFrame:
        return self.held[keyframe_id]

    def surface(self) -> SurfaceCloud | None:
        if self.is_empty:
            return None
        rgb, spacing_m = np.zeros((2, 3), np.uint8), np.full(2, 0.01, np.float32)
        return SurfaceCloud(POINTS, POINTS * 0, rgb, spacing_m, map_version=3)

    def status(self) -> dict:
        return {"state": "mapping", "keyframes": len(self.frames), "map_version": 3, "extra": 1}


class Bench:
    def __init__(self, folder: Path, arguments: list[str], kind: str = "dds") -> None:
        self.graph = connect(kind, "semantic_field", arguments)
        self.other: Graph = connect("dds", "asker", [])
        self.field = InstantField()
        settings = replace(declare_settings(self.graph), status_period_s=0.1)
        declare_config(self.graph)
        self.node = SemanticFieldNode(self.graph, lambda: self.field, settings, str(folder))
        self.node.start()
        self.field.calls.clear()
        self.client = NodeClient(self.other, timeout_s=20.0)
        self.received: dict[str, list] = {}

    def listen(self, kind: str, topic: str) -> list:
        self.received[topic] = []
        self.other.subscribe(kind, topic, self.received[topic].append, LATCHED)
        return self.received[topic]

    def close(self) -> None:
        self.node.close()
        self.graph.close()
        self.other.close()
