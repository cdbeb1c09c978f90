"""A replay as a program: what it publishes, and how it ends."""

import dataclasses
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.types import PinholeCamera, PosedFrame

CLI = "import sys; from semantic_field_ros.cli import main; sys.exit(main())"


def eventually(condition: Callable[[], object], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGINT]],
    ids=["terminated", "interrupted again and again"],
)
def test_an_interrupted_replay_ends_well(graph, graph_kind, signals) -> None:
    received: list = []
    graph.subscribe("sensor_msgs/msg/Image", "image", received.append)
    graph.subscribe("sensor_msgs/msg/CameraInfo", "camera_info", print)
    source = ["replay", "world:table:1007", "--frames", "2", "--loop", "--rate-hz", "20"]
    words = [*source, "--graph", graph_kind]
    program = subprocess.Popen([sys.executable, "-c", CLI, *words], stderr=subprocess.PIPE)
    try:
        eventually(lambda: len(received) > 4)  # more than there are: it loops
    finally:
        for number in signals:
            program.send_signal(number)
            time.sleep(0.05)
        _, said = program.communicate(timeout=60)
    assert program.returncode == 0
    assert b"Traceback" not in said


def test_replay_refuses_what_makes_no_sense() -> None:
    for options in ({"depth_encoding": "8UC1"}, {"rate": 0.0}, {"rate_hz": -1.0}):
        with pytest.raises(ValueError, match="got"):
            ReplayOptions(**options)


def frame(stamp_ms: int, camera_name: str = "camera") -> PosedFrame:
    camera, rgb = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5), np.zeros((6, 8, 3), np.uint8)
    return PosedFrame(stamp_ms * 10**6, camera_name, camera, np.eye(4), rgb)


class EnoughError(Exception):
    """So many frames were published."""


@pytest.mark.parametrize(
    ("stamps_ms", "expected_ms"),
    [
        # 250 ms of stream and half of it more, the time from one frame to the next.
        ([1000, 1100, 1250], [1000, 1100, 1250, 1375, 1475, 1625, 1750, 1850]),
        ([0, 100, 250], [0, 100, 250, 375, 475, 625, 750]),
        ([1000], [1000, 2000, 3000]),
    ],
    ids=["stream", "stream from zero", "single frame"],
)
def test_stamps_go_on_when_a_stream_begins_again(graph, stamps_ms, expected_ms) -> None:
    source = [frame(ms) for ms in stamps_ms]
    published_ms: list[float] = []

    def on_frame(frame: PosedFrame) -> None:
        published_ms.append(frame.stamp_ns / 1e6)
        if len(published_ms) == len(expected_ms):
            raise EnoughError

    with pytest.raises(EnoughError):
        replay(source, graph, ReplayOptions(rate=100.0, wait_for_node=False, loop=True),
               on_frame=on_frame)  # fmt: skip
    assert published_ms == expected_ms


def test_a_stream_of_nothing_is_not_looped_for_ever(graph) -> None:
    assert replay([], graph, ReplayOptions(wait_for_node=False, loop=True)) == 0


def test_a_single_camera_may_have_any_name_and_of_several_each_its_own(graph) -> None:
    how = ReplayOptions(wait_for_node=False)
    assert replay([frame(1, "camera_link_optical")], graph, how) == 1
    assert replay([frame(1, "front"), frame(2, "wrist")], graph, how, ("front", "wrist")) == 2
    with pytest.raises(ValueError, match="got 'head'"):
        replay([frame(1, "head")], graph, how, ("front", "wrist"))


def test_depth_that_does_not_fit_is_published_as_unknown(graph) -> None:
    depth_m = np.full((6, 8), 1.5, np.float32)
    depth_m[0, :5] = np.nan, 65.534, 65.535, 80.0, np.inf
    received: list = []
    graph.subscribe("sensor_msgs/msg/Image", "depth", received.append)
    seen = dataclasses.replace(frame(1), depth_m=depth_m)

    def published() -> list:
        replay([seen], graph, ReplayOptions(wait_for_node=False))
        return received

    eventually(published)
    millimetres = np.frombuffer(bytes(received[0].data), np.uint16).reshape(6, 8)
    assert millimetres[0, :6].tolist() == [0, 65534, 0, 0, 0, 1500]


def test_whoever_hears_depth_a_little_later_misses_no_depth(graph, other) -> None:
    depths: list = []
    for type_name, topic in (
        ("sensor_msgs/msg/Image", "image"),
        ("sensor_msgs/msg/CameraInfo", "camera_info"),
        ("tf2_msgs/msg/TFMessage", "/tf"),
    ):
        other.subscribe(type_name, topic, lambda message: None)

    def hear_depth() -> None:
        other.subscribe("sensor_msgs/msg/Image", "depth", depths.append)

    late = threading.Timer(0.5, hear_depth)
    late.start()
    depth_m = np.full((6, 8), 2.0, np.float32)
    assert replay([dataclasses.replace(frame(1000), depth_m=depth_m)], graph) == 1
    late.join()
    eventually(lambda: depths, 5.0)
