"""Keep-out zones: the service, the sentence and the mask that Nav2 reads."""

import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest
from navigation_bench import GRID, Bench, eventually, surface_of_the_room, value

from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.queries.composition import KeepAway
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.dds_graph import DdsGraph
from semantic_field_ros.ros.graph import LATCHED
from semantic_field_ros.types import QueryAnswer


@pytest.fixture()
def bench(domain, tmp_path, request) -> Iterator[Bench]:
    kind = getattr(request, "param", "dds")
    opened = Bench(str(tmp_path), ["--ros-args", "-r", "~/keepout:=/zones"], kind)
    yield opened
    opened.close()


NAV2 = pytest.mark.skipif(
    find_spec("rclpy") is None or find_spec("nav2_msgs") is None, reason="no ROS 2 with Nav2"
)


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


def test_every_chair_has_a_zone_unless_fewer_are_asked_for(bench: Bench) -> None:
    assert bench.call("KeepOut", "keep_out", text="chair", radius=0.2, max_results=3).zones == 3
    assert bench.call("KeepOut", "keep_out", text="chair", radius=0.2, max_results=12).zones == 12
    assert bench.call("KeepOut", "keep_out", text="chair", radius=0.2).zones == 14
    assert bench.call("KeepOut", "keep_out", clear=True).zones == 0
    said = bench.node.navigation.keep_away(KeepAway("chair", None))
    assert said.startswith("14 keep-out zones: ")


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


def test_a_zone_asked_for_during_a_loop_closure_is_where_its_thing_is_now(bench: Bench) -> None:
    masks = bench.listen(GRID, "/zones")
    field = bench.node.field.present
    ask = field.query_text

    def corrected_meanwhile(query: TextQuery) -> QueryAnswer:
        found = ask(query)
        field.query_text = ask
        field.close_loop(0.8)
        return found

    field.query_text = corrected_meanwhile
    assert bench.call("KeepOut", "keep_out", text="plant", radius=0.1).success
    eventually(lambda: masks and value(masks[-1], 1.0, 0.8) == 100)
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
