"""Cameras that differ, depth of its own camera, masks, and how images are sent."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_bench import CAMERA, Bench, eventually, frame, parameters

from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import (
    LATCHED,
    Graph,
    ParameterSpec,
    ParameterValue,
    Qos,
    TransformError,
)
from semantic_field_ros.ros.inputs import Inputs, read_mask
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    pose_message,
    transform_message,
)
from semantic_field_ros.ros.poses import TopicPoses
from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PinholeCamera


class Declared:
    """Parameters as they are given, without a graph."""

    def __init__(self, **given: ParameterValue) -> None:
        self.given = {name.replace("__", "."): value for name, value in given.items()}

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        return spec.checked(self.given.pop(spec.name, spec.default))


def test_what_is_set_for_all_holds_for_each_unless_it_is_set_for_one() -> None:
    given = Declared(
        cameras=("front", "wrist"),
        image_topic="color/image",
        slop_s=0.05,
        camera__wrist__image_topic="/arm/image_rect",
        camera__wrist__image_transport="compressed",
        camera__wrist__depth_transport="none",
        camera__wrist__depth_range_m=(0.1, 1.5),
    )
    front, wrist = declare_settings(given).cameras
    assert not given.given
    assert (front.name, wrist.name) == ("front", "wrist")
    assert (front.image_topic, front.depth_topic) == ("front/color/image", "front/depth")
    assert (wrist.image_topic, wrist.camera_info_topic) == ("/arm/image_rect", "wrist/camera_info")
    assert (front.image_transport, wrist.image_transport) == ("raw", "compressed")
    assert (front.with_depth, wrist.with_depth) == (True, False)
    assert (front.depth_range_m, wrist.depth_range_m) == ((), (0.1, 1.5))
    assert front.slop_s == wrist.slop_s == 0.05
    assert front.ignore_topic == front.depth_info_topic == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cameras": ("a", "a")}, "different names"),
        ({"cameras": ("",)}, "different names"),
        ({"cameras": ("a", "b"), "image_topic": "/image"}, "share an image topic"),
        ({"image_transport": "theora"}, "image_transport must be one of"),
        ({"rectified": "yes"}, "rectified must be one of"),
        ({"depth_range_m": (2.0, 1.0)}, "least and greatest"),
        ({"depth_range_m": (2.0,)}, "least and greatest"),
        ({"cameras": ("a", "b"), "pose_source": "pose"}, "the 2 cameras cannot all be there"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        declare_settings(Declared(**given))


@pytest.mark.parametrize(
    "given",
    [
        {"pose_source": "pose"},
        {"cameras": ("a", "b"), "pose_source": "pose", "pose_frame": "base_link"},
        {"cameras": ("a", "b"), "pose_source": "odometry"},
    ],
)
def test_a_topic_of_poses_says_whose_they_are(given: dict) -> None:
    assert declare_settings(Declared(**given)).pose_source == given["pose_source"]


def test_odometry_of_no_frame_places_a_single_camera_and_no_several(
    graph: Graph, other: Graph
) -> None:
    make, sent = other.message, frame(0)
    lone, several = (
        TopicPoses(
            graph,
            declare_settings(Declared(cameras=cameras, pose_source="odometry")),
            Tally("poses"),
        )
        for cameras in (("a",), ("a", "b"))
    )
    odom = other.publisher("nav_msgs/msg/Odometry", "odom", Qos(depth=100))
    eventually(lambda: odom.subscribers() == 2)

    def publish(child: str) -> None:
        pose = make(
            "geometry_msgs/msg/PoseWithCovariance", pose=pose_message(make, sent.world_from_camera)
        )
        header = header_message(make, "map", sent.stamp_ns)
        kind = "nav_msgs/msg/Odometry"
        odom.publish(make(kind, header=header, child_frame_id=child, pose=pose))

    def told(poses: TopicPoses, camera_frame: str) -> str:
        try:
            np.testing.assert_allclose(
                poses.at(camera_frame, sent.stamp_ns), sent.world_from_camera, atol=1e-9
            )
        except TransformError as error:
            return str(error)
        return "there"

    publish("")
    eventually(lambda: told(lone, "a_optical") == "there")
    missing = "/odom tells: its messages have no child_frame_id, and the 2 cameras cannot all"
    eventually(lambda: missing in told(several, "a_optical"))
    assert missing in told(several, "b_optical")
    publish("a_optical")
    eventually(lambda: told(several, "a_optical") == "there")
    assert "is unknown" in told(several, "b_optical")


def test_a_mask_is_read_from_an_image_file(tmp_path: Path, capfd) -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    image[20:] = (0, 0, 9)
    cv2.imwrite(str(tmp_path / "mask.png"), image)
    assert read_mask(str(tmp_path / "mask.png"))[20:].all()
    assert read_mask(str(tmp_path / "mask.png")).sum() == 4 * 32
    with pytest.raises(ValueError, match="an image file, got 'nowhere.png', which is not there"):
        read_mask("nowhere.png")
    assert capfd.readouterr().err == ""  # OpenCV has no word of its own


def test_masked_pixels_of_a_camera_are_ignored(graph: Graph, other: Graph, tmp_path: Path) -> None:
    image = np.zeros((24, 32), np.uint8)
    image[20:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), image)
    settings = declare_settings(Declared(mask=str(tmp_path / "mask.png")))
    bench = Bench(graph, other, settings)
    bench.ready()
    bench.send(frame(0))
    eventually(lambda: bench.frames)
    received = bench.frames[0]
    np.testing.assert_array_equal(received.ignored, image > 0)
    assert np.isnan(received.depth_m[20:]).all() and np.isfinite(received.depth_m[1:20]).all()


@parameters(ignore_topic="people")
def test_a_frame_waits_for_its_ignore_mask(bench: Bench) -> None:
    people = bench.publisher("sensor_msgs/msg/Image", "people")
    bench.ready()
    eventually(people.subscribers)
    for index in range(2):
        bench.send(frame(index))
    mask = np.zeros((24, 32), np.uint8)
    mask[:, :7] = 1
    header = bench.header(frame(1))
    people.publish(image_message(bench.other.message, header, mask, "mono8"))
    eventually(lambda: bench.frames)
    assert [received.stamp_ns for received in bench.frames] == [frame(1).stamp_ns]
    np.testing.assert_array_equal(bench.frames[0].ignored, mask > 0)
    assert bench.drops("no ignore mask in time") == 1


@parameters(depth_range_m=(1.0, 2.0))
def test_depth_is_believed_within_its_range(bench: Bench) -> None:
    bench.ready()
    bench.send(frame(0))
    eventually(lambda: bench.frames)
    sent, received = frame(0).depth_m, bench.frames[0].depth_m
    believed = (sent >= 1.0) & (sent <= 2.0)
    np.testing.assert_array_equal(np.isfinite(received), believed)


def _send_depth(bench: Bench, pixels: np.ndarray, frame_id: str) -> None:
    """Frame 0 with depth that another camera took."""
    sent, make = frame(0), bench.other.message
    header = header_message(make, frame_id, sent.stamp_ns)
    bench.send_info(sent)
    bench.send_tf(sent)
    bench.depth.publish(image_message(make, header, pixels, "32FC1"))
    bench.image.publish(image_message(make, bench.header(sent), sent.rgb, "rgb8"))


def _send_unnamed(bench: Bench, index: int) -> None:
    """Colour and depth without a frame_id."""
    sent, make = frame(index), bench.other.message
    header = bench.header(sent, "")
    bench.depth.publish(image_message(make, header, sent.depth_m, "32FC1"))
    bench.image.publish(image_message(make, header, sent.rgb, "rgb8"))


def test_images_without_a_frame_id_are_dropped_with_what_to_do(bench: Bench) -> None:
    """And those that have one are taken at once."""
    bench.ready()
    for index in range(3):
        _send_unnamed(bench, index)
    eventually(lambda: bench.drops("no pose in time") == 3)
    said = "images have no frame_id: name their frame by camera_frame"
    assert bench.inputs.advice() == f"camera camera: no pose in time: {said}"
    bench.send(frame(3))
    eventually(lambda: bench.frames)
    assert sum(bench.inputs.drops().values()) == 3


@parameters(camera_frame="camera")
def test_a_camera_frame_that_is_set_stands_in_for_a_frame_id(bench: Bench) -> None:
    bench.ready()
    bench.send_info(frame(0))
    bench.send_tf(frame(0))
    _send_unnamed(bench, 0)
    eventually(lambda: bench.frames)


@parameters(pose_source="pose")
def test_who_needs_no_transform_needs_no_frame_id(bench: Bench) -> None:
    sent, make, kind = frame(0), bench.other.message, "geometry_msgs/msg/PoseStamped"
    pose = bench.publisher(kind, "pose")
    bench.ready()
    eventually(pose.subscribers)
    header = bench.header(sent, "map")
    pose.publish(make(kind, header=header, pose=pose_message(make, sent.world_from_camera)))
    bench.send_info(sent)
    _send_unnamed(bench, 0)
    eventually(lambda: bench.frames)


@parameters(depth_info_topic="depth/camera_info")
def test_depth_of_its_own_camera_needs_a_frame_id(bench: Bench) -> None:
    bench.ready()
    _send_depth(bench, frame(0).depth_m, "")
    eventually(lambda: bench.drops("no pose in time"))
    said = bench.inputs.cameras[0].tally.last["no pose in time"]
    assert said == "depth images have no frame_id: name their frame by depth_frame"


def test_a_camera_without_a_frame_id_keeps_no_other_waiting(domain, graph_kind: str) -> None:
    """Images of both come before the pose, which the healthy one waits for."""
    frames: list = []
    arguments = ["-p", "cameras:=[bad, good]", "-p", "depth_transport:=none"]
    with (
        connect(graph_kind, "tester", ["--ros-args", *arguments]) as graph,
        connect("dds", "other", []) as other,
    ):
        inputs = Inputs(graph, declare_settings(graph), frames.append)
        make, sent = other.message, frame(0)
        world = header_message(make, "map", sent.stamp_ns)
        tf = other.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos())
        for name, frame_id in (("bad", ""), ("good", "camera")):
            image = other.publisher("sensor_msgs/msg/Image", f"{name}/image", Qos())
            info = other.publisher("sensor_msgs/msg/CameraInfo", f"{name}/camera_info", Qos())
            eventually(lambda image=image, info=info: image.subscribers() and info.subscribers())
            header = header_message(make, frame_id, sent.stamp_ns)
            told = camera_info_message(make, header, CAMERA)
            # The writer may know its reader before the reader knows the writer.
            eventually(
                lambda i=info, t=told, n=name: i.publish(t) or f"/{n}/camera_info" in inputs.infos
            )
            image.publish(image_message(make, header, sent.rgb, "rgb8"))
        eventually(lambda: all(camera.received for camera in inputs.cameras))
        item = transform_message(make, world, "camera", sent.world_from_camera)
        eventually(lambda: tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item])) or frames)
        eventually(lambda: inputs.cameras[0].tally.last)
    assert [taken.camera_name for taken in frames] == ["good"]
    assert "camera_frame" in inputs.cameras[0].tally.last["no pose in time"]


def test_depth_in_another_frame_is_refused_with_what_to_do(bench: Bench) -> None:
    bench.ready()
    _send_depth(bench, frame(0).depth_m, "infrared")
    eventually(lambda: bench.drops("bad frame"))
    said = bench.inputs.cameras[0].tally.last["bad frame"]
    assert "'infrared'" in said and "depth_info_topic" in said


@parameters(depth_frame="camera")
def test_a_depth_frame_that_is_set_overrules_that_of_the_images(bench: Bench) -> None:
    bench.ready()
    _send_depth(bench, frame(0).depth_m, "infrared")
    eventually(lambda: bench.frames)


@parameters(depth_info_topic="depth/camera_info")
def test_depth_of_a_camera_of_its_own_is_reprojected(bench: Bench) -> None:
    """A depth camera of half the resolution, 10 cm to the left of the colour camera; the frame
    waits until somebody says where it sits."""
    small = PinholeCamera(16, 12, 15.0, 15.0, 7.5, 5.5)
    info = bench.publisher("sensor_msgs/msg/CameraInfo", "depth/camera_info")
    static = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
    bench.ready()
    eventually(lambda: info.subscribers() and static.subscribers())
    make = bench.other.message
    header = header_message(make, "infrared", frame(0).stamp_ns)
    info.publish(camera_info_message(make, header, small))
    _send_depth(bench, np.full((12, 16), 1.0, np.float32), "infrared")
    pose = np.eye(4)
    pose[0, 3] = -0.1
    item = transform_message(make, header_message(make, "camera", 0), "infrared", pose)
    static.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))
    eventually(lambda: bench.frames)
    received = bench.frames[0].depth_m
    # 10 cm at 1 m are 3 of the colour camera's pixels: what is missing lies at the right.
    np.testing.assert_array_equal(received[:, :28], 1.0)
    assert np.isnan(received[:, 30:]).all()


@pytest.mark.parametrize(
    ("asked", "sent", "arrives"),
    [(False, False, True), (False, True, True), (True, True, True), (True, False, False)],
    ids=lambda reliable: "reliable" if reliable else "best effort",
)
def test_best_effort_and_reliable_publishers(domain, asked, sent, arrives) -> None:
    """A reliable reader alone does not match a best-effort publisher, and says so."""
    arguments = ["--ros-args", "-p", f"reliable:={str(asked).lower()}"]
    arguments += ["-p", "depth_transport:=none"]
    with connect("dds", "tester", arguments) as graph, connect("dds", "other", []) as other:
        inputs = Inputs(graph, declare_settings(graph), lambda taken: True)
        camera = inputs.cameras[0]
        image = other.publisher("sensor_msgs/msg/Image", "image", Qos(reliable=sent))
        info = other.publisher("sensor_msgs/msg/CameraInfo", "camera_info", Qos())
        eventually(info.subscribers)
        if not arrives:
            assert "nobody publishes /image with a matching QoS" in inputs.advice()
            return
        eventually(image.subscribers)
        header = header_message(other.message, "camera", frame(0).stamp_ns)
        eventually(
            lambda: (
                image.publish(image_message(other.message, header, frame(0).rgb, "rgb8"))
                or camera.received
            )
        )


def test_a_bag_that_starts_again_in_its_own_time_is_followed(domain) -> None:
    """Stamps and `/clock` go back by 30 s, and the transforms with them."""
    frames: list = []
    arguments = ["--ros-args", "-p", "use_sim_time:=true"]
    with connect("dds", "tester", arguments) as graph, connect("dds", "other", []) as other:
        inputs = Inputs(graph, declare_settings(graph), frames.append)
        sent = [frame(index) for index in (0, 100, 200, 300)]
        for _ in range(2):
            replay(sent, other, ReplayOptions(rate_hz=10.0, clock=True))
        eventually(lambda: [f.stamp_ns for f in frames[-2:]] == [f.stamp_ns for f in sent[-2:]])
        assert len(frames) >= 6 and len(inputs.trajectory) <= 4
