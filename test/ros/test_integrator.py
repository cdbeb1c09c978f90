"""An integrator's first day: two cameras, a moving TF tree, questions, a crash, the same answers.

Only what any program on the graph can use: topics and services. The node is a process of its own
that is killed without notice.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from robot import Robot, drive

from semantic_field_ros.evaluation.processes import Child
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.ros.client import NodeClient
from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera, PosedFrame, QueryAnswer

ROOT = Path(__file__).parents[2]
CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
#: the last one comes after the map was loaded.
FRAMES, STEPS = 13, 150
PATIENCE_S = 400.0
#: other tests on this machine may have picked the same domain.
NODE = f"mapper_{os.getpid()}"
PARAMETERS = {
    "cameras": "[front, wrist]",
    "reliable": "true",
    "camera.wrist.image_transport": "compressed",
    "camera.wrist.depth_transport": "compressedDepth",
    "training.threads": "1",
    "training.snapshot_every_s": "1.0",
    "imagination.time_share": "0.0",
}


def robot_frames(start_ns: int) -> list[PosedFrame]:
    """A path around a table, seen by both cameras in turn."""
    source = SyntheticSource("table", 1005, frames=FRAMES, camera=CAMERA)
    return [
        replace(
            frame,
            stamp_ns=start_ns + number * 200_000_000,
            camera_name=("front", "wrist")[number % 2],
        )
        for number, frame in enumerate(source)
    ]


class Integrator:
    """A program beside the robot: it listens to the status and asks."""

    def __init__(self, graph: Graph) -> None:
        self.client = NodeClient(graph, f"/{NODE}", timeout_s=60.0)
        self._statuses: list[Any] = []
        graph.subscribe(
            "semantic_field_ros/msg/Status",
            f"/{NODE}/status",
            self._statuses.append,
            LATCHED,
        )

    def forget(self) -> None:
        self._statuses.clear()

    def wait_until(self, condition: Callable[[Any], bool], node: Child) -> Any:
        """The first status for which the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._statuses or not condition(self._statuses[-1]):
            node.check()
            last = self._statuses[-1] if self._statuses else node.tail()
            assert time.monotonic() < deadline, f"it did not come about: {last}"
            time.sleep(0.1)
        return self._statuses[-1]

    def ask(self, frame: PosedFrame) -> dict[str, QueryAnswer]:
        """Two phrases, one with a relation, and a click into the middle of an image."""
        pixels = np.array([[80.0, 60.0]], np.float32)
        click = ClickQuery(pixels=pixels, camera_name=frame.camera_name, stamp_ns=frame.stamp_ns)
        near = (Relation("near", "table"),)
        return {
            "text": self.client.query_text(TextQuery("mug")),
            "relation": self.client.query_text(TextQuery("mug", relations=near)),
            "click": self.client.query_click(click),
        }


@contextmanager
def running_node(folder: Path, name: str) -> Iterator[Child]:
    arguments = ["node", "--ros-args", "-r", f"__node:={NODE}"]
    for parameter, value in (PARAMETERS | {"map.folder": str(folder)}).items():
        arguments += ["-p", f"{parameter}:={value}"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with Child("node", arguments, folder / f"{name}.log", os.environ | {"PYTHONPATH": path}) as it:
        yield it


def iou(first: QueryAnswer, second: QueryAnswer) -> float:
    """Of the points of two answers, all masks together; the same point is within 0.1 mm."""
    one, other = (
        {tuple(p) for mask in answer.masks for p in np.rint(mask.points * 1e4).tolist()}
        for answer in (first, second)
    )
    return len(one & other) / len(one | other)


@pytest.mark.timeout(1200)
def test_a_map_survives_a_crash_and_answers_as_before(graph: Graph, tmp_path: Path) -> None:
    frames = robot_frames(graph.now_ns())
    robot, integrator = Robot(graph), Integrator(graph)
    with running_node(tmp_path, "first") as node:
        integrator.wait_until(lambda status: robot.has_listeners(), node)
        drive(robot, frames[:-1])
        known = integrator.wait_until(
            lambda status: status.steps >= STEPS and status.feature_backlog == 0, node
        )
        assert (known.frames_accepted, known.frames_dropped) == (FRAMES - 1, 0)
        integrator.client.pause(True)
        before = integrator.ask(frames[0])
        integrator.client.save("kitchen")
        os.kill(node.pid, signal.SIGKILL)
    for question, answer in before.items():
        assert answer.found, f"{question}: {answer.reason}"
    integrator.forget()
    with running_node(tmp_path, "second") as node:
        integrator.wait_until(lambda status: status.state == "waiting", node)
        assert integrator.client.maps() == ["kitchen"]
        integrator.client.pause(True)
        integrator.client.load("kitchen")
        for question, answer in integrator.ask(frames[0]).items():
            assert answer.found, f"{question}: {answer.reason}"
            assert iou(before[question], answer) >= 0.98, question
        # And the robot drives on.
        integrator.client.pause(False)
        robot.publish(frames[-1])
        integrator.wait_until(lambda status: status.keyframes > known.keyframes, node)
