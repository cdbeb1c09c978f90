"""What each part of the node is worth, from what was observed."""

from dataclasses import replace

import pytest

from semantic_field_ros.ros.health import ERROR, OK, STALE, WARN, Observed, Physician, why_idle
from semantic_field_ros.ros.lifecycle import State
from semantic_field_ros.ros.self_check import TopicState

IMAGE = TopicState("/image", "sensor_msgs/msg/Image", 30.0, 0.01, 1)
WELL = Observed(
    State.ACTIVE,
    field={"state": "training", "keyframes": 20, "feature_backlog": 1},
    topics=(IMAGE,),
    accepted=100,
    feature_queue=64,
    memory_mb=1000.0,
    memory_budget_mb=4000.0,
)


def levels(before: Observed, now: Observed) -> dict[str, int]:
    physician = Physician()
    physician.examine(before)
    return {part.part: part.level for part in physician.examine(now)}


def test_all_is_well() -> None:
    found = levels(WELL, replace(WELL, accepted=110))
    assert set(found) == {
        "lifecycle", "inputs", "poses", "training", "features", "memory", "queries"
    }  # fmt: skip
    assert set(found.values()) == {OK}
    assert why_idle(WELL) == ""


def test_a_topic_that_never_spoke_is_an_error_and_one_that_fell_silent_is_stale() -> None:
    mute = replace(IMAGE, age_s=None, problem="nobody publishes /image")
    silent = replace(IMAGE, age_s=7.0, problem="/image has been silent for 7 s")
    assert levels(WELL, replace(WELL, topics=(mute,)))["inputs"] == ERROR
    assert levels(WELL, replace(WELL, topics=(silent,)))["inputs"] == STALE
    both = "nobody publishes /image; /image has been silent for 7 s"
    waiting = replace(WELL, topics=(mute, silent), field={"state": "waiting"})
    assert why_idle(waiting) == both
    assert why_idle(replace(waiting, field=WELL.field)) == f"no new frames: {both}"


def test_drops_count_since_the_last_report() -> None:
    old = replace(WELL, drops={"no pose in time": 50})
    assert levels(old, replace(old, accepted=110))["inputs"] == OK
    worse = replace(old, accepted=101, drops={"no pose in time": 60})
    assert (levels(old, worse)["inputs"], levels(old, worse)["poses"]) == (WARN, WARN)
    none = replace(old, drops={"no pose in time": 60})
    assert (levels(old, none)["inputs"], levels(old, none)["poses"]) == (ERROR, ERROR)
    anew = replace(WELL, accepted=3, drops={"queue full": 1})  # counters start again
    assert levels(old, anew)["inputs"] == OK


@pytest.mark.parametrize(
    ("field", "part", "level"),
    [
        ({"state": "failed", "message": "out of memory"}, "training", ERROR),
        ({"state": "idle"}, "training", OK),
        ({"state": "paused"}, "training", WARN),
        ({"feature_backlog": 40}, "features", WARN),
        ({"features_dropped": 2}, "features", WARN),
        ({"message": "KeyError: 1"}, "features", ERROR),
        ({"queries": {"asked": 1, "latency_last_s": 1.4}}, "queries", WARN),
        ({"queries": {"asked": 1, "latency_last_s": 0.4}}, "queries", OK),
    ],
)
def test_parts_of_the_map(field: dict, part: str, level: int) -> None:
    assert levels(WELL, replace(WELL, field=WELL.field | field))[part] == level


@pytest.mark.parametrize(("used_mb", "level"), [(3100.0, OK), (3300.0, WARN), (4100.0, ERROR)])
def test_memory_against_its_budget(used_mb: float, level: int) -> None:
    assert levels(WELL, replace(WELL, memory_mb=used_mb))["memory"] == level
    on_gpu = replace(WELL, gpu_mb=(used_mb, 4000.0))
    assert levels(WELL, on_gpu)["memory"] == level


def test_a_node_that_is_not_active_rests() -> None:
    found = levels(WELL, replace(WELL, state=State.INACTIVE, topics=()))
    assert (found["lifecycle"], found["inputs"], found["training"]) == (WARN, STALE, STALE)
    failed = Observed(State.UNCONFIGURED, "configuring failed: no weights")
    assert levels(WELL, failed)["lifecycle"] == ERROR
    assert why_idle(failed) == "configuring failed: no weights"
    assert why_idle(Observed(State.INACTIVE, node="/field")) == (
        "the node is inactive: ros2 lifecycle set /field activate"
    )
    assert why_idle(Observed(State.CONFIGURING)) == "the node is configuring"


def test_frames_that_nobody_keeps_are_explained() -> None:
    field = {"state": "waiting", "keyframes": 0, "frames": {"blurred": 9, "under-exposed": 2}}
    assert why_idle(replace(WELL, field=field)) == "no frame was kept, most are blurred (9)"
    few = replace(WELL, field={"state": "waiting", "keyframes": 3}, keyframes_wanted=8)
    assert why_idle(few) == "3 of 8 keyframes to begin with: move the camera"
