"""Costmap and goals, over real DDS traffic, of a field with a plant on an empty floor."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from navigation_bench import GRID, Bench, eventually, value

from semantic_field_ros.geometry import look_at
from semantic_field_ros.ros.messages import header_message, pose_message
from semantic_field_ros.stream.messages import matrix_from_pose


@pytest.fixture()
def bench(domain, tmp_path) -> Iterator[Bench]:
    opened = Bench(str(tmp_path), [])
    yield opened
    opened.close()


def test_the_costmap_comes_once_for_whoever_reads_it(bench: Bench) -> None:
    costmaps = bench.listen(GRID, "/semantic_field/costmap")
    eventually(lambda: costmaps)
    newest = costmaps[-1]
    assert (newest.header.frame_id, newest.info.width, newest.info.height) == ("map", 80, 80)
    assert value(newest, -1.0, 0.0) == 0
    assert value(newest, 1.0, 0.11) == 100
    time.sleep(0.5)
    assert len(costmaps) == 1


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
