"""Within ten seconds one line says why nothing happens; over real traffic."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.config import Config
from semantic_field_ros.geometry import look_at
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, SENSOR, Graph, Qos
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    transform_message,
)
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.self_check import frames_problem
from semantic_field_ros.ros.settings import declare_config, declare_settings
from semantic_field_ros.training.versions import Versions
from semantic_field_ros.types import PinholeCamera

#: a level of rcl_interfaces/Log.
INFO = 20
CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
#: what a person waits, seconds.
PATIENCE_S = 10.0


class Keeper:
    """A field that keeps everything and learns nothing."""

    config = Config()
    navigation = SimpleNamespace()
    versions = Versions()
    kept = 0
    state = "waiting"

    def ingest(self, frame) -> None:
        self.kept += 1

    def status(self) -> dict:
        return {"state": self.state, "message": "", "keyframes": self.kept}

    def surface(self) -> None:
        """There is none."""

    def keyframes(self) -> list:
        return []

    def pause(self, features: bool = False) -> None:
        """Nothing to train."""

    start = resume = close = pause


class Bench:
    def __init__(self, kind: str, arguments: list[str]) -> None:
        self.graph = connect(kind, "semantic_field", arguments)
        self.other: Graph = connect("dds", "robot", [])
        settings = replace(declare_settings(self.graph), status_period_s=0.2, self_check_s=1.0)
        declare_config(self.graph)
        self.node = SemanticFieldNode(self.graph, Keeper, settings, "maps")
        self.statuses: list = []
        self.diagnostics: list = []
        self.logged: list = []
        self.other.subscribe(
            "semantic_field_ros/msg/Status",
            "/semantic_field/status",
            self.statuses.append,
            LATCHED,
        )
        self.other.subscribe(
            "diagnostic_msgs/msg/DiagnosticArray", "/diagnostics", self.diagnostics.append
        )
        self.other.subscribe("rcl_interfaces/msg/Log", "/rosout", self.logged.append)
        self.stamp_ns = self.graph.now_ns()
        self.k = [30.0, 0.0, 15.5, 0.0, 30.0, 11.5, 0.0, 0.0, 1.0]
        self.node.start()

    def until_said(self, text: str) -> None:
        """Sends what `on_tick` sends until the status says this."""
        self.until(lambda: text in self.said(), self.said)

    def said(self) -> str:
        """The message of the newest status."""
        return self.statuses[-1].message if self.statuses else "nothing yet"

    def until(self, condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
        """Sends what `on_tick` sends until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, otherwise()
            self.on_tick()
            time.sleep(0.05)

    def on_tick(self) -> None:
        """Nothing is sent."""

    def publish_images(self, qos: Qos, frame: str = "camera", late_ns: int = 0) -> None:
        """Has every tick send an image, its depth (later stamped) and its intrinsics."""
        make = self.other.message
        image = self.other.publisher("sensor_msgs/msg/Image", "image", qos)
        depth = self.other.publisher("sensor_msgs/msg/Image", "depth", qos)
        info = self.other.publisher("sensor_msgs/msg/CameraInfo", "camera_info", qos)

        def send() -> None:
            self.stamp_ns += 10**8
            header = header_message(make, frame, self.stamp_ns)
            told = camera_info_message(make, header, CAMERA)
            told.k = np.array(self.k)
            info.publish(told)
            later = header_message(make, frame, self.stamp_ns + late_ns)
            depth.publish(image_message(make, later, np.ones((24, 32), np.float32), "32FC1"))
            image.publish(image_message(make, header, np.zeros((24, 32, 3), np.uint8), "rgb8"))

        self.on_tick = send

    def place_camera(self, topic: str = "/tf_static", qos: Qos = LATCHED) -> Callable[[], None]:
        """Says where the camera is at the present stamp, and returns what says so again."""
        make = self.other.message
        tf = self.other.publisher("tf2_msgs/msg/TFMessage", topic, qos)
        pose = look_at(np.array([2.0, 0.0, 1.0]), np.zeros(3))
        item = transform_message(make, header_message(make, "map", self.stamp_ns), "camera", pose)
        tell = partial(tf.publish, make("tf2_msgs/msg/TFMessage", transforms=[item]))
        tell()
        return tell

    def topic(self, name: str):
        return next(topic for topic in self.statuses[-1].topics if topic.topic == name)

    def part(self, name: str):
        return next(s for s in self.diagnostics[-1].status if s.name.endswith(f": {name}"))

    def close(self) -> None:
        self.node.close()
        self.graph.close()
        self.other.close()


@pytest.fixture()
def bench(domain, graph_kind, request) -> Iterator[Bench]:
    words = getattr(request, "param", ())
    opened = Bench(graph_kind, ["--ros-args", *words] if words else [])
    yield opened
    opened.close()


def test_no_image(bench: Bench, caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="semantic_field_ros"):
        bench.until_said("nobody publishes /image")
        deadline = time.monotonic() + PATIENCE_S
        while "nothing happens: nobody publishes" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert bench.part("inputs").level == 2


def test_whoever_looks_at_the_map_is_told_too(bench: Bench) -> None:
    def what_it_says() -> str:
        try:
            return bench.node.field.status()["message"]
        except RuntimeError as error:
            return str(error)

    bench.until(lambda: "nobody publishes /image" in what_it_says(), what_it_says)
    bench.node.lifecycle.change("deactivate")
    bench.node.lifecycle.change("cleanup")
    cure = "the node is unconfigured: ros2 lifecycle set /semantic_field configure"
    bench.until(lambda: what_it_says() == cure, what_it_says)


def test_a_map_that_is_trained_on_is_not_called_nothing(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr(Keeper, "state", "training")
    start = "no new frames: nobody publishes "
    bench.until_said(start)
    bench.until(lambda: any(log.msg.startswith(start) for log in bench.logged), bench.said)


@pytest.mark.parametrize("bench", [("-p", "autostart:=false")], indirect=True)
def test_a_node_that_nobody_brings_up_is_no_trouble(caplog, bench: Bench) -> None:
    caplog.set_level(logging.INFO, logger="semantic_field_ros")
    line = "the node is unconfigured: ros2 lifecycle set /semantic_field configure"
    bench.until_said(line)
    told = (INFO, f"nothing happens: {line}")
    bench.until(lambda: told in [(log.level, log.msg) for log in bench.logged], bench.said)


def test_a_transition_of_a_few_seconds_is_no_trouble(caplog, bench: Bench, monkeypatch) -> None:
    caplog.set_level(logging.INFO, logger="semantic_field_ros")
    for label in ("deactivate", "cleanup"):
        assert bench.node.lifecycle.change(label)
    monkeypatch.setattr(Keeper, "start", lambda _: time.sleep(2.0))
    assert bench.node.lifecycle.change("configure")
    assert "the node is configuring" in {status.message for status in bench.statuses}
    bench.until(lambda: any("is inactive" in log.msg for log in bench.logged), bench.said)
    assert not [log.msg for log in bench.logged if "configuring" in log.msg]


def test_images_on_another_topic_are_pointed_at(bench: Bench) -> None:
    bench.other.publisher("sensor_msgs/msg/Image", "/head/color/image_raw", SENSOR)
    bench.until_said("sensor_msgs/msg/Image is published on /head/color/image_raw")


def test_compressed_images_are_pointed_at(bench: Bench) -> None:
    bench.other.publisher("sensor_msgs/msg/CompressedImage", "/image/compressed", SENSOR)
    bench.until_said("/image/compressed is there: set its transport to compressed")


@pytest.mark.parametrize("bench", [("-p", "reliable:=true")], indirect=True)
def test_a_publisher_that_does_not_match(bench: Bench) -> None:
    bench.publish_images(SENSOR)
    bench.until_said("the publisher of /image does not match: it is best effort")
    assert bench.node.listening is not None
    topics = {topic.topic: topic.publishers for topic in bench.statuses[-1].topics}
    assert topics["/image"] == 0


def test_a_silent_publisher(bench: Bench) -> None:
    for topic in ("image", "depth"):
        bench.other.publisher("sensor_msgs/msg/Image", topic, SENSOR)
    bench.other.publisher("sensor_msgs/msg/CameraInfo", "camera_info", SENSOR)
    bench.until_said("/image has a publisher, but no message has come")


@pytest.mark.parametrize("bench", [("-r", "image:=/usb_cam/image_raw")], indirect=True)
@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        (False, "nobody publishes /depth"),
        (True, "/depth has a publisher, but no message has come"),
    ],
    ids=["nobody", "silent"],
)
def test_a_camera_without_depth(bench: Bench, announced: bool, expected: str) -> None:
    """Its colour topic is in use and not worth a try as depth."""
    make, header = bench.other.message, header_message(bench.other.message, "camera", 1)
    image = bench.other.publisher("sensor_msgs/msg/Image", "/usb_cam/image_raw", SENSOR)
    info = bench.other.publisher("sensor_msgs/msg/CameraInfo", "camera_info", SENSOR)
    if announced:
        bench.other.publisher("sensor_msgs/msg/Image", "depth", SENSOR)

    def send() -> None:
        info.publish(camera_info_message(make, header, CAMERA))
        image.publish(image_message(make, header, np.zeros((24, 32, 3), np.uint8), "rgb8"))

    bench.on_tick = send
    line = f"{expected} (without a depth camera set depth_transport to none)"
    bench.until(lambda: bench.said() == line, bench.said)


def test_no_pose(bench: Bench) -> None:
    bench.publish_images(SENSOR)
    bench.until_said("no pose: ")
    assert bench.statuses[-1].last_tf_error
    assert dict((d.key, int(d.value)) for d in bench.statuses[-1].drops)["no pose in time"] > 0
    assert bench.part("poses").level == 2


def test_images_without_a_frame_id(bench: Bench) -> None:
    bench.place_camera()
    bench.publish_images(SENSOR, frame="")
    bench.until_said("no pose: images have no frame_id: name their frame by camera_frame")


def test_what_is_said_reaches_the_log_though_its_figures_change(bench: Bench) -> None:
    """Of extrapolation tf tells the stamps, which are others for every frame."""
    tell_where = bench.place_camera("/tf", Qos())
    bench.publish_images(SENSOR)
    send = bench.on_tick
    bench.on_tick = lambda: (tell_where(), send())
    bench.until_said("extrapolation")
    bench.until(
        lambda: any("nothing happens: no pose: " in line.msg for line in bench.logged), bench.said
    )


def test_of_several_causes_the_present_one_is_said(bench: Bench) -> None:
    bench.publish_images(SENSOR)
    bench.until_said("no pose: ")
    bench.k = [0.0] * 9
    bench.place_camera()
    bench.until_said("images need a valid CameraInfo: ")
    assert "fx, fy > 0" in bench.statuses[-1].message


def test_what_goes_wrong_after_a_good_start_is_said_too(bench: Bench) -> None:
    bench.publish_images(SENSOR)
    bench.place_camera()
    bench.until_said("keyframes to begin with")
    bench.k = [0.0] * 9
    bench.until_said("images need a valid CameraInfo: ")


def test_depth_that_never_fits_its_image(bench: Bench) -> None:
    bench.publish_images(SENSOR, late_ns=40 * 10**6)
    bench.until_said("no depth in time")
    bench.until_said("(the nearest depth is +0.040 s off its image)")
    assert bench.statuses[-1].stamp_skew_s == pytest.approx(0.04, abs=1e-6)


def test_wrong_frames(bench: Bench) -> None:
    make = bench.other.message
    fixed = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
    odom = transform_message(make, header_message(make, "odom", 0), "base_link", np.eye(4))
    fixed.publish(make("tf2_msgs/msg/TFMessage", transforms=[odom]))
    bench.publish_images(SENSOR, "camera_optical")
    bench.until_said("no transform names the map frame 'map' (map_frame); known: base_link, odom")
    world = transform_message(make, header_message(make, "map", 0), "odom", np.eye(4))
    fixed.publish(make("tf2_msgs/msg/TFMessage", transforms=[world]))
    bench.until_said("images are in frame 'camera_optical', which no transform names")


@pytest.mark.parametrize("bench", [("-p", "pose_source:=pose")], indirect=True)
def test_a_pose_topic_of_other_stamps_is_not_blamed_on_tf(bench: Bench) -> None:
    make = bench.other.message
    fixed = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
    mount = transform_message(make, header_message(make, "base_link", 0), "camera", np.eye(4))
    fixed.publish(make("tf2_msgs/msg/TFMessage", transforms=[mount]))
    pose = bench.other.publisher("geometry_msgs/msg/PoseStamped", "pose", SENSOR)
    early = header_message(make, "map", bench.stamp_ns - 10**10)
    bench.publish_images(SENSOR)
    send = bench.on_tick
    bench.on_tick = lambda: (
        pose.publish(make("geometry_msgs/msg/PoseStamped", header=early)),
        send(),
    )
    bench.until_said("no pose: map from what the pose topic moves at")
    assert "needs extrapolation into the future" in bench.said()


def test_a_camera_that_does_not_move_enough(bench: Bench) -> None:
    bench.place_camera()
    bench.publish_images(SENSOR)
    bench.until_said("of 8 keyframes to begin with: move the camera")
    bench.until(lambda: bench.topic("/image").rate_hz > 1.0, bench.said)
    newest = bench.topic("/image")
    assert newest.publishers == 1
    assert newest.problem == ""


def test_frames_are_blamed_only_where_they_are_the_matter() -> None:
    assert frames_problem("", "map", ["camera"], {"map"}) == ""
    assert frames_problem("too late", "map", ["", "camera"], {"map", "camera"}) == (
        "no pose: too late"
    )
    assert frames_problem("frame 'map' is unknown", "map", ["camera"], set()).startswith("no pose")


def test_messages_that_are_refused_are_counted_in_the_status(bench: Bench, graph_kind) -> None:
    make, heard = bench.other.message, bench.statuses
    path = bench.other.publisher("nav_msgs/msg/Path", "corrected_path")
    tf = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos(depth=100))
    bench.until(lambda: path.subscribers() and tf.subscribers(), bench.said)
    still = make("geometry_msgs/msg/PoseStamped", header=header_message(make, "map", 0))
    path.publish(make("nav_msgs/msg/Path", poses=[still, still]))
    unnamed = make("geometry_msgs/msg/TransformStamped", header=header_message(make, "map", 0))
    tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[unnamed]))
    wanted = {("refused: bad path", "1")}
    if graph_kind == "dds":  # tf2 logs its own
        wanted.add(("refused: bad transform", "1"))
    bench.until(
        lambda: heard and wanted <= {(d.key, d.value) for d in heard[-1].details}, bench.said
    )
    assert heard[-1].frames_dropped == 0
