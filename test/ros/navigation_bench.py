"""A node whose map knows a plant and fourteen chairs, and who asks it."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from semantic_field_ros.config import Config, NavigationConfig
from semantic_field_ros.export.navigation import Navigation
from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED
from semantic_field_ros.ros.messages import header_message, point_message
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.training.versions import Versions
from semantic_field_ros.types import PinholeCamera, PosedFrame, QueryAnswer, SurfaceCloud

SRV = "semantic_field_ros/srv"
GRID = "nav_msgs/msg/OccupancyGrid"
#: floor from -2 to 2 m, and the four sides of a plant 20 cm wide around (1, 0).
STEP = np.arange(-2.0, 2.0, 0.04)
FLOOR = np.stack([*(g.ravel() for g in np.meshgrid(STEP, STEP)), np.zeros(10_000)], axis=1)
SIDE = np.array([[0.1, y, z] for y in np.linspace(-0.1, 0.1, 6) for z in np.linspace(0, 0.6, 16)])
WAYS = ((1, 0), (0, 1), (-1, 0), (0, -1))
TURNS = [np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) for c, s in WAYS]
#: a keyframe that shows the plant's nearest side, 1.9 m ahead.
CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
EYE = look_at(np.array([-1.0, 0.0, 0.3]), np.array([1.0, 0.0, 0.3]))
PLANT = np.concatenate([SIDE @ turn.T for turn in TURNS]) + [1.0, 0.0, 0.0]


def surface_of_the_room() -> SurfaceCloud:
    floor = FLOOR[(np.abs(FLOOR[:, :2] - [1.0, 0.0]) > 0.1).any(axis=1)]
    points = np.concatenate([PLANT, floor]).astype(np.float32)
    normals = np.concatenate(
        [np.repeat([turn[:, 0] for turn in TURNS], len(SIDE), axis=0), [[0, 0, 1]] * len(floor)]
    )
    rgb, spacing_m = np.zeros(points.shape, np.uint8), np.full(len(points), 0.04, np.float32)
    return SurfaceCloud(points, normals.astype(np.float32), rgb, spacing_m, map_version=3)


class PlantField:
    """Knows a plant, and its own surface."""

    def __init__(self) -> None:
        self.config = Config()
        self.shown: SurfaceCloud | None = surface_of_the_room()
        self.memory = ReplayMemory(8)
        self.memory.add(PosedFrame(7, "head", CAMERA, EYE, np.zeros((24, 32, 3), np.uint8)))
        seen = KeyframeDepth(0, CAMERA, EYE, np.full((24, 32), 1.9, np.float32))
        self.snapshot: Any = SimpleNamespace(surface=self.shown, depths=(seen,))
        self.versions = Versions()
        self.navigation = Navigation(NavigationConfig(), self.memory, lambda: self.snapshot)

    def pause(self, features: bool = False) -> None:
        """Nothing to train."""

    start = resume = close = pause

    def ingest(self, frame: object) -> None:
        """Nothing comes in."""

    def surface(self) -> SurfaceCloud | None:
        return self.shown

    def keyframes(self) -> list[KeyframeView]:
        return self.memory.views()

    def keyframe(self, keyframe_id: int) -> PosedFrame | None:
        kept = self.memory.get(keyframe_id)
        return None if kept is None else kept.frame

    def update_poses(self, poses: dict) -> int:
        return self.memory.update_poses(poses)

    def close_loop(self, left_m: float) -> None:
        """The keyframe was further to the left, and so was what it shows: a new map says so."""
        (view,) = self.memory.views()
        corrected = view.world_from_camera.copy()
        corrected[1, 3] += left_m
        self.memory.update_poses({view.keyframe_id: corrected})
        points = self.shown.points + np.array([0.0, left_m, 0.0], np.float32)
        self.shown = replace(self.shown, points=points, map_version=self.shown.map_version + 1)
        seen = KeyframeDepth(0, CAMERA, corrected, np.full((24, 32), 1.9, np.float32))
        self.snapshot = SimpleNamespace(surface=self.shown, depths=(seen,))

    def status(self) -> dict:
        return {"state": "idle", "map_version": 3}

    def query_text(self, query: TextQuery) -> QueryAnswer:
        count = {"plant": 1, "chair": 14}.get(query.text)
        if count is None:
            return QueryAnswer(False, f"{query.text!r} is not in the map", [], 0.1, 0.0, 3, 99)
        scores = np.ones(len(PLANT), np.float32)
        mask = make_mask(self.shown, np.arange(len(PLANT)), scores, query.text, 0.9)
        masks = ([mask] * count)[: query.max_results]
        return QueryAnswer(True, "", masks, 0.9, 0.01, self.shown.map_version, 99)

    def query_click(self, query: ClickQuery) -> QueryAnswer:
        assert query.points_world is not None
        found = self.query_text(TextQuery("plant" if query.points_world[0, 0] > 0.5 else "floor"))
        return replace(found, masks=[replace(mask, label="") for mask in found.masks])


class Bench:
    def __init__(self, folder: str, arguments: list[str], kind: str = "dds") -> None:
        self.graph = connect(kind, "semantic_field", arguments)
        self.other = connect("dds", "planner", [])
        settings = replace(declare_settings(self.graph), status_period_s=0.1, costmap_period_s=0.1)
        self.node = SemanticFieldNode(self.graph, PlantField, settings, folder)
        self.node.start()

    def listen(self, kind: str, topic: str) -> list:
        received: list = []
        self.other.subscribe(kind, topic, received.append, LATCHED)
        return received

    def call(self, name: str, service: str, **fields: object) -> Any:
        request = self.other.message(f"{SRV}/{name}_Request", **fields)
        return self.other.call(f"{SRV}/{name}", f"/semantic_field/{service}", request, 20.0)

    def point(self, x: float, y: float, z: float, frame: str = "map") -> Any:
        make = self.other.message
        return make(
            "geometry_msgs/msg/PointStamped",
            header=header_message(make, frame, 0),
            point=point_message(make, np.array([x, y, z])),
        )

    def close(self) -> None:
        self.node.close()
        self.graph.close()
        self.other.close()


def eventually(condition: Any, patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def value(grid: Any, x: float, y: float) -> int:
    """The cell at a place of the map."""
    info = grid.info
    column = int((x - info.origin.position.x) // info.resolution)
    row = int((y - info.origin.position.y) // info.resolution)
    return int(np.asarray(grid.data).reshape(info.height, info.width)[row, column])
