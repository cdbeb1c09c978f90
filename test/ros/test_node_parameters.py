"""Parameters that change while the node listens, on every graph."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_bench import Driver, eventually
from node_bench import Bench

SET = "rcl_interfaces/srv/SetParametersAtomically"


class Changing(Bench):
    """Its parameters are set as `ros2 param` does."""

    def set(self, **values: str | float | int):
        """`__` stands for a dot."""
        kinds = {int: (2, "integer_value"), float: (3, "double_value"), str: (4, "string_value")}
        make, changed = self.other.message, []
        for name, value in values.items():
            number, field = kinds[type(value)]
            told = make("rcl_interfaces/msg/ParameterValue", type=number, **{field: value})
            name = name.replace("__", ".")
            changed.append(make("rcl_interfaces/msg/Parameter", name=name, value=told))
        request = make(f"{SET}_Request", parameters=changed)
        service = "/semantic_field/set_parameters_atomically"
        return self.other.call(SET, service, request, 20.0).result

    def camera(self):
        """What the active node listens to now."""
        assert self.node.listening is not None
        (camera,) = self.node.listening.inputs.cameras
        return camera


@pytest.fixture()
def bench(domain, tmp_path, graph_kind) -> Iterator[Changing]:
    opened = Changing(tmp_path / "maps", [], graph_kind)
    yield opened
    opened.close()


def test_a_topic_without_a_valid_name_is_refused_and_the_node_listens_on(bench: Changing) -> None:
    before = bench.camera()
    for name in ("image_topic", "depth_topic", "camera_info_topic", "ignore_topic"):
        refused = bench.set(**{name: "bad topic!"})
        assert not refused.successful
        rule = "must be letters, digits, _ and / (or ~/…), got 'bad topic!'"
        assert refused.reason == f"{name} {rule}"
    assert not bench.set(image_topic="").successful
    assert bench.set(depth_topic="", depth_transport="none").successful
    eventually(lambda: bench.camera() is not before)
    assert bench.graph.parameter("image_topic") == "image"


def test_what_cannot_be_listened_to_leaves_the_node_with_what_it_has(
    bench: Changing, tmp_path: Path
) -> None:
    """A mask is read when it is asked for, and again whenever topics are subscribed to."""
    statuses = bench.listen("semantic_field_ros/msg/Status", "/semantic_field/status")
    mask = tmp_path / "arm.png"
    cv2.imwrite(str(mask), np.full((24, 32), 255, np.uint8))
    first = bench.camera()
    assert bench.set(mask=str(mask)).successful
    eventually(lambda: bench.camera() is not first)
    before = bench.camera()
    mask.unlink()
    assert bench.set(slop_s=0.03, queries__click_views=3).successful
    eventually(lambda: statuses and "listening failed: mask must be" in statuses[-1].message)
    assert bench.camera() is before
    assert bench.field.config.queries.click_views == 3
    driver = Driver(bench.other)
    eventually(driver.is_heard)
    driver.tell_intrinsics()
    driver.send_until(lambda: before.accepted)
    assert bench.set(mask="").successful
    eventually(lambda: bench.camera() is not before)
    eventually(lambda: "listening failed" not in statuses[-1].message)


def test_frames_are_counted_since_the_node_became_active(bench: Changing) -> None:
    statuses = bench.listen("semantic_field_ros/msg/Status", "/semantic_field/status")
    driver = Driver(bench.other)
    eventually(driver.is_heard)
    driver.send_until(lambda: statuses and statuses[-1].frames_dropped)
    driver.tell_intrinsics()
    driver.send_until(lambda: statuses[-1].frames_accepted)
    counts = [statuses[-1].frames_accepted, statuses[-1].frames_dropped]
    before, seen = bench.camera(), len(statuses)
    assert bench.set(slop_s=0.03).successful
    eventually(lambda: bench.camera() is not before and len(statuses) > seen + 2)
    newest = statuses[-1]
    assert newest.frames_accepted >= counts[0]
    assert newest.frames_dropped >= counts[1]
    assert {d.key: int(d.value) for d in newest.drops}["bad frame"] == newest.frames_dropped

    assert bench.node.lifecycle.change("deactivate")
    assert bench.node.lifecycle.change("activate")
    eventually(lambda: statuses[-1].topics and not statuses[-1].frames_accepted)
    assert statuses[-1].frames_dropped == 0
