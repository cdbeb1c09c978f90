"""The node in its states, with the real map behind it, over real services."""

import gc
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_bench import Driver

from semantic_field_ros.config import (
    Config,
    KeyframesConfig,
    MapConfig,
    ModelsConfig,
    SceneConfig,
    TrainingConfig,
)
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.export.keepout import KeepOutZone, QueryZones
from semantic_field_ros.geometry import look_at
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.ros.client import NodeClient
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.ros.inputs import CameraInput
from semantic_field_ros.ros.lifecycle import State
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.ros.settings import declare_config, declare_settings
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)


def eventually(condition, patience_s: float = 30.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def frames(count: int) -> list[PosedFrame]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(count):
        pose = look_at(np.array([2.0, 0.2 * i, 1.0]), np.zeros(3))
        rgb, depth_m = rng.integers(0, 256, (24, 32, 3), np.uint8), np.ones((24, 32), np.float32)
        made.append(PosedFrame(10**12 + i * 10**8, "camera", CAMERA, pose, rgb, depth_m))
    return made


class Bench:
    def __init__(self, folder: Path, config: Config, *parameters: str) -> None:
        overrides = [word for parameter in parameters for word in ("-p", parameter)]
        self.graph = connect("dds", "semantic_field", ["--ros-args", *overrides])
        self.other: Graph = connect("dds", "asker", [])
        self.fields: list[weakref.ref] = []
        settings = replace(declare_settings(self.graph), status_period_s=0.1)
        declare_config(self.graph)
        self.config = config
        self.node = SemanticFieldNode(self.graph, self.make_field, settings, str(folder))
        self.client = NodeClient(self.other, timeout_s=20.0)
        self.statuses: list = []
        self.other.subscribe(
            "semantic_field_ros/msg/Status",
            "/semantic_field/status",
            self.statuses.append,
            LATCHED,
        )

    def make_field(self) -> SemanticField:
        field = SemanticField(self.config)
        self.fields.append(weakref.ref(field))
        return field

    def set(self, label: str) -> bool:
        srv = "lifecycle_msgs/srv/ChangeState"
        make = self.other.message
        request = make(
            f"{srv}_Request", transition=make("lifecycle_msgs/msg/Transition", label=label)
        )
        return bool(self.other.call(srv, "/semantic_field/change_state", request, 60.0).success)

    def set_parameter(self, name: str, **value):
        make, srv = self.other.message, "rcl_interfaces/srv/SetParameters"
        changed = make(
            "rcl_interfaces/msg/Parameter",
            name=name,
            value=make("rcl_interfaces/msg/ParameterValue", **value),
        )
        request = make(f"{srv}_Request", parameters=[changed])
        return self.other.call(srv, "/semantic_field/set_parameters", request, 20.0).results[0]

    def set_together(self, **words: str):
        make, srv = self.other.message, "rcl_interfaces/srv/SetParametersAtomically"
        changed = [
            make(
                "rcl_interfaces/msg/Parameter",
                name=name.replace("__", "."),
                value=make("rcl_interfaces/msg/ParameterValue", type=4, string_value=word),
            )
            for name, word in words.items()
        ]
        request = make(f"{srv}_Request", parameters=changed)
        name = "/semantic_field/set_parameters_atomically"
        return self.other.call(srv, name, request, 20.0).result

    def status(self):
        eventually(lambda: self.statuses)
        return self.statuses[-1]

    def clear_zones(self):
        srv = "semantic_field_ros/srv/KeepOut"
        request = self.other.message(f"{srv}_Request", clear=True)
        return self.other.call(srv, "/semantic_field/keep_out", request, 20.0)

    def masks(self) -> list:
        received: list = []
        topic = "/semantic_field/keepout"
        self.other.subscribe("nav_msgs/msg/OccupancyGrid", topic, received.append, LATCHED)
        return received

    def camera(self) -> CameraInput:
        """What the active node listens to now."""
        (camera,) = self.node.listening.inputs.cameras
        return camera

    def close(self) -> None:
        self.node.close()
        self.graph.close()
        self.other.close()


@pytest.fixture()
def bench(domain, tmp_path, request) -> Iterator[Bench]:
    parameters = getattr(request, "param", ())
    opened = Bench(tmp_path / "maps", Config(keyframes=KeyframesConfig(capacity=8)), *parameters)
    yield opened
    opened.close()


@pytest.mark.parametrize("bench", [("autostart:=false",)], indirect=True)
def test_the_node_waits_to_be_brought_up_and_frees_everything_in_the_end(bench: Bench) -> None:
    bench.node.start()
    eventually(lambda: bench.status().state == "unconfigured")
    assert "configure" in bench.status().message
    assert "no map: the node is unconfigured" in bench.client.query_text(TextQuery("mug")).reason
    assert not bench.set("activate")

    assert bench.set("configure")
    assert "no map yet" in bench.client.query_text(TextQuery("mug")).reason
    image = bench.other.publisher("sensor_msgs/msg/Image", "image")
    eventually(lambda: bench.status().state == "inactive")
    assert image.subscribers() == 0

    assert bench.set("activate")
    eventually(image.subscribers)
    replay(frames(3), bench.other, ReplayOptions(rate_hz=20.0))
    eventually(lambda: bench.status().frames_accepted == 3)
    field = bench.fields[0]()
    assert field is not None
    assert field.status()["keyframes"] == 3
    eventually(lambda: bench.node.field.status()["features_done"] == 3, 120.0)

    assert bench.set("deactivate")
    eventually(lambda: image.subscribers() == 0)
    field.ingest(frames(4)[3])
    time.sleep(0.3)
    assert (field.status()["feature_backlog"], field.status()["features_done"]) == (1, 3)
    assert field.status()["state"] == "paused"
    with pytest.raises(RuntimeError, match="inactive"):
        bench.node.field.resume()

    assert bench.set("activate")
    assert field.status()["keyframes"] == 4
    eventually(lambda: bench.node.field.status()["features_done"] == 4, 120.0)
    assert bench.set("deactivate")
    del field
    assert bench.set("cleanup")
    gc.collect()
    assert bench.fields[0]() is None
    assert bench.set("configure")
    assert bench.set("shutdown")
    assert bench.node.lifecycle.state is State.FINALIZED


def small_map(folder: Path) -> Config:
    """A config with which four frames are enough for a map."""
    return Config(
        scene=SceneConfig(box_m=(-1.0, -2.0, -1.0, 3.0, 3.0, 3.0)),
        keyframes=KeyframesConfig(capacity=8),
        training=TrainingConfig(threads=1, rays=64),
        map=MapConfig(folder=str(folder)),
    )


def test_a_map_made_after_cleanup_is_newer_than_all_before(domain, tmp_path) -> None:
    bench = Bench(tmp_path, small_map(tmp_path))
    try:
        bench.node.start()
        replay(frames(6), bench.other, ReplayOptions(rate_hz=20.0))
        eventually(lambda: bench.status().map_version)
        assert bench.set("deactivate")  # and learns no more
        before = bench.node.field.status()["map_version"]
        assert bench.set("cleanup")
        eventually(lambda: bench.status().map_version == 0)
        assert bench.set("configure") and bench.set("activate")
        replay(frames(6), bench.other, ReplayOptions(rate_hz=20.0))
        eventually(lambda: bench.status().map_version)
        assert bench.statuses[-1].map_version > before
    finally:
        bench.close()


def test_a_changed_parameter_is_brought_into_force(bench: Bench) -> None:
    bench.node.start()
    elsewhere = bench.other.publisher("sensor_msgs/msg/Image", "/head/image")
    assert bench.set_parameter("image_topic", type=4, string_value="/head/image").successful
    eventually(elsewhere.subscribers)
    assert bench.set_parameter("queries.click_views", type=2, integer_value=3).successful
    eventually(lambda: bench.fields[0]().config.queries.click_views == 3)
    assert bench.set_parameter("status_period_s", type=3, double_value=0.2).successful
    seen = len(bench.statuses)
    eventually(lambda: len(bench.statuses) > seen)


def test_intrinsics_that_are_told_once_are_kept(bench: Bench) -> None:
    """Whatever is subscribed to anew; another topic has others."""
    bench.node.start()
    driver = Driver(bench.other)
    eventually(driver.is_heard)
    driver.tell_intrinsics()
    driver.send_until(lambda: bench.camera().accepted)

    assert bench.set("deactivate")
    assert bench.set("activate")
    eventually(driver.is_heard)
    driver.send_until(lambda: bench.camera().accepted)
    eventually(lambda: "camera_info" not in bench.statuses[-1].message)

    before = bench.camera()
    assert bench.set_parameter("slop_s", type=3, double_value=0.03).successful
    eventually(lambda: bench.camera() is not before)
    driver.send_until(lambda: bench.camera().accepted)
    assert "camera_info" not in bench.status().message

    elsewhere = {"type": 4, "string_value": "other_info"}
    assert bench.set_parameter("camera_info_topic", **elsewhere).successful
    driver.send_until(lambda: bench.camera().tally.last.get("bad frame"))
    said = "images need a valid CameraInfo: none came yet"
    assert bench.camera().tally.last["bad frame"] == said
    eventually(lambda: "nobody publishes /other_info" in bench.statuses[-1].message)


def test_a_mask_that_cannot_be_read_is_refused_and_the_node_listens_on(
    bench: Bench, tmp_path: Path
) -> None:
    bench.node.start()
    driver = Driver(bench.other)
    eventually(driver.is_heard)
    (tmp_path / "notes.png").write_text("not an image")
    for name, why in (("nowhere.png", "is not there"), ("notes.png", "cannot be read")):
        path = str(tmp_path / name)
        for parameter in ("mask", "camera.camera.mask"):
            result = bench.set_parameter(parameter, type=4, string_value=path)
            assert not result.successful
            assert result.reason == f"mask must be an image file, got {path!r}, which {why}"
    driver.tell_intrinsics()
    driver.send_until(lambda: bench.camera().accepted)

    cv2.imwrite(str(tmp_path / "arm.png"), np.full((24, 32), 255, np.uint8))
    arm = str(tmp_path / "arm.png")
    assert bench.set_parameter("mask", type=4, string_value=arm).successful
    driver.send_until(lambda: (newest := bench.camera().newest) and newest.ignored is not None)
    assert bench.camera().newest.ignored.all()


@pytest.mark.parametrize("bench", [("autostart:=false",)], indirect=True)
def test_how_to_answer_may_be_said_while_there_is_no_map(bench: Bench) -> None:
    bench.node.start()
    assert bench.set_parameter("queries.click_views", type=2, integer_value=3).successful
    seen = len(bench.statuses)
    eventually(lambda: len(bench.statuses) > seen + 1)
    assert bench.set("configure")
    assert bench.node.field.config.queries.click_views == 3


def test_what_must_not_change_is_refused_with_a_reason(bench: Bench) -> None:
    bench.node.start()
    for name, value, reason in (
        ("map_frame", {"type": 4, "string_value": "odom"}, "read-only"),
        ("training.rays", {"type": 2, "integer_value": 512}, "read-only"),
        ("pose_source", {"type": 4, "string_value": "guess"}, "one of"),
        ("slop_s", {"type": 3, "double_value": -1.0}, "must be in"),
        ("queries.min_points", {"type": 2, "integer_value": 0}, "must be in"),
        ("nonsense", {"type": 1, "bool_value": True}, "not declared"),
    ):
        result = bench.set_parameter(name, **value)
        assert not result.successful
        assert reason in result.reason, result.reason


@pytest.mark.parametrize("bench", [("autostart:=false", "cameras:=[left, right]")], indirect=True)
def test_what_changes_together_is_judged_together(bench: Bench) -> None:
    bench.node.start()
    refused = bench.set_together(camera__left__image_topic="/x", camera__right__image_topic="/x")
    assert "share an image topic" in refused.reason
    assert bench.set_together(pose_source="pose", pose_frame="base_link").successful


def test_a_node_without_weights_says_so_and_can_be_brought_up_later(domain, tmp_path) -> None:
    weights = tmp_path / "sam.pth"
    bench = Bench(tmp_path, Config(models=ModelsConfig(segmenter=f"vit_b:{weights}")))
    try:
        bench.node.start()
        eventually(lambda: str(weights) in bench.status().message)
        eventually(lambda: bench.status().state == "unconfigured")
        assert str(weights) in bench.status().message
        bench.config = Config()
        assert bench.set("configure")
        eventually(lambda: bench.status().state == "inactive")
    finally:
        bench.close()


def forbidden(masks: list) -> set[tuple[int, int]]:
    """The cells of the newest mask that a robot must not enter, in cells of the map frame."""
    info = masks[-1].info
    rows, columns = np.nonzero(np.asarray(masks[-1].data).reshape(info.height, info.width) == 100)
    origin = (info.origin.position.y, info.origin.position.x)
    first = np.rint(np.array(origin) / info.resolution).astype(int)
    return set(zip((rows + first[0]).tolist(), (columns + first[1]).tolist(), strict=True))


def test_keep_out_zones_come_back_with_the_map_and_with_a_node_started_anew(
    domain, tmp_path
) -> None:
    config = small_map(tmp_path)
    bench = Bench(tmp_path, config)
    zone = KeepOutZone("plant", np.array([[1.025, 0.525, 0.0]]), radius_m=0.0)
    plant = QueryZones(TextQuery("plant"), (zone,))
    # Cells of 5 cm: the one of the point and those that touch it.
    around = {(row, column) for row in (9, 10, 11) for column in (19, 20, 21)}
    try:
        masks = bench.masks()
        bench.node.start()
        replay(frames(6), bench.other, ReplayOptions(rate_hz=20.0))
        eventually(lambda: bench.status().map_version and not bench.status().feature_backlog)
        assert bench.node.navigation.zones.swap((), (plant,))
        eventually(lambda: masks and forbidden(masks) == around)
        bench.client.save("kitchen")
        assert bench.clear_zones().zones == 0
        eventually(lambda: not forbidden(masks))
        told = bench.client.load("kitchen")
        assert told == (
            f"loaded {tmp_path / 'kitchen'}; "
            "keep-out zones: 1 of the loaded map, in place of 0 before"
        )
        eventually(lambda: forbidden(masks) == around)
    finally:
        bench.close()

    again = Bench(tmp_path, replace(config, map=replace(config.map, load="kitchen")))
    try:
        masks = again.masks()
        again.node.start()
        eventually(lambda: masks and forbidden(masks) == around)
    finally:
        again.close()


def test_a_map_is_loaded_only_by_a_node_of_the_map_frame_it_was_saved_in(domain, tmp_path) -> None:
    config = small_map(tmp_path)
    bench = Bench(tmp_path, config, "map_frame:=odom")
    try:
        bench.node.start()
        replay(frames(6), bench.other, ReplayOptions(rate_hz=20.0, map_frame="odom"))
        eventually(lambda: bench.status().map_version)
        bench.client.save("kitchen")
        assert bench.client.load("kitchen").startswith("loaded")
    finally:
        bench.close()

    why = "saved in 'odom': start the node with map_frame:=odom to load it"
    again = Bench(tmp_path, replace(config, map=replace(config.map, load="kitchen")))
    try:
        again.node.start()
        eventually(lambda: why in again.status().message)
        assert again.status().state == "unconfigured"
        again.config = config
        assert again.set("configure")
        with pytest.raises(RuntimeError, match=f"map_frame 'map', got one that was {why}"):
            again.client.load("kitchen")
    finally:
        again.close()
