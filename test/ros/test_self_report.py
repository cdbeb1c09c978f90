"""What the status says of topics that ask too much, and of several cameras at a time."""

import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from camera_bench import START_NS, STEP_NS, Driver, eventually
from node_bench import POINTS, Bench

from semantic_field_ros.queries.base import Progress, TextQuery, unwatched
from semantic_field_ros.ros.graph import Qos
from semantic_field_ros.ros.messages import header_message, image_message, point_message
from semantic_field_ros.types import QueryAnswer

STATUS = ("semantic_field_ros/msg/Status", "/semantic_field/status")
STRING = "std_msgs/msg/String"


@pytest.fixture()
def bench(domain, tmp_path: Path, graph_kind: str, request) -> Iterator[Bench]:
    said = [word for parameter in getattr(request, "param", ()) for word in ("-p", parameter)]
    opened = Bench(tmp_path / "maps", ["--ros-args", *said], graph_kind)
    yield opened
    opened.close()


class SlowQueries:
    """Makes text queries last until they are let go."""

    def __init__(self, bench: Bench, monkeypatch) -> None:
        self.asked: list[str] = []
        self.free, self.begun = threading.Event(), threading.Event()
        monkeypatch.setattr(bench.field, "query_text", self._query)

    def _query(self, query: TextQuery, progress: Progress = unwatched) -> QueryAnswer:
        self.asked.append(query.text)
        self.begun.set()
        assert self.free.wait(20)
        return QueryAnswer(False, "nothing of the kind", [], 0.0, 0.0, 3, 99)


def refused(statuses: list) -> dict[str, int]:
    """Messages refused by reason, as the newest status tells."""
    return {
        pair.key.removeprefix("refused: "): int(pair.value)
        for pair in statuses[-1].details
        if pair.key.startswith("refused: ")
    }


def test_of_more_questions_than_can_be_answered_the_newest_are_and_the_status_goes_on(
    bench: Bench, monkeypatch
) -> None:
    statuses, slow = bench.listen(*STATUS), SlowQueries(bench, monkeypatch)
    text = bench.other.publisher(STRING, "/semantic_field/text_query", Qos(depth=50))
    click = bench.other.publisher("geometry_msgs/msg/PointStamped", "/clicked_point")
    eventually(lambda: text.subscribers() and click.subscribers())
    make = bench.other.message
    text.publish(make("std_msgs/msg/String", data="first"))
    assert slow.begun.wait(20)
    for i in range(30):
        text.publish(make("std_msgs/msg/String", data=f"mug {i}"))
        time.sleep(0.01)
    eventually(lambda: statuses and refused(statuses).get("too many questions") == 22)
    header, point = header_message(make, "map", 0), point_message(make, POINTS[0])
    click.publish(make("geometry_msgs/msg/PointStamped", header=header, point=point))
    eventually(lambda: refused(statuses).get("too many questions") == 23)
    before = len(statuses)
    eventually(lambda: len(statuses) > before + 3)
    assert slow.asked == ["first"]
    slow.free.set()
    eventually(lambda: bench.field.clicks)
    assert slow.asked == ["first", *(f"mug {i}" for i in range(23, 30))]


def test_a_zone_that_takes_long_to_find_does_not_silence_the_status(
    bench: Bench, monkeypatch
) -> None:
    statuses, slow = bench.listen(*STATUS), SlowQueries(bench, monkeypatch)
    text = bench.other.publisher("std_msgs/msg/String", "/semantic_field/text_query")
    eventually(text.subscribers)
    text.publish(bench.other.message("std_msgs/msg/String", data="keep away from the plant"))
    assert slow.begun.wait(20)
    before = len(statuses)
    eventually(lambda: len(statuses) > before + 5)
    slow.free.set()


def test_closing_drops_the_questions_that_wait(bench: Bench, monkeypatch) -> None:
    slow = SlowQueries(bench, monkeypatch)
    text = bench.other.publisher(STRING, "/semantic_field/text_query", Qos(depth=50))
    eventually(text.subscribers)
    for i in range(5):
        text.publish(bench.other.message("std_msgs/msg/String", data=f"mug {i}"))
    eventually(lambda: len(bench.node._questions._jobs) == 4)
    closing = threading.Thread(target=bench.node.close)
    closing.start()
    while not bench.node._answering._thread._shutdown:
        closing.join(0.01)
    slow.free.set()
    closing.join(20)
    assert not closing.is_alive()
    assert slow.asked == ["mug 0"]


@pytest.mark.parametrize(
    "bench", [["cameras:=[left, right]", "depth_transport:=none"]], indirect=True
)
def test_the_newest_error_of_a_pose_is_told_whichever_camera_it_is_of(bench: Bench) -> None:
    statuses, stamps_ns = bench.listen(*STATUS), count(START_NS, STEP_NS)
    make = bench.other.message
    images = {
        name: bench.other.publisher("sensor_msgs/msg/Image", f"/{name}/image", Qos())
        for name in ("left", "right")
    }
    eventually(lambda: all(image.subscribers() for image in images.values()))
    unnamed = "images have no frame_id: name their frame by camera_frame"
    empty = "frame name must not be empty, got '/'"
    for name, frame_id, error in (
        ("left", "", unnamed), ("right", "/", empty), ("left", "", unnamed)
    ):  # fmt: skip
        header = header_message(make, frame_id, next(stamps_ns))
        rgb = np.zeros((24, 32, 3), np.uint8)
        images[name].publish(image_message(make, header, rgb, "rgb8"))
        eventually(lambda error=error: statuses and statuses[-1].last_tf_error == error)


def test_discovery_is_not_asked_who_publishes_while_every_topic_speaks(
    bench: Bench, monkeypatch
) -> None:
    statuses, asked = bench.listen(*STATUS), []
    list_all = bench.graph.publications
    monkeypatch.setattr(bench.graph, "publications", lambda: asked.append(1) or list_all())
    eventually(lambda: asked)  # nobody publishes yet
    driver = Driver(bench.other)
    eventually(driver.is_heard)
    driver.tell_intrinsics()
    driver.send_until(lambda: statuses[-1].frames_accepted > 1)
    asked.clear()
    before = len(statuses)
    driver.send_until(lambda: len(statuses) > before + 5)
    assert not asked
