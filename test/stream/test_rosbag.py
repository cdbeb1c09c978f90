import bags
import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from semantic_field_ros.cli import build_parser
from semantic_field_ros.commands.shared import source_of
from semantic_field_ros.stream.bag_topics import TopicChoice
from semantic_field_ros.stream.rosbag import BagOptions, RosBag
from semantic_field_ros.types import PinholeCamera

MS = 10**6
CAMERA = PinholeCamera(16, 12, 14.0, 14.0, 7.5, 5.5)
FRAMES = 5
#: optical frame on a robot that looks along its x axis.
BASE_FROM_CAMERA = np.eye(4)
BASE_FROM_CAMERA[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
BASE_FROM_CAMERA[:3, 3] = 0.1, 0.0, 0.5


def base_pose(t_ns):
    """Drives along x at 1 m/s and turns."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", t_ns / 1e9, degrees=False).as_matrix()
    matrix[0, 3] = t_ns / 1e9
    return matrix


def rgb(index):
    v, u = np.mgrid[0:12, 0:16]
    return np.stack([np.full_like(u, 40 * index), u * 10, v * 10], 2).astype(np.uint8)


def depth_mm(index):
    values = np.full((12, 16), 1000 + 100 * index, np.uint16)
    values[0, 0] = 0
    return values


def stamp(index):
    return (1000 + 200 * index) * MS


def images(index):
    at = stamp(index)
    return [
        (at + 2 * MS, "/cam/color/image_raw", bags.image(at, rgb(index), "rgb8")),
        (at + 3 * MS, "/cam/depth/image_rect", bags.image(at + MS, depth_mm(index), "16UC1")),
    ]


def transforms():
    """/tf at 20 Hz, always 10 ms late; the fixed ones come last."""
    moving = [
        (at + 10 * MS, "/tf", bags.tf(bags.transform(at, "map", "base", base_pose(at))))
        for at in range(900 * MS, 2100 * MS, 50 * MS)
    ]
    fixed = bags.tf(bags.transform(0, "base", "camera_optical", BASE_FROM_CAMERA))
    return [*moving, (3000 * MS, "/tf_static", fixed)]


def recording(*extra):
    messages = [(900 * MS, "/cam/color/camera_info", bags.camera_info(CAMERA)), *transforms()]
    messages += [message for index in range(FRAMES) for message in images(index)]
    return sorted([*messages, *extra], key=lambda message: message[0])


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_frames_of_a_bag_with_tf(tmp_path, storage):
    source = RosBag(bags.write_bag(tmp_path / "bag", recording(), storage))
    frames = list(source)
    assert source.length == FRAMES and 1.0 < source.rate_hz < 5.0
    assert [frame.stamp_ns for frame in frames] == [stamp(i) for i in range(FRAMES)]
    for index, frame in enumerate(frames):
        expected = base_pose(stamp(index)) @ BASE_FROM_CAMERA
        np.testing.assert_allclose(frame.world_from_camera, expected, atol=1e-9)
        np.testing.assert_array_equal(frame.rgb, rgb(index))
        assert np.isnan(frame.depth_m[0, 0])
        assert frame.depth_m[5, 5] == np.float32(1.0 + 0.1 * index)
        assert frame.camera == CAMERA and frame.camera_name == "camera_optical"
    assert not source.tally.counts
    assert len(list(source)) == FRAMES


def test_file_of_a_bag_stands_for_the_bag(tmp_path):
    folder = bags.write_bag(tmp_path / "bag", recording())
    single = next(folder.glob("*.mcap"))
    assert len(list(RosBag(single))) == FRAMES
    folder = bags.write_bag(tmp_path / "old", recording(), "sqlite3")
    assert len(list(RosBag(next(folder.glob("*.db3"))))) == FRAMES


def test_compressed_images_and_pose_messages_in_between(tmp_path):
    """Poses at 10 Hz; images fall between two of them."""
    png = cv2.imencode(".png", rgb(1)[..., ::-1])[1].tobytes()
    depth = b"\0" * 12 + cv2.imencode(".png", depth_mm(1))[1].tobytes()
    messages = [(0, "/cam/camera_info", bags.camera_info(CAMERA))]
    for at in range(0, 1000 * MS, 100 * MS):
        messages.append((at, "/slam/pose", bags.pose_stamped(at, "odom", base_pose(at))))
    at = 430 * MS
    messages += [
        (at, "/cam/image/compressed", bags.compressed(at, png, "rgb8; png compressed bgr8")),
        (at, "/cam/depth/compressedDepth", bags.compressed(at, depth, "16UC1; compressedDepth")),
    ]
    bag = bags.write_bag(tmp_path / "bag", sorted(messages, key=lambda m: m[0]))
    (frame,) = RosBag(bag)
    np.testing.assert_allclose(frame.world_from_camera, base_pose(at), atol=1e-9)
    np.testing.assert_array_equal(frame.rgb, rgb(1))
    assert frame.depth_m[5, 5] == np.float32(1.1)


def test_odometry_carries_the_base_and_tf_static_the_camera(tmp_path):
    fixed = bags.tf(bags.transform(0, "base", "camera_optical", BASE_FROM_CAMERA))
    messages = [
        (0, "/tf_static", fixed),
        (0, "/cam/camera_info", bags.camera_info(CAMERA)),
        (0, "/odom", bags.odometry(0, "odom", "base", base_pose(0))),
        (1, "/cam/image_raw", bags.image(500 * MS, rgb(1)[..., ::-1], "bgr8")),
        (2, "/odom", bags.odometry(10**9, "odom", "base", base_pose(10**9))),
    ]
    options = BagOptions(topics=TopicChoice(pose="/odom"))
    (frame,) = RosBag(bags.write_bag(tmp_path / "bag", messages), options)
    expected = base_pose(500 * MS) @ BASE_FROM_CAMERA
    np.testing.assert_allclose(frame.world_from_camera[:3, :3], expected[:3, :3], atol=1e-9)
    assert frame.depth_m is None
    np.testing.assert_array_equal(frame.rgb, rgb(1))


def held_together(moving):
    """Images at 1 and 1.5 s, the camera on its base by /tf_static alone, and what moves."""
    fixed = bags.tf(bags.transform(0, "base", "camera_optical", BASE_FROM_CAMERA))
    messages = [
        (0, "/tf_static", fixed),
        (0, "/cam/camera_info", bags.camera_info(CAMERA)),
        (1, "/cam/image_raw", bags.image(1000 * MS, rgb(1), "rgb8")),
        (1200 * MS, "/tf_static", fixed),
        (1500 * MS, "/cam/image_raw", bags.image(1500 * MS, rgb(1), "rgb8")),
        *moving,
    ]
    return sorted(messages, key=lambda message: message[0])


def odometry():
    times = range(900 * MS, 1700 * MS, 100 * MS)
    return [(at, "/odom", bags.odometry(at, "odom", "base", base_pose(at))) for at in times]


def poses_of(posed_from_base):
    times = range(900 * MS, 1700 * MS, 100 * MS)
    poses = [base_pose(at) @ posed_from_base for at in times]
    return [
        (at, "/slam/pose", bags.pose_stamped(at, "slam", pose))
        for at, pose in zip(times, poses, strict=True)
    ]


@pytest.mark.parametrize(
    ("moving", "options"),
    [
        (odometry(), BagOptions()),
        (poses_of(BASE_FROM_CAMERA), BagOptions()),
        (poses_of(np.eye(4)), BagOptions(posed_frame="base")),
    ],
    ids=["odometry", "pose of the camera", "pose of the base"],
)
def test_a_topic_of_poses_moves_what_tf_static_holds_together(tmp_path, moving, options):
    source = RosBag(bags.write_bag(tmp_path / "bag", held_together(moving)), options)
    first, second = source
    np.testing.assert_allclose(
        first.world_from_camera, base_pose(1000 * MS) @ BASE_FROM_CAMERA, atol=1e-9
    )
    np.testing.assert_allclose(
        second.world_from_camera, base_pose(1500 * MS) @ BASE_FROM_CAMERA, atol=1e-9
    )
    assert not source.tally.counts


def test_a_camera_that_would_stand_still_beside_poses_is_refused(tmp_path):
    """/tf turns a wheel; only /odom tells how the robot moves."""
    wheel = bags.tf(bags.transform(1000 * MS, "base", "wheel", np.eye(4)))
    messages = held_together([*odometry(), (1000 * MS, "/tf", wheel)])
    bag = bags.write_bag(tmp_path / "bag", messages)
    with pytest.raises(ValueError, match="would stand still: .* map frame 'base'; .*/odom"):
        list(RosBag(bag))
    with pytest.raises(ValueError, match="would stand still"):
        list(RosBag(bag, BagOptions(TopicChoice(pose="/odom"), map_frame="base")))
    told = RosBag(bag, BagOptions(TopicChoice(pose="/odom")))
    places = [frame.world_from_camera[0, 3] for frame in told]
    expected = [(base_pose(at * MS) @ BASE_FROM_CAMERA)[0, 3] for at in (1000, 1500)]
    np.testing.assert_allclose(places, expected, atol=1e-9)
    fixed = RosBag(bag, BagOptions(TopicChoice(pose="")))
    assert [frame.world_from_camera[0, 3] for frame in fixed] == [0.1, 0.1]


#: a depth camera of half the resolution, 10 cm to the left of the colour camera.
SMALL = CAMERA.scaled_to(8, 6)
LEFT = np.eye(4)
LEFT[0, 3] = -0.1


def apart(depth_info=True, frame_id="infrared", poses=transforms):
    """Two images with depth of 1 m from a camera of its own."""
    device = bags.tf(bags.transform(0, "camera_optical", "infrared", LEFT))
    messages = [
        (0, "/cam/color/camera_info", bags.camera_info(CAMERA)),
        *poses(),
        (3000 * MS, "/tf_static", device),
    ]
    if depth_info:
        messages.append((2500 * MS, "/cam/depth/camera_info", bags.camera_info(SMALL)))
    for index in range(2):
        depth = bags.image(stamp(index), np.full((6, 8), 1000, np.uint16), "16UC1", frame_id)
        messages.append((stamp(index), "/cam/depth/image_rect", depth))
        messages.append(images(index)[0])
    return sorted(messages, key=lambda message: message[0])


def poses_of_the_camera():
    """The same as `transforms`, with the optical frame itself posed by a topic."""
    fixed = bags.tf(bags.transform(0, "base", "camera_optical", BASE_FROM_CAMERA))
    return [(0, "/tf_static", fixed), *poses_of(BASE_FROM_CAMERA)]


@pytest.mark.parametrize("poses", [transforms, poses_of_the_camera])
def test_depth_of_a_camera_of_its_own_is_reprojected(tmp_path, poses):
    source = RosBag(bags.write_bag(tmp_path / "bag", apart(poses=poses)))
    frames = list(source)
    assert [frame.stamp_ns for frame in frames] == [stamp(0), stamp(1)]
    assert not source.tally.counts
    for frame in frames:
        # 10 cm at 1 m are 1.4 of the colour camera's pixels: what is missing lies at the right.
        np.testing.assert_array_equal(frame.depth_m[:, :14], 1.0)
        assert np.isnan(frame.depth_m[:, 15:]).all()


def test_a_camera_info_that_is_named_reprojects_depth_in_the_frame_of_the_images(tmp_path):
    bag = bags.write_bag(tmp_path / "bag", apart(frame_id="camera_optical"))
    assert list(RosBag(bag)) == []  # of another size
    named = RosBag(bag, BagOptions(TopicChoice(depth_info="/cam/depth/camera_info")))
    first, second = named
    np.testing.assert_array_equal(first.depth_m, np.ones((12, 16)))
    np.testing.assert_array_equal(second.depth_m, np.ones((12, 16)))


def test_depth_of_another_camera_without_its_own_camera_info_is_refused(tmp_path):
    source = RosBag(bags.write_bag(tmp_path / "bag", apart(depth_info=False)))
    assert list(source) == []
    assert source.tally.counts == {"frame refused": 2}
    said = source.tally.last["frame refused"]
    assert "in the frame of the images, 'camera_optical', got 'infrared'" in said
    without = RosBag(source.path, BagOptions(TopicChoice(depth="")))
    assert [frame.depth_m for frame in without] == [None, None]


def test_a_depth_camera_that_nobody_has_placed_is_waited_for_and_named(tmp_path):
    source = RosBag(bags.write_bag(tmp_path / "bag", apart(frame_id="nowhere")))
    assert list(source) == []
    assert source.tally.counts == {"no pose in time": 2}
    assert "'nowhere' is unknown" in source.tally.last["no pose in time"]


def test_depth_can_be_said_to_be_registered_whatever_its_frame(tmp_path):
    messages = [
        (at, topic, bags.image(at, depth_mm(1), "16UC1", "infrared"))
        if topic == "/cam/depth/image_rect"
        else (at, topic, message)
        for at, topic, message in apart()
    ]
    bag = bags.write_bag(tmp_path / "bag", messages)
    told = RosBag(bag, BagOptions(TopicChoice(depth_info="")))
    assert [frame.depth_m[5, 5] for frame in told] == [np.float32(1.1)] * 2


def test_distortion_of_the_camera_info_is_taken_out(tmp_path):
    messages = recording()
    at = next(i for i, message in enumerate(messages) if message[1].endswith("camera_info"))
    info = bags.camera_info(CAMERA, distortion=(0.2, -0.1, 0.0, 0.0, 0.0))
    messages[at] = (messages[at][0], messages[at][1], info)
    bag = bags.write_bag(tmp_path / "bag", messages)
    assert next(iter(RosBag(bag))).camera != CAMERA
    rectified = next(iter(RosBag(bag, BagOptions(rectified=True))))
    assert rectified.camera == CAMERA
    np.testing.assert_array_equal(rectified.rgb, rgb(0))


def damaged(kind):
    """A message that must be refused without losing the others, and what the tally says."""
    at, topic = 1290 * MS, "/cam/color/image_raw"
    good = bags.TYPES.serialize_cdr(bags.image(at, rgb(0), "rgb8"), "sensor_msgs/msg/Image")
    small = bags.image(at, rgb(0)[:6], "rgb8")
    depth = bags.image(at, depth_mm(0), "16UC1")
    lengths = bytearray(good)
    lengths[20:24] = b"\xff\xff\xff\x7f"
    nan_pose = base_pose(at)
    return {
        "truncated": ((at, topic, ("sensor_msgs/msg/Image", bytes(good[:60]))), "not readable"),
        "absurd": ((at, topic, ("sensor_msgs/msg/Image", bytes(lengths))), "not readable"),
        "encoding": ((at, topic, bags.image(at, rgb(0), "h264")), "frame refused"),
        "size": ((at, topic, small), "frame refused"),
        "duplicate": ((1295 * MS, topic, bags.image(stamp(1), rgb(0), "rgb8")), "duplicate"),
        "no depth": ((at, topic, bags.image(at, rgb(0), "rgb8")), "no depth in time"),
        "pose": ((at, "/tf", bags.tf(nan_transform(at, nan_pose))), "transform refused"),
        "info": (
            (at, "/cam/color/camera_info", uncalibrated()),
            "camera_info refused",
        ),
    }[kind], (at + MS, "/cam/depth/image_rect", depth)


def nan_transform(at, matrix):
    message = bags.transform(at, "map", "base", matrix)
    message.transform.translation.x = float("nan")
    return message


def uncalibrated():
    info = bags.camera_info(CAMERA)
    info.k[:] = 0
    return info


@pytest.mark.parametrize(
    "kind", ["truncated", "absurd", "encoding", "size", "duplicate", "no depth", "pose", "info"]
)
def test_damaged_message_is_refused_and_counted_and_the_rest_survives(tmp_path, kind):
    (bad, reason), depth = damaged(kind)
    extra = [bad] if kind in ("no depth", "pose", "info", "duplicate") else [bad, depth]
    source = RosBag(bags.write_bag(tmp_path / "bag", recording(*extra)))
    stamps = [frame.stamp_ns for frame in source]
    assert stamps == [stamp(i) for i in range(FRAMES)]
    # The duplicate's twin has been used; whatever else happened is counted under its reason.
    assert [key for key in source.tally.counts if reason in key], source.tally.counts


def test_pose_that_never_comes_drops_the_frames_with_the_tf_error(tmp_path):
    messages = [m for m in recording() if m[1] != "/tf_static"]
    source = RosBag(bags.write_bag(tmp_path / "bag", messages))
    assert list(source) == []
    assert source.tally.counts == {"no pose in time": FRAMES}
    assert "camera_optical" in source.tally.last["no pose in time"]


def test_looped_bag_goes_on_after_the_jump(tmp_path):
    second = [(time_ns + 5000 * MS, *rest) for time_ns, *rest in recording()]
    source = RosBag(bags.write_bag(tmp_path / "bag", recording() + second))
    stamps = [frame.stamp_ns for frame in source]
    assert stamps[:FRAMES] == [stamp(i) for i in range(FRAMES)]
    assert stamps[-3:] == [stamp(i) for i in range(FRAMES)][-3:]
    assert source.tally.counts["time jumped back"] >= 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "must be a rosbag2 recording"), (b"not a bag", "must be a rosbag2 recording")],
)
def test_what_is_no_bag_is_refused(tmp_path, content, message):
    path = tmp_path / "x.mcap"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        RosBag(path)


def opened(bag, *options):
    """The source that a person names on the command line."""
    return source_of(build_parser().parse_args(["train", str(bag), "--out", "map", *options]))


def test_all_that_a_bag_does_not_say_is_said_on_the_command_line(tmp_path):
    messages = apart(frame_id="camera_optical", poses=lambda: poses_of(np.eye(4)))
    messages += [
        (0, "/tf_static", bags.tf(bags.transform(0, "base", "camera_optical", BASE_FROM_CAMERA))),
        (0, "/odom", bags.odometry(0, "odom", "base", base_pose(0))),
        (stamp(0), "/field/answer/overlay", bags.image(stamp(0), rgb(0), "rgb8")),
        (0, "/distorted", bags.camera_info(CAMERA, distortion=(0.2, -0.1, 0.0, 0.0, 0.0))),
    ]
    bag = bags.write_bag(tmp_path / "bag", sorted(messages, key=lambda message: message[0]))
    with pytest.raises(ValueError, match=r"must be named \(--image-topic\)"):
        opened(bag)
    options = ["--image-topic", "/cam/color/image_raw", "--info-topic", "/distorted"]
    options += ["--depth-topic", "/cam/depth/image_rect", "--rectified", "always"]
    options += ["--depth-info-topic", "/cam/depth/camera_info", "--pose-topic", "/slam/pose"]
    options += ["--posed-frame", "base", "--map-frame", "slam"]
    first, _ = opened(bag, *options)
    expected = base_pose(stamp(0)) @ BASE_FROM_CAMERA
    np.testing.assert_allclose(first.world_from_camera, expected, atol=1e-9)
    assert first.camera == CAMERA
    np.testing.assert_array_equal(first.depth_m, np.ones((12, 16)))
    without = opened(bag, *options, "--depth-topic", "")
    assert [frame.depth_m for frame in without] == [None, None]


def test_colour_alone_waits_for_no_depth(tmp_path):
    bag = bags.write_bag(tmp_path / "bag", apart(depth_info=False))
    assert [frame.depth_m for frame in opened(bag, "--rgb-only")] == [None, None]
