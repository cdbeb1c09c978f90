"""What is asked by pointing, in RViz or in a camera's image, over real traffic."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from camera_bench import CAMERA, START_NS, STEP_NS, eventually, frame
from node_bench import POINTS, Bench

from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.ros.graph import Publisher, Qos
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    point_message,
    transform_message,
)


@pytest.fixture()
def bench(domain, tmp_path: Path, request) -> Iterator[Bench]:
    arguments = [word for said in request.param for word in ("-p", said)]
    opened = Bench(tmp_path / "maps", ["--ros-args", *arguments])
    yield opened
    opened.close()


def clicking(bench: Bench) -> tuple[Publisher, Publisher]:
    """Publishers of clicks and of transforms, which have placed `odom` at the start."""
    click = bench.other.publisher("geometry_msgs/msg/PointStamped", "/clicked_point")
    tf = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf")
    eventually(lambda: click.subscribers() and tf.subscribers())
    place_odometry(bench, tf, START_NS)
    eventually(lambda: "odom" in bench.graph.frames())
    return click, tf


def place_odometry(bench: Bench, tf: Publisher, stamp_ns: int) -> None:
    """Says that at this time `odom` begins 1 m to the left of the map."""
    pose = np.eye(4)
    pose[1, 3] = 1.0
    make = bench.other.message
    item = transform_message(make, header_message(make, "map", stamp_ns), "odom", pose)
    tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))


@pytest.mark.parametrize(
    ("bench", "comes"),
    [(["tf_timeout_s:=10.0"], True), (["tf_timeout_s:=0.2"], False)],
    indirect=["bench"],
    ids=["late", "never"],
)
def test_a_click_waits_for_its_transform(bench: Bench, caplog, comes: bool) -> None:
    """RViz stamps a click with the present, in a frame of which tf knows the past."""
    detections = "vision_msgs/msg/Detection3DArray"
    answers = bench.listen(detections, "/semantic_field/answer/detections")
    click, tf = clicking(bench)
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


@pytest.mark.parametrize("bench", [["tf_timeout_s:=10.0"]], indirect=True)
def test_few_clicks_wait_for_their_transforms(bench: Bench, caplog) -> None:
    """The oldest of nine is told at once why there is no answer."""
    click, _ = clicking(bench)
    make = bench.other.message
    with caplog.at_level(logging.INFO, logger="semantic_field_ros"):
        for x_m in range(9):
            header = header_message(make, "odom", START_NS + STEP_NS)
            point = point_message(make, np.array([x_m, 0.0, 0.0]))
            click.publish(make("geometry_msgs/msg/PointStamped", header=header, point=point))
            time.sleep(0.05)
        eventually(lambda: "clicked" in caplog.text)
    (line,) = (r.getMessage() for r in caplog.records if "clicked" in r.getMessage())
    assert line.startswith("clicked [0.0, 0.0, 0.0] in 'odom': ")
    assert "extrapolation into the future" in line


@pytest.mark.parametrize("bench", [[]], indirect=True)
@pytest.mark.parametrize("comes", [True, False], ids=["late", "never"])
def test_a_service_waits_a_moment_for_the_transform_of_its_points(
    bench: Bench, comes: bool
) -> None:
    """As a robot asks, which stamps what it clicks with the present."""
    tf = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf")
    eventually(lambda: tf.subscribers())
    place_odometry(bench, tf, START_NS)
    eventually(lambda: "odom" in bench.graph.frames())
    make = bench.other.message
    header = header_message(make, "odom", START_NS + STEP_NS)
    if comes:
        threading.Timer(0.1, place_odometry, (bench, tf, START_NS + 2 * STEP_NS)).start()
    service, points = "semantic_field_ros/srv/QueryClick", [point_message(make, POINTS[0])]
    request = make(f"{service}_Request", header=header, points=points)
    reply = bench.other.call(service, "/semantic_field/query_click", request)
    expected = "[[1. 3. 3.]]" if comes else "extrapolation into the future"
    assert expected in str((reply.answer.reason, bench.field.calls))


def send_image_of_a_wide_lens(bench: Bench) -> None:
    """Its lens squeezes what is x off the middle by 0.3 · x³."""
    other, make, sent = bench.other, bench.other.message, frame(0)
    image = other.publisher("sensor_msgs/msg/Image", "image", Qos())
    info = other.publisher("sensor_msgs/msg/CameraInfo", "camera_info", Qos())
    tf = other.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos())
    eventually(lambda: all(p.subscribers() for p in (image, info, tf)))
    header = header_message(make, "camera", sent.stamp_ns)
    intrinsics = camera_info_message(make, header, CAMERA)
    intrinsics.d = np.array([-0.3, 0.0, 0.0, 0.0])
    info.publish(intrinsics)
    world = header_message(make, "map", sent.stamp_ns)
    item = transform_message(make, world, "camera", sent.world_from_camera)
    tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))
    image.publish(image_message(make, header, sent.rgb, "rgb8"))


@pytest.mark.parametrize("bench", [["depth_transport:=none"]], indirect=True)
def test_pixels_are_those_of_the_image_as_it_is_published(bench: Bench) -> None:
    ray = np.array([0.3, -0.2])
    seen = ray * (1 - 0.3 * ray @ ray) * 30.0 + [15.5, 11.5]
    query = ClickQuery(pixels=seen[None].astype(np.float32), camera_name="camera")
    bench.client.query_click(query)
    np.testing.assert_array_equal(bench.field.clicks[-1].pixels, query.pixels)
    send_image_of_a_wide_lens(bench)
    eventually(lambda: bench.field.frames)
    bench.client.query_click(query)
    kept = bench.field.frames[0].camera
    straight = ray * [kept.fx, kept.fy] + [kept.cx, kept.cy]
    assert np.abs(straight - seen).max() > 0.5
    np.testing.assert_allclose(bench.field.clicks[-1].pixels, [straight], atol=0.02)
    corner = ClickQuery(pixels=np.zeros((1, 2), np.float32), camera_name="camera")
    refused = bench.client.query_click(corner)
    assert not refused.found
    assert "what is left of the image of camera 'camera'" in refused.reason
