"""The node in front of a field that answers at once, asked over real services."""

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from camera_bench import eventually
from node_bench import CAMERA, POINTS, Bench, answer

from semantic_field_ros.geometry import look_at
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.ros.answers import AnswerFrame
from semantic_field_ros.ros.clouds import cloud_from_message
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.lifecycle import State
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    point_message,
    pose_message,
    transform_message,
)
from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.stream.messages import depth_from_message, stamp_ns
from semantic_field_ros.training.checkpoint import SavedMap, save_map
from semantic_field_ros.types import PosedFrame


@pytest.fixture()
def bench(domain, tmp_path) -> Iterator[Bench]:
    opened = Bench(tmp_path / "maps", [])
    yield opened
    opened.close()


def test_text_is_answered_and_shown(bench: Bench) -> None:
    points = bench.listen("sensor_msgs/msg/PointCloud2", "/semantic_field/answer/points")
    markers = bench.listen("visualization_msgs/msg/MarkerArray", "/semantic_field/answer/markers")
    boxes = bench.listen("vision_msgs/msg/Detection3DArray", "/semantic_field/answer/detections")
    names = bench.listen("vision_msgs/msg/LabelInfo", "/semantic_field/answer/labels")
    found = bench.client.query_text(TextQuery("red mug"))
    assert (found.found, found.masks[0].label, found.map_version) == (True, "red mug", 3)
    np.testing.assert_array_equal(found.masks[0].points, POINTS)
    eventually(lambda: points and markers and boxes and names)
    assert [(c.class_id, c.class_name) for c in names[-1].class_map] == [(0, "red mug")]
    np.testing.assert_array_equal(cloud_from_message(points[-1]).points, POINTS)
    assert points[-1].header.frame_id == "map"


def test_a_refusal_is_an_answer_with_a_reason(bench: Bench) -> None:
    for refused, reason in (
        (bench.client.query_text(TextQuery("")), "empty"),
        (bench.client.query_click(ClickQuery()), "points, pixels or a box, got none"),
        (bench.client.query_text(TextQuery("mug"), target_frame="mars"), "unknown"),
    ):
        assert not refused.found
        assert reason in refused.reason
        assert not refused.masks


def test_clicks_and_lists_are_answered(bench: Bench) -> None:
    clicked = bench.client.query_click(ClickQuery(points_world=POINTS[:1]))
    assert "1. 2. 3." in clicked.reason
    listed = bench.client.instances(["mug", "bowl"])
    assert listed.masks[0].label == "mug,bowl"


def test_points_are_in_the_map_frame_whatever_its_name(domain, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "maps", ["--ros-args", "-p", "map_frame:=odom"])
    clicked = bench.client.query_click(ClickQuery(points_world=POINTS[:1]))
    assert clicked.found and "1. 2. 3." in clicked.reason
    with pytest.raises(ValueError, match="needs the map_frame"):
        bench.client.query_text(TextQuery("mug", reference_pose=np.eye(4)))
    bench.close()


def test_a_refined_answer_follows(bench: Bench) -> None:
    make, srv = bench.other.message, "semantic_field_ros/srv"
    request = make(f"{srv}/QueryText_Request", text="mug", refine=True)
    fast = bench.other.call(f"{srv}/QueryText", "/semantic_field/query_text", request, 20.0)
    assert (fast.answer.reason, fast.answer.final) == ("", False)

    def get(query_id: int):
        asked = make(f"{srv}/GetAnswer_Request", query_id=query_id)
        return bench.other.call(f"{srv}/GetAnswer", "/semantic_field/get_answer", asked, 20.0)

    eventually(lambda: get(fast.answer.query_id).answer.final)
    assert get(fast.answer.query_id).answer.reason == "refined"
    assert not get(12345).known
    request = make(f"{srv}/ListObjects_Request", vocabulary=["mug"], refine=True)
    listed = bench.other.call(f"{srv}/ListObjects", "/semantic_field/list_objects", request, 20.0)
    eventually(lambda: get(listed.answer.query_id).answer.reason == "refined")


def test_a_refined_answer_is_shown_in_place_of_the_fast_one(bench: Bench, monkeypatch) -> None:
    markers = bench.listen("visualization_msgs/msg/MarkerArray", "/semantic_field/answer/markers")
    points = bench.listen("sensor_msgs/msg/PointCloud2", "/semantic_field/answer/points")
    go = threading.Event()

    def query(asked: TextQuery, progress=lambda share: None):
        assert not asked.refine or go.wait(20)
        found = answer("fine mug" if asked.refine else "fast mug")
        few = replace(found.masks[0], points=POINTS[:1], point_scores=np.ones(1, np.float32))
        return replace(found, masks=[few]) if asked.refine else found

    def shown() -> set[str]:
        return {m.text for m in markers[-1].markers if m.text} if markers else set()

    monkeypatch.setattr(bench.field, "query_text", query)
    srv = "semantic_field_ros/srv/QueryText"
    request = bench.other.message(f"{srv}_Request", text="mug", refine=True)
    bench.other.call(srv, "/semantic_field/query_text", request, 20.0)
    eventually(lambda: shown() == {"fast mug 0.85"} and points[-1].width == 2)
    go.set()
    eventually(lambda: shown() == {"fine mug 0.85"} and points[-1].width == 1)


def test_a_refined_answer_is_in_its_frame_as_that_is_when_it_is_fetched(bench: Bench) -> None:
    make, srv = bench.other.message, "semantic_field_ros/srv"
    tf = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf")
    eventually(tf.subscribers)

    def drive_to(x_m: float) -> None:
        pose = np.eye(4)
        pose[0, 3] = x_m
        header = header_message(make, "map", int(1e9 * (1 + x_m)))
        item = transform_message(make, header, "base_link", pose)
        tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))
        eventually(lambda: "base_link" in bench.graph.frames())
        eventually(lambda: bench.graph.lookup("map", "base_link")[0, 3] == x_m)

    def box_x_m(answered) -> float:
        assert answered.header.frame_id == "base_link"
        return answered.masks[0].box_pose.position.x

    drive_to(0.0)
    request = make(f"{srv}/QueryText_Request", text="mug", refine=True, target_frame="base_link")
    fast = bench.other.call(f"{srv}/QueryText", "/semantic_field/query_text", request, 20.0).answer
    drive_to(3.0)
    asked = make(f"{srv}/GetAnswer_Request", query_id=fast.query_id)
    get = partial(bench.other.call, f"{srv}/GetAnswer", "/semantic_field/get_answer", asked, 20.0)
    eventually(lambda: get().answer.final)
    assert box_x_m(get().answer) == pytest.approx(box_x_m(fast) - 3.0)
    bench.graph.clear_transforms()
    assert get().known and not get().answer.found
    assert "unknown" in get().message


def test_a_node_that_is_cleaned_up_refines_no_more(bench: Bench) -> None:
    make, srv = bench.other.message, "semantic_field_ros/srv/QueryText"
    request = make(f"{srv}_Request", text="endless", refine=True)
    fast = bench.other.call(srv, "/semantic_field/query_text", request, 20.0).answer
    book = bench.node.services.book
    eventually(lambda: book.share(fast.query_id) == 0.5)
    assert bench.node.lifecycle.change("deactivate") and bench.node.lifecycle.change("cleanup")
    assert (book.get(fast.query_id).frame.final, book.share(fast.query_id)) == (True, 1.0)
    ended = threading.Event()
    book.open(
        answer("mug"), AnswerFrame("map", np.eye(4)), lambda told: ended.set() or answer("mug")
    )
    assert ended.wait(20.0)


def test_rviz_and_plain_text_topics_ask_too(bench: Bench) -> None:
    points = bench.listen("sensor_msgs/msg/PointCloud2", "/semantic_field/answer/points")
    markers = bench.listen("visualization_msgs/msg/MarkerArray", "/semantic_field/answer/markers")
    click = bench.other.publisher("geometry_msgs/msg/PointStamped", "/clicked_point")
    text = bench.other.publisher("std_msgs/msg/String", "/semantic_field/text_query")
    eventually(lambda: click.subscribers() and text.subscribers())
    make = bench.other.message
    header = header_message(make, "map", 0)
    point = point_message(make, POINTS[0])
    click.publish(make("geometry_msgs/msg/PointStamped", header=header, point=point))
    eventually(lambda: points)
    text.publish(make("std_msgs/msg/String", data="blue bowl"))
    eventually(lambda: any("blue bowl" in m.text for a in markers for m in a.markers))


def test_maps_are_saved_loaded_and_exported_inside_the_folder(bench: Bench) -> None:
    assert bench.client.save("kitchen.map").endswith("maps/kitchen.map")
    bench.client.load("kitchen.map")
    assert ("load", "a map") in bench.field.calls
    assert bench.client.export("kitchen.ply", "ply").endswith("kitchen.ply")
    for name in ("../escape", "/etc/passwd", "", ".", "floor1/kitchen"):
        with pytest.raises(RuntimeError, match="map name must be letters, digits"):
            bench.client.save(name)
        with pytest.raises(RuntimeError, match="map name must be letters, digits"):
            bench.client.load(name)
    for name in ("../escape", "/etc/passwd", "", "."):
        with pytest.raises(RuntimeError, match="inside"):
            bench.client.export(name, "ply")
    assert bench.client.export("floor1/kitchen.ply", "ply").endswith("floor1/kitchen.ply")
    with pytest.raises(RuntimeError, match="must be ply"):
        bench.client.export("x", "stl")
    with pytest.raises(RuntimeError, match=r"missing\.map"):
        bench.client.load("missing.map")


def test_nothing_is_exported_into_a_saved_map(bench: Bench, tmp_path: Path) -> None:
    saved = save_map(tmp_path / "maps", "kitchen", SavedMap({}, {}))
    held = sorted(saved.iterdir())
    for name in ("kitchen", "kitchen/manifest.ply", "kitchen/a/b.ply", "floor/../kitchen/b.ply"):
        with pytest.raises(RuntimeError, match="must not lead into the saved map 'kitchen'"):
            bench.client.export(name, "ply")
    assert sorted(saved.iterdir()) == held


def test_maps_are_listed(bench: Bench, tmp_path: Path) -> None:
    assert bench.client.maps() == []
    meta = {"keyframes": [{}], "map_version": 4, "methods": []}
    save_map(tmp_path / "maps", "kitchen", SavedMap(meta, {}))
    (save_map(tmp_path / "maps", "torn", SavedMap(meta, {})) / "map.json").write_text("{")
    assert bench.client.maps() == ["kitchen"]
    service = "semantic_field_ros/srv/ListMaps"
    request = bench.other.message(f"{service}_Request")
    kitchen, torn = bench.other.call(service, "/semantic_field/list_maps", request, 20.0).maps
    assert (kitchen.keyframes, kitchen.map_version, kitchen.problem) == (1, 4, "")
    assert kitchen.saved.sec > 0 and kitchen.size_mb > 0 and torn.problem


def test_mapping_is_paused_resumed_and_reset(bench: Bench) -> None:
    bench.client.pause(True)
    bench.client.pause(False)
    bench.client.reset()
    assert bench.field.calls == [("pause",), ("resume",), ("reset",)]
    assert bench.node.lifecycle.change("deactivate")
    with pytest.raises(RuntimeError, match="inactive"):
        bench.client.pause(False)
    assert bench.node.lifecycle.change("cleanup")
    with pytest.raises(RuntimeError, match="no map"):
        bench.client.reset()


@pytest.mark.parametrize("way", ["reset", "cleanup"])
def test_without_a_map_nothing_of_it_is_shown(bench: Bench, way: str) -> None:
    cloud, about = "sensor_msgs/msg/PointCloud2", "/semantic_field/answer/"
    surfaces = bench.listen(cloud, "/semantic_field/surface")
    points = bench.listen(cloud, f"{about}points")
    boxes = bench.listen("vision_msgs/msg/Detection3DArray", f"{about}detections")
    heard = (surfaces, points, boxes)
    bench.client.query_text(TextQuery("mug"))
    eventually(lambda: all(heard))
    assert (surfaces[0].width, points[0].width, len(boxes[0].detections)) == (2, 2, 1)
    if way == "reset":
        bench.client.reset()
    else:
        assert bench.node.lifecycle.change("deactivate") and bench.node.lifecycle.change("cleanup")
    eventually(lambda: all(len(messages) == 2 for messages in heard))
    assert (surfaces[1].width, points[1].width, boxes[1].detections) == (0, 0, [])
    bench.field.is_empty = False
    assert way == "reset" or bench.node.lifecycle.change("configure")
    eventually(lambda: len(surfaces) == 3 and surfaces[2].width == 2)


def test_a_node_that_is_closing_answers_still(bench: Bench, caplog) -> None:
    """Saving at the end takes its time."""
    asked = bench.other.publisher("std_msgs/msg/String", "/semantic_field/text_query")
    eventually(asked.subscribers)
    bench.node.close()
    asked.publish(bench.other.message("std_msgs/msg/String", data="mug"))
    assert "no map" in bench.client.query_text(TextQuery("mug")).reason
    assert not [record for record in caplog.records if record.exc_info]


def test_views_are_rendered(bench: Bench) -> None:
    make, srv = bench.other.message, "semantic_field_ros/srv/RenderView"
    header = header_message(make, "map", 0)
    pose = look_at(np.array([2.5, 0.0, 1.0]), np.zeros(3))
    request = make(
        f"{srv}_Request",
        pose=make("geometry_msgs/msg/PoseStamped", header=header, pose=pose_message(make, pose)),
        camera_info=camera_info_message(make, header, CAMERA),
        layer="depth",
    )
    reply = bench.other.call(srv, "/semantic_field/render_view", request, 20.0)
    assert reply.success
    np.testing.assert_array_equal(depth_from_message(reply.image), np.full((12, 16), 2.5, "f4"))
    request.camera_info.d = np.array(
        [0.3, -0.1, 0.0, 0.0, 0.0]
    )  # of the lens; what is rendered has none
    assert bench.other.call(srv, "/semantic_field/render_view", request, 20.0).success
    assert bench.field.rendered == [CAMERA, CAMERA]
    request.camera_info.binning_x = request.camera_info.binning_y = 2
    assert bench.other.call(srv, "/semantic_field/render_view", request, 20.0).success
    binned = bench.field.rendered[-1]
    assert (binned.width, binned.height) == (CAMERA.width // 2, CAMERA.height // 2)
    assert (binned.fx, binned.fy) == (CAMERA.fx / 2, CAMERA.fy / 2)
    request.camera_info.binning_x = request.camera_info.binning_y = 0
    request.layer = "x-ray"
    refused = bench.other.call(srv, "/semantic_field/render_view", request, 20.0)
    assert not refused.success
    assert "x-ray" in refused.message


def part(diagnostics: list, name: str):
    """The newest status of one part of the node."""
    return next(s for s in diagnostics[-1].status if s.name == f"semantic_field: {name}")


def test_grasps_are_planned(bench: Bench) -> None:
    make, srv = bench.other.message, "semantic_field_ros/srv/PlanGrasps"
    gripper = make("semantic_field_ros/msg/Gripper", max_opening=0.0625)
    request = make(f"{srv}_Request", text="mug", gripper=gripper)
    reply = bench.other.call(srv, "/semantic_field/plan_grasps", request, 20.0)
    assert (reply.found, reply.map_version, reply.header.frame_id) == (True, 3, "map")
    position = reply.grasps[0].pose.position
    assert [position.x, position.y, position.z] == POINTS[0].tolist()
    assert reply.grasps[0].opening == 0.0625
    request.text = ""
    refused = bench.other.call(srv, "/semantic_field/plan_grasps", request, 20.0)
    assert not refused.found and "either text or points" in refused.reason


def test_the_shell_saves_loads_and_lists_maps(bench: Bench, tmp_path, capsys) -> None:
    from semantic_field_ros.cli import main

    assert main(["query", "maps"]) == 0
    assert capsys.readouterr().out == "the node has no maps\n"
    assert main(["query", "save", "kitchen"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/maps/kitchen\n"
    assert main(["query", "load", "kitchen", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["message"]
    assert told.startswith("loaded ") and told.endswith("maps/kitchen")
    assert bench.field.calls[-1] == ("load", "a map")
    assert main(["query", "load", "../kitchen"]) != 0


def test_frames_reach_the_field_and_the_status_tells(bench: Bench) -> None:
    statuses = bench.listen("semantic_field_ros/msg/Status", "/semantic_field/status")
    surfaces = bench.listen("sensor_msgs/msg/PointCloud2", "/semantic_field/surface")
    overlays = bench.listen("sensor_msgs/msg/Image", "/semantic_field/answer/overlay")
    diagnostics: list = []
    bench.other.subscribe(
        "diagnostic_msgs/msg/DiagnosticArray", "/diagnostics", diagnostics.append
    )
    frames = [
        PosedFrame(
            10**12 + i * 10**8, "camera", CAMERA, look_at(np.array([2.0, 0, 1 + i]), np.zeros(3)),
            np.zeros((12, 16, 3), np.uint8), np.ones((12, 16), np.float32),
        )
        for i in range(3)
    ]  # fmt: skip
    eventually(lambda: diagnostics and "nobody publishes" in part(diagnostics, "inputs").message)
    with connect("dds", "replay", []) as player:
        replay(frames, player, ReplayOptions(rate_hz=50.0))
        eventually(lambda: len(bench.field.frames) == 3)
    eventually(lambda: statuses and statuses[-1].frames_accepted == 3)
    newest = statuses[-1]
    assert (newest.state, newest.keyframes, newest.map_version) == ("mapping", 3, 3)
    assert math.isnan(newest.psnr_db)
    assert [(pair.key, pair.value) for pair in newest.details] == [("extra", "1")]
    assert len(surfaces) == 1
    eventually(lambda: part(diagnostics, "inputs").level == 0)
    assert {topic.topic for topic in newest.topics} == {"/image", "/depth", "/camera_info"}
    bench.client.query_text(TextQuery("mug"))
    eventually(lambda: overlays)
    assert (overlays[-1].width, overlays[-1].height) == (16, 12)
    assert stamp_ns(overlays[-1].header.stamp) == bench.field.frames[-1].stamp_ns
    shows = look_at(POINTS[0] - [1.0, 0.0, 0.0], POINTS[0].astype(float))
    bench.field.held = [replace(bench.field.frames[0], world_from_camera=shows, depth_m=None)]
    bench.client.query_text(TextQuery("mug"))
    eventually(lambda: len(overlays) == 2)
    assert stamp_ns(overlays[-1].header.stamp) == bench.field.held[0].stamp_ns
    assert overlays[-1].header.frame_id == overlays[0].header.frame_id == "camera_optical_frame"
    assert bench.node.lifecycle.change("deactivate")
    bench.client.query_text(TextQuery("mug"))
    eventually(lambda: len(overlays) == 3)
    assert overlays[-1].header.frame_id == "camera_optical_frame"
    assert stamp_ns(overlays[-1].header.stamp) == bench.field.held[0].stamp_ns
    bench.field.held = []
    for _ in range(2):  # an older answer's picture goes once
        bench.client.query_text(TextQuery("mug"))
    eventually(lambda: len(overlays) == 4)
    assert bytes(overlays[-1].data) == b"\0\0\0"
    time.sleep(0.2)
    assert len(overlays) == 4


def test_a_node_that_cannot_be_deactivated_goes_on_mapping(bench: Bench, monkeypatch) -> None:
    def out_of_memory(features: bool = False) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(bench.field, "pause", out_of_memory)
    assert not bench.node.lifecycle.change("deactivate")
    assert bench.node.lifecycle.state is State.ACTIVE
    assert bench.node.listening is not None
    assert bench.field.calls == [("resume",)]
