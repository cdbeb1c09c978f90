"""What Nav2 reads and asks, over real DDS traffic, of a field with a plant on an empty floor."""

import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semantic_field_ros.config import Config, NavigationConfig
from semantic_field_ros.export.navigation import Navigation
from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.dds_graph import DdsGraph
from semantic_field_ros.ros.graph import LATCHED
from semantic_field_ros.ros.messages import header_message, point_message, pose_message
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.stream.messages import matrix_from_pose
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

    def status(self) -> dict:
        return {"state": "idle", "map_version": 3}

    def query_text(self, query: TextQuery) -> QueryAnswer:
        if query.text != "plant":
            return QueryAnswer(False, f"{query.text!r} is not in the map", [], 0.1, 0.0, 3, 99)
        scores = np.ones(len(PLANT), np.float32)
        mask = make_mask(self.shown, np.arange(len(PLANT)), scores, "plant", 0.9)
        return QueryAnswer(True, "", [mask], 0.9, 0.01, 3, 99)

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


@pytest.fixture()
def bench(domain, tmp_path, request) -> Iterator[Bench]:
    kind = getattr(request, "param", "dds")
    opened = Bench(str(tmp_path), ["--ros-args", "-r", "~/keepout:=/zones"], kind)
    yield opened
    opened.close()


NAV2 = pytest.mark.skipif(
    find_spec("rclpy") is None or find_spec("nav2_msgs") is None, reason="no ROS 2 with Nav2"
)


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


def test_the_costmap_comes_once_for_whoever_reads_it(bench: Bench) -> None:
    costmaps = bench.listen(GRID, "/semantic_field/costmap")
    eventually(lambda: costmaps)
    newest = costmaps[-1]
    assert (newest.header.frame_id, newest.info.width, newest.info.height) == ("map", 80, 80)
    assert value(newest, -1.0, 0.0) == 0
    assert value(newest, 1.0, 0.11) == 100
    time.sleep(0.5)
    assert len(costmaps) == 1


def test_without_a_map_the_costmap_knows_nothing_and_zones_stay(bench: Bench) -> None:
    costmaps, masks = bench.listen(GRID, "/semantic_field/costmap"), bench.listen(GRID, "/zones")
    assert bench.call("KeepOut", "keep_out", text="plant", radius=0.5).success
    eventually(lambda: costmaps and masks and value(masks[-1], 1.0, 0.0) == 100)
    count = len(masks)
    bench.node.field.present.shown = None
    eventually(lambda: len(costmaps) == 2)
    before, after = costmaps[0].info, costmaps[1].info
    assert (after.width, after.height, after.origin) == (80, 80, before.origin)
    assert set(costmaps[1].data) == {-1}
    assert len(masks) == count
    bench.node.field.present.shown = surface_of_the_room()
    eventually(lambda: len(costmaps) == 3)
    assert value(costmaps[2], 1.0, 0.11) == 100


def test_zones_are_lifted_without_a_map_too(bench: Bench) -> None:
    masks = bench.listen(GRID, "/zones")
    for radius in (0.5, 0.2):
        bench.call("KeepOut", "keep_out", text="plant", radius=radius)
    bench.node.field.present.shown = None
    eventually(lambda: masks and value(masks[-1], 1.0, 0.0) == 100)
    assert bench.call("KeepOut", "keep_out", clear=True).zones == 0
    eventually(lambda: set(masks[-1].data) == {-1})
    assert (masks[-1].info.width, masks[-1].info.height) == (80, 80)


@pytest.mark.parametrize("bench", ["dds", pytest.param("rclpy", marks=NAV2)], indirect=True)
def test_zones_come_and_go_as_nav2_reads_them(bench: Bench) -> None:
    masks = bench.listen(GRID, "/zones")
    infos = bench.listen("nav2_msgs/msg/CostmapFilterInfo", "/semantic_field/keepout_info")
    eventually(lambda: masks and infos)
    (info,) = infos
    assert (info.type, info.base, info.multiplier) == (0, 0.0, 1.0)
    assert (info.filter_mask_topic, info.header.frame_id) == ("/zones", "map")
    assert masks[-1].header.frame_id == "map"
    assert set(masks[-1].data) == {-1}

    reply = bench.call("KeepOut", "keep_out", text="the plant", radius=0.5)
    assert (reply.success, reply.zones, reply.answer.masks[0].label) == (True, 1, "plant")
    eventually(lambda: value(masks[-1], 1.0, 0.0) == 100)
    assert value(masks[-1], 1.0, 0.55) == 100
    assert value(masks[-1], 1.0, 0.9) == -1

    refused = bench.call("KeepOut", "keep_out", text="unicorn", radius=0.5, clear=True)
    assert (refused.success, refused.zones) == (False, 1)
    assert "unicorn" in refused.message
    assert bench.call("KeepOut", "keep_out", point=bench.point(1.0, 0.0, 0.3)).zones == 2
    assert not bench.call("KeepOut", "keep_out").success
    cleared = bench.call("KeepOut", "keep_out", clear=True)
    assert (cleared.success, cleared.zones) == (True, 0)
    eventually(lambda: set(masks[-1].data) == {-1})
    # Nav2 subscribes to the mask anew, with two warnings, whenever an info comes.
    assert len(infos) == 1


def test_asking_again_replaces_what_was_asked_before(bench: Bench) -> None:
    masks = bench.listen(GRID, "/zones")
    assert bench.call("KeepOut", "keep_out", text="the plant", radius=0.5).zones == 1
    assert bench.call("KeepOut", "keep_out", text="Plant", radius=0.2).zones == 1
    eventually(lambda: masks and value(masks[-1], 1.0, 0.25) == 100)
    eventually(lambda: value(masks[-1], 1.0, 0.55) == -1)
    # A click is another question, wherever on the thing it is asked.
    clicked = bench.call("KeepOut", "keep_out", point=bench.point(1.0, 0.0, 0.3))
    assert (clicked.zones, clicked.message) == (2, "2 keep-out zones: plant, at (1.0, 0.0)")
    assert bench.call("KeepOut", "keep_out", point=bench.point(1.0, 0.0, 0.3)).zones == 2
    assert bench.call("KeepOut", "keep_out", point=bench.point(1.1, 0.0, 0.5)).zones == 2


def test_a_zone_too_large_to_be_drawn_changes_nothing(bench: Bench) -> None:
    masks = bench.listen(GRID, "/zones")
    assert bench.call("KeepOut", "keep_out", text="plant", radius=0.2).success
    for fields in ({"text": "plant"}, {"point": bench.point(1.0, 0.0, 0.3), "clear": True}):
        for radius, why in ((2e4, "cells"), (3e38, "cells"), (-0.5, "radius must be finite and")):
            refused = bench.call("KeepOut", "keep_out", radius=radius, **fields)
            assert (refused.success, refused.zones) == (False, 1)
            assert why in refused.message
    eventually(lambda: masks and value(masks[-1], 1.0, 0.25) == 100)
    assert value(masks[-1], 1.0, 0.55) == -1
    assert bench.call("KeepOut", "keep_out", point=bench.point(1.0, 0.0, 0.3)).zones == 2


def test_zones_that_can_no_longer_be_drawn_hold_no_costmap_back(bench: Bench) -> None:
    """A correction carries the plant 20 km away, and its zone with it."""
    assert bench.call("KeepOut", "keep_out", text="plant", radius=0.2).success
    costmaps = bench.listen(GRID, "/semantic_field/costmap")
    eventually(lambda: costmaps)
    field = bench.node.field.present
    (view,) = field.keyframes()
    corrected = view.world_from_camera.copy()
    corrected[:2, 3] += 2e4
    field.update_poses({view.keyframe_id: corrected})
    time.sleep(0.3)
    field.shown = replace(field.shown, map_version=4)
    field.snapshot = SimpleNamespace(surface=field.shown, depths=())
    eventually(lambda: len(costmaps) == 2)
    assert bench.call("KeepOut", "keep_out", clear=True).success


def test_a_map_that_grows_takes_the_mask_along(bench: Bench) -> None:
    costmaps, masks = bench.listen(GRID, "/semantic_field/costmap"), bench.listen(GRID, "/zones")
    assert bench.call("KeepOut", "keep_out", text="plant", radius=0.1).success
    eventually(lambda: costmaps and masks and value(masks[-1], 1.0, 0.0) == 100)
    assert (masks[-1].info.width, masks[-1].info.height) == (80, 80)
    field = bench.node.field.present
    points = field.shown.points.copy()
    points[-1, 0] = 2.3  # 30 cm beyond the grid, which grows by a metre
    field.shown = replace(field.shown, points=points, map_version=4)
    field.snapshot = SimpleNamespace(surface=field.shown, depths=())
    eventually(lambda: masks[-1].info.width == 100)
    assert costmaps[-1].info.width == 100
    assert value(masks[-1], 1.0, 0.0) == 100


def test_a_costmap_that_nobody_reads_any_more_sends_no_masks(bench: Bench) -> None:
    """The map becomes smaller than the last costmap was."""
    nav2, costmaps = connect("dds", "nav2", []), []
    nav2.subscribe(GRID, "/semantic_field/costmap", costmaps.append, LATCHED)
    masks = bench.listen(GRID, "/zones")
    eventually(lambda: costmaps and masks)
    nav2.close()
    field = bench.node.field.present
    eventually(lambda: not bench.node.navigation._costmap.subscribers())
    field.shown = replace(field.shown, points=0.4 * field.shown.points, map_version=4)
    field.snapshot = SimpleNamespace(surface=field.shown, depths=())
    assert bench.call("KeepOut", "keep_out", clear=True).success
    eventually(lambda: masks[-1].info.width == 40)
    count = len(masks)
    time.sleep(0.5)
    assert len(masks) == count


def test_zones_follow_a_loop_closure(bench: Bench) -> None:
    """The keyframe that shows the plant was 80 cm further to the left, and so was the plant."""
    masks = bench.listen(GRID, "/zones")
    assert bench.call("KeepOut", "keep_out", text="plant", radius=0.1).success
    eventually(lambda: masks and value(masks[-1], 1.0, 0.0) == 100)
    (view,) = bench.node.field.keyframes()
    corrected = view.world_from_camera.copy()
    corrected[1, 3] += 0.8
    bench.node.field.update_poses({view.keyframe_id: corrected})
    eventually(lambda: value(masks[-1], 1.0, 0.8) == 100)
    assert value(masks[-1], 1.0, 0.0) == -1


def test_without_nav2_installed_the_rest_works(domain, tmp_path, monkeypatch, caplog) -> None:
    announce = DdsGraph.publisher

    def publisher(graph: DdsGraph, kind: str, *how: Any) -> Any:
        if kind.startswith("nav2_msgs"):
            raise ValueError(f"{kind} is not installed")
        return announce(graph, kind, *how)

    monkeypatch.setattr(DdsGraph, "publisher", publisher)
    bench = Bench(str(tmp_path), [])
    try:
        assert "install nav2_msgs" in caplog.text
        masks = bench.listen(GRID, "/semantic_field/keepout")
        assert bench.call("KeepOut", "keep_out", text="plant", radius=0.2).success
        eventually(lambda: masks and max(masks[-1].data) == 100)
    finally:
        bench.close()


def test_a_sentence_keeps_the_robot_away(bench: Bench) -> None:
    masks = bench.listen(GRID, "/zones")
    text = bench.other.publisher("std_msgs/msg/String", "/semantic_field/text_query")
    eventually(lambda: text.subscribers() and masks)
    sentence = "Keep 30 cm away from the plant!"
    text.publish(bench.other.message("std_msgs/msg/String", data=sentence))
    eventually(lambda: value(masks[-1], 1.0, 0.0) == 100)
    assert value(masks[-1], 1.0, 0.38) == 100
    assert value(masks[-1], 1.0, 0.6) == -1


def test_goals_are_found_from_a_start_in_any_frame(bench: Bench) -> None:
    shown = bench.listen("geometry_msgs/msg/PoseArray", "/semantic_field/goals")
    make = bench.other.message
    start = make(
        "geometry_msgs/msg/PoseStamped",
        header=header_message(make, "map", 0),
        pose=pose_message(make, look_at(np.array([-1.0, 0.0, 0.0]), np.zeros(3))),
    )
    found = bench.call("FindGoals", "find_goals", text="plant", start=start, max_results=3)
    assert found.found
    assert not found.reason
    assert len(found.poses) == len(found.scores) == len(found.visible) == 3
    assert found.answer.masks[0].label == "plant"
    for pose, distance in zip(found.poses, found.distances, strict=True):
        world_from_base = matrix_from_pose(pose)
        assert 0.4 <= distance <= 2.0
        ahead = np.array([1.0, 0.0]) - world_from_base[:2, 3]
        towards = ahead / np.linalg.norm(ahead)
        np.testing.assert_allclose(world_from_base[:2, 0], towards, atol=1e-5)
    eventually(lambda: shown)
    assert len(shown[-1].poses) == 3


def test_no_goal_comes_with_a_reason(bench: Bench) -> None:
    for fields, reason in (
        ({"text": "unicorn"}, "not in the map"),
        ({}, "nothing is asked for"),
        ({"text": "plant", "target_frame": "mars"}, "unknown"),
        ({"text": "plant", "min_distance": 3.0}, "distance_m"),
        ({"text": "plant", "min_distance": 7.0, "max_distance": 8.0}, "no free place"),
    ):
        reply = bench.call("FindGoals", "find_goals", **fields)
        assert not reply.found
        assert reason in reply.reason
        assert not reply.poses


def test_goals_of_an_older_question_are_not_left_standing(bench: Bench) -> None:
    shown = bench.listen("geometry_msgs/msg/PoseArray", "/semantic_field/goals")
    assert bench.call("FindGoals", "find_goals", text="plant").found
    eventually(lambda: shown and shown[-1].poses)
    assert not bench.call("FindGoals", "find_goals", text="unicorn").found
    eventually(lambda: not shown[-1].poses)


def test_goals_go_with_the_map(bench: Bench) -> None:
    shown = bench.listen("geometry_msgs/msg/PoseArray", "/semantic_field/goals")
    assert bench.call("FindGoals", "find_goals", text="plant").found
    eventually(lambda: shown and shown[-1].poses)
    bench.node.field.present.shown = None
    eventually(lambda: not shown[-1].poses)
