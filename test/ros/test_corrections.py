"""What a SLAM node says later about poses reaches the keyframes of the map."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from camera_bench import eventually

from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.corrections import Trajectory
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.ros.corrections import PoseCorrections
from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.ros.messages import header_message, pose_message
from semantic_field_ros.stream.messages import matrix_from_pose, stamp_ns
from semantic_field_ros.types import PinholeCamera, PosedFrame

S = 1_000_000_000
CAMERA = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5)
BODY_FROM_CAMERA = look_at(np.array([0.1, 0.0, 1.2]), np.array([1.0, 0.0, 1.0]))


def body(x_m: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = x_m
    return pose


class Field:
    """Keyframes alone."""

    def __init__(self) -> None:
        self.memory = ReplayMemory(8)
        self.updates: list[dict] = []

    def keyframes(self) -> list[KeyframeView]:
        return self.memory.views()

    def update_poses(self, poses: dict) -> int:
        self.updates.append(poses)
        return self.memory.update_poses(poses)

    def x_m(self) -> list[float]:
        return [round(float(view.world_from_camera[0, 3]), 3) for view in self.memory.views()]


@dataclass
class Slam:
    """A robot that drove half a metre per second, and a node that knows better."""

    graph: Graph
    other: Graph
    field: Field = field(default_factory=Field)

    def __post_init__(self) -> None:
        trajectory = Trajectory()
        rgb = np.zeros((6, 8, 3), np.uint8)
        for i in range(101):
            trajectory.add(i * S // 10, body(0.05 * i))
            if i in (20, 50, 95):
                pose = body(0.05 * i) @ BODY_FROM_CAMERA
                self.field.memory.add(PosedFrame(i * S // 10, "head", CAMERA, pose, rgb))
        self.corrections = PoseCorrections(
            self.graph, self.field, "map", trajectory, lambda job, *given: job(*given)
        )
        self.path = self.other.publisher("nav_msgs/msg/Path", "corrected_path")
        self.array = self.other.publisher("geometry_msgs/msg/PoseArray", "corrected_poses")
        eventually(lambda: self.path.subscribers() and self.array.subscribers())

    def send_path(self, poses: dict[float, np.ndarray], frame_id: str = "map") -> None:
        make = self.other.message
        posed = [
            make(
                "geometry_msgs/msg/PoseStamped",
                header=header_message(make, frame_id, round(at_s * S)),
                pose=pose_message(make, pose),
            )
            for at_s, pose in poses.items()
        ]
        header = header_message(make, frame_id, 0)
        self.path.publish(make("nav_msgs/msg/Path", header=header, poses=posed))

    def send_array(self, at_ns: int, poses: list[np.ndarray]) -> None:
        make = self.other.message
        messages = [pose_message(make, pose) for pose in poses]
        header = header_message(make, "map", at_ns)
        self.array.publish(make("geometry_msgs/msg/PoseArray", header=header, poses=messages))

    def announce(self) -> None:
        self.corrections.announce(self.field.keyframes())

    def counted(self, reason: str) -> bool:
        return bool(self.corrections.tally.counts[reason])


@pytest.fixture()
def slam(graph: Graph, other: Graph) -> Iterator[Slam]:
    yield Slam(graph, other)


def test_keyframes_move_with_the_path_of_the_robot(slam: Slam) -> None:
    """From 4 s on the robot was 30 cm further; the path ends before the last keyframe."""
    assert slam.field.x_m() == [1.1, 2.6, 4.85]
    path = {0.0: body(0.0), 3.0: body(1.5), 4.0: body(2.3), 9.0: body(4.8)}
    slam.send_path(path)
    eventually(lambda: slam.field.updates)
    assert slam.field.x_m() == [1.1, 2.9, 4.85]
    slam.send_path(path)
    slam.send_path(path | {9.5: body(5.05)})
    eventually(lambda: len(slam.field.updates) == 2)  # the second path said nothing new
    assert slam.field.x_m() == [1.1, 2.9, 5.15]


def test_the_list_of_keyframes_is_announced_and_can_be_answered(slam: Slam) -> None:
    heard: list = []
    slam.other.subscribe("nav_msgs/msg/Path", "/tester/keyframes", heard.append, LATCHED)
    slam.announce()
    slam.announce()
    eventually(lambda: heard)
    (listed,) = heard
    assert [stamp_ns(posed.header.stamp) for posed in listed.poses] == [2 * S, 5 * S, 95 * S // 10]
    poses = [matrix_from_pose(posed.pose) for posed in listed.poses]
    np.testing.assert_allclose(poses[1], body(2.5) @ BODY_FROM_CAMERA, atol=1e-9)
    at_ns = stamp_ns(listed.header.stamp)
    slam.send_array(at_ns, [body(0.3) @ pose for pose in poses])
    eventually(lambda: slam.field.updates)
    assert slam.field.x_m() == [1.4, 2.9, 5.15]
    slam.send_array(at_ns, poses[:2])
    slam.send_array(at_ns + 1, poses)
    eventually(lambda: slam.corrections.tally.counts["bad pose array"] == 2)


def test_an_answer_that_moves_nothing_is_no_news(slam: Slam) -> None:
    """Who answers every list as it came would otherwise be sent the next one for ever."""
    heard: list = []
    slam.other.subscribe("nav_msgs/msg/Path", "/tester/keyframes", heard.append, LATCHED)
    slam.announce()
    eventually(lambda: heard)
    at_ns = stamp_ns(heard[0].header.stamp)
    poses = [matrix_from_pose(posed.pose) for posed in heard[0].poses]
    slam.send_array(at_ns, [body(0.005) @ pose for pose in poses])
    slam.send_array(at_ns, poses[:2])
    eventually(lambda: slam.counted("bad pose array"))
    assert not slam.field.updates


def test_keyframes_that_were_corrected_or_replaced_are_announced_anew(slam: Slam) -> None:
    heard: list = []
    slam.other.subscribe("nav_msgs/msg/Path", "/tester/keyframes", heard.append, LATCHED)
    slam.announce()
    eventually(lambda: len(heard) == 1)
    view = slam.field.keyframes()[1]
    slam.field.memory.update_poses({view.keyframe_id: body(0.3) @ view.world_from_camera})
    slam.announce()
    eventually(lambda: len(heard) == 2)
    assert heard[1].poses[1].pose.position.x == pytest.approx(2.9)
    views = slam.field.keyframes()
    slam.field.memory = ReplayMemory(8)
    for old in views:
        rgb = np.zeros((6, 8, 3), np.uint8)
        posed = PosedFrame(old.stamp_ns + S, "head", CAMERA, old.world_from_camera, rgb)
        slam.field.memory.add(posed)
    assert [v.keyframe_id for v in slam.field.keyframes()] == [v.keyframe_id for v in views]
    slam.announce()
    eventually(lambda: len(heard) == 3)
    assert stamp_ns(heard[2].poses[0].header.stamp) == 3 * S


def test_an_answer_about_another_map_moves_nothing(slam: Slam) -> None:
    """The node has loaded a map meanwhile, whose keyframes have the same ids."""
    heard: list = []
    slam.other.subscribe("nav_msgs/msg/Path", "/tester/keyframes", heard.append, LATCHED)
    slam.announce()
    eventually(lambda: heard)
    poses = [matrix_from_pose(posed.pose) for posed in heard[0].poses]
    views, slam.field.memory = slam.field.keyframes(), ReplayMemory(8)
    for old in views:
        rgb = np.zeros((6, 8, 3), np.uint8)
        posed = PosedFrame(old.stamp_ns + S, "head", CAMERA, old.world_from_camera, rgb)
        slam.field.memory.add(posed)
    slam.send_array(stamp_ns(heard[0].header.stamp), [body(0.3) @ pose for pose in poses])
    slam.send_array(stamp_ns(heard[0].header.stamp), poses[:2])
    eventually(lambda: slam.counted("bad pose array"))
    assert not slam.field.updates


def test_a_path_of_another_frame_is_refused(slam: Slam) -> None:
    """Of the camera, where poses of the base are awaited."""
    slam.send_path({float(at_s): body(0.5 * at_s) @ BODY_FROM_CAMERA for at_s in range(10)})
    eventually(lambda: slam.counted("path of another frame"))
    assert slam.corrections.tally.last["path of another frame"] == (
        "it would turn the map by 127 degrees; "
        "corrected_frame must name the frame whose poses it tells"
    )
    assert slam.field.x_m() == [1.1, 2.6, 4.85] and not slam.field.updates


def test_a_path_that_turns_the_map_a_little_is_followed(slam: Slam) -> None:
    """By 40 degrees about the origin, which a long way without a loop may come to."""
    turn = np.eye(4)
    turn[:2, :2] = [[0.766, -0.643], [0.643, 0.766]]
    slam.send_path({float(at_s): turn @ body(0.5 * at_s) for at_s in range(10)})
    eventually(lambda: slam.field.updates)
    np.testing.assert_allclose(slam.field.x_m()[:2], [0.843, 1.992], atol=0.002)


def test_what_would_move_keyframes_out_of_any_map_is_counted(slam: Slam) -> None:
    """The bound is 100 km."""
    slam.send_path({float(at_s): body(2e5 + 0.5 * at_s) for at_s in range(10)})
    eventually(lambda: slam.counted("bad path"))
    heard: list = []
    slam.other.subscribe("nav_msgs/msg/Path", "/tester/keyframes", heard.append, LATCHED)
    slam.announce()
    eventually(lambda: heard)
    poses = [matrix_from_pose(posed.pose) for posed in heard[0].poses]
    slam.send_array(stamp_ns(heard[0].header.stamp), [body(2e5) @ pose for pose in poses])
    eventually(lambda: slam.counted("bad pose array"))
    for reason in ("bad path", "bad pose array"):
        assert slam.corrections.tally.last[reason].startswith(
            "pose must lie within 100000 m, got 20000"
        )
    assert slam.field.x_m() == [1.1, 2.6, 4.85]
    slam.send_path({float(at_s): body(0.3 + 0.5 * at_s) for at_s in range(10)})
    eventually(lambda: slam.field.x_m() == [1.4, 2.9, 4.85])  # of what was there before


def test_of_answers_that_wait_only_the_newest_counts(graph: Graph, other: Graph) -> None:
    slam, waiting = Slam(graph, other), []
    slam.corrections = PoseCorrections(graph, slam.field, "map", Trajectory(), waiting.append)
    slam.announce()
    (at_ns,) = slam.corrections._lists
    poses = [view.world_from_camera for view in slam.field.keyframes()]
    for i in range(1, 51):
        slam.send_array(at_ns, [body(0.1 * i) @ pose for pose in poses])
        eventually(
            lambda i=i: slam.corrections.tally.counts["pose array overtaken by the next"] == i - 1
        )
    assert len(set(waiting)) == 1
    waiting[0]()
    assert slam.field.x_m() == [6.1, 7.6, 9.85]
    assert len(slam.field.updates) == 1


@pytest.mark.parametrize(
    ("path", "frame_id", "reason"),
    [
        ({50.0: body(0), 60.0: body(0)}, "map", "path of other times"),
        ({5.0: body(0), 4.0: body(0)}, "map", "bad path"),
        ({4.0: body(np.nan), 5.0: body(0)}, "map", "bad path"),
        ({4.0: body(0), 5.0: body(0)}, "nowhere", "bad path"),
    ],
    ids=["other times", "not in order", "not finite", "unknown frame"],
)
def test_a_path_that_makes_no_sense_is_counted(slam, path, frame_id, reason) -> None:
    slam.send_path(path, frame_id)
    eventually(lambda: slam.counted(reason))
    assert not slam.field.updates
