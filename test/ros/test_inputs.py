"""Camera topics become frames, over real traffic; what is wrong is counted and survived."""

import time

import cv2
import numpy as np
import pytest
from camera_bench import (
    CAMERA,
    START_NS,
    STEP_NS,
    Bench,
    assert_same,
    eventually,
    frame,
    parameters,
)

from semantic_field_ros.geometry import invert_rigid, look_at
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, RELIABLE
from semantic_field_ros.ros.graph_part import GraphPart
from semantic_field_ros.ros.inputs import Inputs
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    pose_message,
    transform_message,
)
from semantic_field_ros.ros.replay import ReplayOptions, replay
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.types import PosedFrame


def test_frames_arrive_as_they_were_sent(bench: Bench) -> None:
    bench.ready()
    for index in range(5):
        bench.send(frame(index))
    eventually(lambda: len(bench.frames) == 5)
    for index, received in enumerate(bench.frames):
        assert_same(received, frame(index))
    assert bench.inputs.advice() == ""
    assert bench.inputs.newest()[0].stamp_ns == frame(4).stamp_ns
    assert bench.inputs.newest()[1] == "camera"


@parameters(depth_transport="none")
def test_colour_alone_is_enough_when_said(bench: Bench) -> None:
    eventually(bench.image.subscribers)
    bench.send(frame(0))
    eventually(lambda: bench.frames)
    assert bench.frames[0].depth_m is None


def test_a_frame_waits_for_its_pose(bench: Bench) -> None:
    bench.ready()
    bench.send_info(frame(0))
    for index in range(3):
        bench.send_images(frame(index))
    time.sleep(0.3)
    assert not bench.frames
    for index in (0, 2):  # the pose of the middle one is between them
        bench.send_tf(frame(index))
    eventually(lambda: len(bench.frames) == 3)
    between = bench.frames[1].world_from_camera[:3, 3]
    np.testing.assert_allclose(between, [2.0, 0.1, 1.0], atol=1e-6)


def test_without_a_pose_frames_are_dropped_with_the_reason_of_tf(bench: Bench) -> None:
    bench.ready()
    bench.send_info(frame(0))
    for index in range(12):
        bench.send_images(frame(index))
    eventually(lambda: bench.drops("no pose in time") >= 5)
    assert "map" in bench.inputs.cameras[0].tally.last["no pose in time"]
    assert "no pose in time" in bench.inputs.advice()
    assert not bench.frames


def test_a_frame_without_camera_info_is_refused(bench: Bench) -> None:
    bench.ready()
    bench.send_tf(frame(0))
    bench.send_images(frame(0))
    eventually(lambda: bench.drops("bad frame"))
    assert "CameraInfo" in bench.inputs.cameras[0].tally.last["bad frame"]


@pytest.mark.parametrize(
    ("changes", "text", "refused"),
    [
        ({"width": 64}, "64x24", 0),
        ({"k": np.full(9, np.nan)}, "nan", 1),
        ({"k": np.zeros(9)}, "fx, fy > 0", 1),
        ({"distortion_model": "magic", "d": np.ones(5)}, "magic", 1),
    ],
)
def test_a_bad_camera_info_is_named(bench: Bench, changes: dict, text: str, refused: int) -> None:
    bench.ready()
    bench.send_info(frame(0), **changes)
    time.sleep(0.1)
    bench.send_tf(frame(0))
    bench.send_images(frame(0))
    eventually(lambda: bench.drops("bad frame"))
    assert text in bench.inputs.cameras[0].tally.last["bad frame"]
    bench.send_info(frame(1), **changes)
    time.sleep(0.1)
    bench.send_tf(frame(1))
    bench.send_images(frame(1))
    eventually(lambda: bench.drops("bad frame") == 2)
    assert sum(bench.inputs.drops().values()) == 2
    assert bench.refused("bad camera_info") == refused
    assert not bench.frames
    bench.send(frame(2))
    eventually(lambda: len(bench.frames) == 1)


def test_a_wrong_encoding_is_named(bench: Bench) -> None:
    bench.ready()
    sent = frame(0)
    message = image_message(bench.other.message, bench.header(sent), sent.rgb, "rgb8")
    message.encoding = "infrared"
    bench.send_info(sent)
    bench.send_tf(sent)
    bench.depth.publish(
        image_message(bench.other.message, bench.header(sent), sent.depth_m, "32FC1")
    )
    bench.image.publish(message)
    eventually(lambda: bench.drops("bad frame"))
    assert "infrared" in bench.inputs.cameras[0].tally.last["bad frame"]


def test_a_bag_that_starts_again_is_followed(bench: Bench) -> None:
    bench.ready()
    for _ in range(2):
        for index in (0, 100, 200, 300):  # 10 s apart: older ones are not buffered any more
            bench.send(frame(index))
            time.sleep(0.05)
    stamps = [frame(index).stamp_ns for index in (100, 200, 300)]
    eventually(lambda: [f.stamp_ns for f in bench.frames[-3:]] == stamps)
    assert len(bench.frames) >= 7
    assert bench.drops("time jumped back") >= 1


def test_duplicates_are_ignored(bench: Bench) -> None:
    bench.ready()
    for index in (0, 0, 1):
        bench.send(frame(index))
    eventually(lambda: len(bench.frames) == 2)
    assert bench.drops("duplicate stamp") >= 1


@parameters(max_rate_hz=5.0)
def test_the_rate_is_limited_by_stamps(bench: Bench) -> None:
    bench.ready()
    for index in range(8):
        bench.send(frame(index))
    eventually(lambda: len(bench.frames) == 4)
    assert [(f.stamp_ns - START_NS) // STEP_NS for f in bench.frames] == [0, 2, 4, 6]


@parameters(max_rate_hz=5.0)
def test_the_rate_counts_images_that_have_depth(bench: Bench) -> None:
    bench.ready()
    for index in range(8):
        sent, make = frame(index), bench.other.message
        bench.send_info(sent)
        bench.send_tf(sent)
        if index % 2:
            bench.depth.publish(image_message(make, bench.header(sent), sent.depth_m, "32FC1"))
        bench.image.publish(image_message(make, bench.header(sent), sent.rgb, "rgb8"))
    eventually(lambda: len(bench.frames) == 4)
    assert [(f.stamp_ns - START_NS) // STEP_NS for f in bench.frames] == [1, 3, 5, 7]


@parameters(image_transport="compressed", depth_transport="compressedDepth")
def test_compressed_images_are_read_and_damaged_ones_counted(bench: Bench) -> None:
    kind = "sensor_msgs/msg/CompressedImage"
    image = bench.publisher(kind, "image/compressed")
    depth = bench.publisher(kind, "depth/compressedDepth")
    eventually(lambda: image.subscribers() and depth.subscribers() and bench.info.subscribers())
    for index in (0, 1):
        sent = frame(index)
        bench.send_info(sent)
        bench.send_tf(sent)
        jpeg = cv2.imencode(".png", sent.rgb[..., ::-1])[1].tobytes()
        millimetres = np.nan_to_num(sent.depth_m * 1000).round().astype(np.uint16)
        png = bytes(12) + cv2.imencode(".png", millimetres)[1].tobytes()
        if index == 0:
            jpeg = jpeg[: len(jpeg) // 2]
        make, header = bench.other.message, bench.header(sent)
        depth.publish(make(kind, header=header, format="16UC1; compressedDepth png", data=png))
        image.publish(make(kind, header=header, format="rgb8; png compressed bgr8", data=jpeg))
    eventually(lambda: bench.frames)
    assert_same(bench.frames[0], frame(1))
    assert bench.drops("bad frame") == 1


@pytest.mark.parametrize(
    ("rules", "topics"),
    [
        ((), ["/image/compressed", "/depth/compressedDepth"]),
        (
            ("image:=/cam/rgb", "depth:=aligned"),
            ["/cam/rgb/compressed", "/aligned/compressedDepth"],
        ),
        (("image/compressed:=/cam/jpeg",), ["/cam/jpeg", "/depth/compressedDepth"]),
    ],
)
def test_the_transport_is_appended_to_the_remapped_name(domain, graph_kind, rules, topics) -> None:
    remaps = [word for rule in rules for word in ("-r", rule)]
    transports = ["-p", "image_transport:=compressed", "-p", "depth_transport:=compressedDepth"]
    with connect(graph_kind, "tester", ["--ros-args", *remaps, *transports]) as graph:
        (camera,) = Inputs(graph, declare_settings(graph), lambda taken: True).cameras
        assert [s.topic for s in camera._subscriptions.values()][1:] == topics


def _pose_of(bench: Bench, index: int):
    return pose_message(bench.other.message, frame(index).world_from_camera)


def _send_posed(bench: Bench, poses) -> None:
    """Sends frames 0, 1, … with these poses on the pose topic."""
    pose, make = bench.publisher("geometry_msgs/msg/PoseStamped", "pose"), bench.other.message
    bench.ready()
    eventually(pose.subscribers)
    for index, posed in enumerate(poses):
        sent = frame(index)
        header = bench.header(sent, "map")
        pose.publish(make("geometry_msgs/msg/PoseStamped", header=header, pose=posed))
        bench.send_info(sent)
        bench.send_images(sent)


@parameters(pose_source="pose")
def test_poses_may_come_as_pose_stamped(bench: Bench) -> None:
    _send_posed(bench, [_pose_of(bench, index) for index in range(3)])
    eventually(lambda: len(bench.frames) == 3)
    assert_same(bench.frames[1], frame(1))


BAD_ROTATIONS = pytest.mark.parametrize(
    ("axis", "value"), [("x", float("nan")), ("z", 7.0)], ids=["not finite", "not rigid"]
)


@BAD_ROTATIONS
@parameters(pose_source="pose")
def test_a_pose_that_makes_no_sense_is_refused(bench: Bench, axis, value) -> None:
    bad, good = (_pose_of(bench, index) for index in range(2))
    setattr(bad.orientation, axis, value)
    _send_posed(bench, [bad, good])
    eventually(lambda: bench.frames)
    assert (bench.refused("bad pose"), bench.drops("bad pose")) == (1, 0)
    assert [received.stamp_ns for received in bench.frames] == [frame(1).stamp_ns]


@BAD_ROTATIONS
def test_a_transform_that_makes_no_sense_is_refused(bench: Bench, axis, value) -> None:
    bench.ready()
    sent, make = frame(0), bench.other.message
    item = transform_message(make, bench.header(sent, "map"), "camera", sent.world_from_camera)
    setattr(item.transform.rotation, axis, value)
    bench.tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))
    bench.send_info(sent)
    bench.send_images(sent)
    bench.send(frame(1))
    eventually(lambda: bench.frames)
    assert [received.stamp_ns for received in bench.frames] == [frame(1).stamp_ns]


def test_depth_that_is_not_finite_is_unknown(bench: Bench) -> None:
    bench.ready()
    sent = frame(0)
    sent.depth_m[5, :3] = [np.inf, -np.inf, -1.0]
    bench.send(sent)
    eventually(lambda: bench.frames)
    assert np.isnan(bench.frames[0].depth_m[5, :3]).all()
    np.testing.assert_array_equal(bench.frames[0].depth_m[6:], sent.depth_m[6:])


@parameters(pose_source="odometry")
def test_odometry_of_the_base_is_carried_to_the_camera(bench: Bench) -> None:
    odom = bench.publisher("nav_msgs/msg/Odometry", "odom")
    static = bench.other.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
    bench.ready()
    eventually(lambda: odom.subscribers() and static.subscribers())
    make = bench.other.message
    base_from_camera = look_at(np.array([0.1, 0.0, 1.2]), np.array([1.0, 0.0, 1.0]))
    map_from_odom = np.eye(4)
    map_from_odom[:3, 3] = [5.0, 0.0, 0.0]
    fixed = [("base", "camera", base_from_camera), ("map", "odom", map_from_odom)]
    items = [
        transform_message(make, header_message(make, parent, 0), child, pose)
        for parent, child, pose in fixed
    ]
    static.publish(make("tf2_msgs/msg/TFMessage", transforms=items))
    sent = frame(0)
    odom_from_base = (
        invert_rigid(map_from_odom) @ sent.world_from_camera @ invert_rigid(base_from_camera)
    )
    posed = make("geometry_msgs/msg/PoseWithCovariance", pose=pose_message(make, odom_from_base))
    odom.publish(
        make(
            "nav_msgs/msg/Odometry",
            header=bench.header(sent, "odom"),
            child_frame_id="base",
            pose=posed,
        )
    )
    bench.send_info(sent)
    bench.send_images(sent)
    eventually(lambda: bench.frames)
    assert_same(bench.frames[0], sent)


def test_silence_is_explained(bench: Bench) -> None:
    eventually(lambda: "nobody" not in bench.inputs.advice())
    assert bench.inputs.advice() == "camera camera: no image came yet"


def test_nobody_publishing_is_said(graph) -> None:
    inputs = Inputs(graph, declare_settings(graph), lambda taken: True)
    assert "nobody publishes /camera_info, /image, /depth" in inputs.advice()


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_a_replayed_stream_comes_out_as_it_went_in(graph, other, encoding: str) -> None:
    frames: list[PosedFrame] = []
    Inputs(graph, declare_settings(graph), lambda taken: not frames.append(taken))
    options = ReplayOptions(rate_hz=100.0, depth_encoding=encoding)
    assert replay([frame(i) for i in range(6)], other, options) == 6
    eventually(lambda: len(frames) == 6)
    for index, received in enumerate(frames):
        assert_same(received, frame(index))


def test_two_cameras_have_topics_of_their_own(domain) -> None:
    frames: list[PosedFrame] = []
    arguments = ["--ros-args", "-p", "cameras:=[left, right]"]
    with connect("dds", "tester", arguments) as graph, connect("dds", "other", []) as other:
        inputs = Inputs(graph, declare_settings(graph), lambda taken: not frames.append(taken))
        topics = [s.topic for camera in inputs.cameras for s in camera._subscriptions.values()]
        assert topics[:3] == ["/left/camera_info", "/left/image", "/left/depth"]
        sent = [frame(i, name) for i in range(3) for name in ("left", "right")]
        replay(sent, other, ReplayOptions(rate_hz=100.0), ("left", "right"))
        eventually(lambda: len(frames) == 6)
    assert {f.camera_name for f in frames} == {"left", "right"}


class Hasty(GraphPart):
    """Every topic has a message by the time that it is subscribed to, and every pose is known."""

    def subscribe(self, type_name, topic, callback, qos=RELIABLE):
        subscription = super().subscribe(type_name, topic, callback, qos)
        header = header_message(self.message, "camera", START_NS)
        if type_name.endswith("CameraInfo"):
            callback(camera_info_message(self.message, header, CAMERA))
        else:
            callback(image_message(self.message, header, frame(0).rgb, "rgb8"))
        return subscription

    def lookup(self, target, source, stamp_ns=None):
        return np.eye(4)


def test_frames_may_come_before_the_last_topic_is_subscribed_to(domain) -> None:
    frames: list[PosedFrame] = []
    said = ["cameras:=[left, right]", "depth_transport:=none"]
    arguments = ["--ros-args", *(word for parameter in said for word in ("-p", parameter))]
    with connect("dds", "tester", arguments) as graph:
        Inputs(Hasty(graph), declare_settings(graph), lambda taken: not frames.append(taken))
    assert [f.camera_name for f in frames] == ["left", "right"]
