"""A replay as a program: what it publishes, and how it ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from semantic_field_ros.ros.replay import ReplayOptions

CLI = "import sys; from semantic_field_ros.cli import main; sys.exit(main())"


def eventually(condition: Callable[[], object], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_ends_well(graph, number) -> None:
    received: list = []
    graph.subscribe("sensor_msgs/msg/Image", "image", received.append)
    graph.subscribe("sensor_msgs/msg/CameraInfo", "camera_info", print)
    source = ["replay", "world:table:1007", "--frames", "2", "--loop", "--rate-hz", "20"]
    replay = subprocess.Popen([sys.executable, "-c", CLI, *source], stderr=subprocess.PIPE)
    try:
        eventually(lambda: len(received) > 4)  # more than there are: it loops
    finally:
        replay.send_signal(number)
        _, said = replay.communicate(timeout=60)
    assert replay.returncode == 0
    assert b"Traceback" not in said


def test_replay_refuses_what_makes_no_sense() -> None:
    for options in ({"depth_encoding": "8UC1"}, {"rate": 0.0}, {"rate_hz": -1.0}):
        with pytest.raises(ValueError, match="got"):
            ReplayOptions(**options)
