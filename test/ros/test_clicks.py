"""What RViz's Publish Point asks, over real traffic: at once, late, or never to be answered."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from camera_bench import START_NS, STEP_NS, eventually
from node_bench import POINTS, Bench

from semantic_field_ros.ros.graph import Publisher
from semantic_field_ros.ros.messages import header_message, point_message, transform_message


@pytest.fixture()
def bench(domain, tmp_path: Path, request) -> Iterator[Bench]:
    patience = ["--ros-args", "-p", f"tf_timeout_s:={request.param}"]
    opened = Bench(tmp_path / "maps", patience)
    yield opened
    opened.close()


def place_odometry(bench: Bench, tf: Publisher, stamp_ns: int) -> None:
    """Says that at this time `odom` begins 1 m to the left of the map."""
    pose = np.eye(4)
    pose[1, 3] = 1.0
    make = bench.other.message
    item = transform_message(make, header_message(make, "map", stamp_ns), "odom", pose)
    tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))


@pytest.mark.parametrize(
    ("bench", "comes"), [(10.0, True), (0.2, False)], indirect=["bench"], ids=["late", "never"]
)
def test_a_click_waits_for_its_transform(bench: Bench, caplog, comes: bool) -> None:
    """RViz stamps a click with the present, in a frame of which tf knows the past."""
    detections = "vision_msgs/msg/Detection3DArray"
    answers = bench.listen(detections, "/semantic_field/answer/detections")
    click = bench.other.publisher("geometry_msgs/msg/PointStamped", "/clicked_point")
    tf = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf")
    eventually(lambda: click.subscribers() and tf.subscribers())
    place_odometry(bench, tf, START_NS)
    eventually(lambda: "odom" in bench.graph.frames())
    make = bench.other.message
    header = header_message(make, "odom", START_NS + STEP_NS)
    point = point_message(make, POINTS[0])
    with caplog.at_level(logging.INFO, logger="semantic_field_ros"):
        click.publish(make("geometry_msgs/msg/PointStamped", header=header, point=point))
        if comes:
            time.sleep(0.2)
            assert "clicked" not in caplog.text
            place_odometry(bench, tf, START_NS + 2 * STEP_NS)
        eventually(lambda: "clicked" in caplog.text)
    (line,) = (r.getMessage() for r in caplog.records if "clicked" in r.getMessage())
    assert line.startswith("clicked [1.0, 2.0, 3.0] in 'odom': ")
    assert ("[[1. 3. 3.]]" if comes else "extrapolation into the future") in line
    eventually(lambda: answers)
    assert [len(answer.detections) for answer in answers] == [int(comes)]
    assert not [record for record in caplog.records if record.exc_info]
