"""Bar: a 30 Hz 640x480 RGB-D camera over DDS, for four minutes, into the mapping node.

The node runs in this process, on a graph that times its callbacks; the camera is a process of its
own (`python -m semantic_field_ros.evaluation.stream_bar`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import psutil

from semantic_field_ros.config import Config, KeyframesConfig
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.demo import demo_environment
from semantic_field_ros.evaluation.metrics import percentile
from semantic_field_ros.keyframes.selection import KEPT
from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.dds_environment import read_environment
from semantic_field_ros.ros.dds_graph import DdsGraph, DdsSubscription
from semantic_field_ros.ros.graph import RELIABLE, Graph, Qos
from semantic_field_ros.ros.node import DEFAULT_NAME, SemanticFieldNode
from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera, PosedFrame

RATE_HZ, SECONDS, CAPACITY = 30.0, 240.0, 40
CAMERA = PinholeCamera(640, 480, 560.0, 560.0, 319.5, 239.5)
#: length of the whole path in frames, and how many the camera goes through, forwards and
#: backwards; they are rendered before it starts.
PATH, VIEWS = 1440, 150


class TimedGraph(DdsGraph):
    """A graph that notes how long each subscription callback takes.

    Attributes:
        callback_s: seconds, in order.
    """

    callback_s: list[float]

    def subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Any], None],
        qos: Qos = RELIABLE,
    ) -> DdsSubscription:
        """As in `DdsGraph`."""

        def timed(message: Any) -> None:
            start = time.perf_counter()
            callback(message)
            self.callback_s.append(time.perf_counter() - start)

        self.callback_s = getattr(self, "callback_s", [])
        return super().subscribe(type_name, topic, timed, qos)


def measure_stream(seconds: float = SECONDS) -> dict[str, Any]:
    """Runs node and camera.

    Returns:
        `losses`; the 99th percentile of all subscription callbacks; the memory of the last quarter
        of the time in which the replay memory was full, and how much more that is than in the
        second quarter: medians, because every snapshot makes it swing by 100 MB.

    Raises:
        RuntimeError: the camera failed.
    """
    environment = demo_environment()
    keyframes = dataclasses.replace(KeyframesConfig(), capacity=CAPACITY)
    with (
        tempfile.TemporaryFile() as log,
        SemanticField(Config(keyframes=keyframes)) as field,
        contextlib.closing(
            TimedGraph(parse_arguments([], DEFAULT_NAME), read_environment(environment))
        ) as graph,
    ):
        node = SemanticFieldNode(graph, lambda: field, declare_settings(graph), "maps")
        node.start()
        command = [sys.executable, "-m", __name__, "--seconds", str(seconds)]
        camera = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            memory_mb = _watch(camera, field)
            log.seek(0)
            text = log.read().decode(errors="replace")
            if camera.returncode:
                raise RuntimeError(f"the camera ended with {camera.returncode}: {text[-500:]}")
            time.sleep(1.0)
            status = field.status()
            assert node.listening is not None
            inputs = node.listening.inputs
            accepted = sum(one.accepted for one in inputs.cameras)
            drops = inputs.drops()
        finally:
            camera.kill()
            camera.wait()
            node.close()
    quarter = max(len(memory_mb) // 4, 1)
    settled_mb = float(np.median(memory_mb[quarter : 2 * quarter + 1]))
    final_mb = float(np.median(memory_mb[-quarter:]))
    return {
        **losses(int(text.split()[-1]), accepted, drops, status),
        "callback_p99_s": percentile(graph.callback_s, 0.99),
        "memory_growth_mb": final_mb - settled_mb,
        "memory_mb": final_mb,
    }


def losses(
    published: int, accepted: int, drops: Mapping[str, int], status: Mapping[str, Any]
) -> dict[str, Any]:
    """What became of the frames, and of the keyframes among them.

    Args:
        published: by the camera.
        accepted, drops: by the node's inputs, drops by reason.
        status: of the field.

    Returns:
        Frames published, accepted and dropped; `frames_lost` are neither, they never came or
        nobody counted them. Keyframes that were decided on, and those of them that never get
        features, because they waited too long, were evicted first, or a model failed.
    """
    dropped = sum(drops.values())
    return {
        "published": published,
        "accepted": accepted,
        "dropped": dropped,
        "frames_lost": published - accepted - dropped,
        "keyframes": sum(status["frames"].get(reason.value, 0) for reason in KEPT),
        "features_dropped": status["features_dropped"],
        "features_failed": status["features_failed"],
    }


def _watch(camera: subprocess.Popen[bytes], field: SemanticField) -> list[float]:
    """Resident memory once a second from when the replay memory is full, MB."""
    process, memory_mb = psutil.Process(), [0.0]
    while camera.poll() is None:
        if field.status()["keyframes"] >= CAPACITY:
            memory_mb.append(process.memory_info().rss / 1e6)
        time.sleep(1.0)
    return memory_mb


def _camera_frames(seconds: float) -> Iterator[PosedFrame]:
    """Views of a room, back and forth without end, stamped 1 / 30 s apart."""
    world = SyntheticSource("room", 951, frames=PATH, camera=CAMERA, rate_hz=RATE_HZ)
    views = list(itertools.islice(world, VIEWS))
    cycle = [*views, *views[-2:0:-1]]
    for index in range(int(seconds * RATE_HZ)):
        stamp_ns = round(index * 1e9 / RATE_HZ)
        yield dataclasses.replace(cycle[index % len(cycle)], stamp_ns=stamp_ns)


def main(graph: Graph, seconds: float) -> int:
    """The camera: publishes and returns how many frames it published."""
    return replay(_camera_frames(seconds), graph, ReplayOptions(rate_hz=RATE_HZ))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    arguments = parse_arguments([], "camera")
    with DdsGraph(arguments, read_environment(os.environ)) as own:
        sys.stdout.write(f"{main(own, options.seconds)}\n")
