import numpy as np
import pytest

from semantic_field_ros.geometry import look_at, rotation_angle_rad
from semantic_field_ros.keyframes import corrections
from semantic_field_ros.keyframes.corrections import (
    MOST_POSES,
    Correction,
    Trajectory,
    corrected_poses,
)
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.types import PinholeCamera, PosedFrame

S = 1_000_000_000
CAMERA = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5)


def at(x_m):
    pose = np.eye(4)
    pose[0, 3] = x_m
    return pose


def drive(seconds=10):
    """Half a metre per second along x, at 10 Hz."""
    trajectory = Trajectory()
    for i in range(10 * seconds + 1):
        trajectory.add(i * S // 10, at(0.05 * i))
    return trajectory


def views(*stamps_s, camera_name="head"):
    memory = ReplayMemory(8)
    rgb = np.zeros((6, 8, 3), np.uint8)
    for stamp_s in stamps_s:
        pose = at(0.5 * stamp_s) @ look_at(np.array([0.0, 0.1, 1.0]), np.array([1.0, 1.0, 0.5]))
        memory.add(PosedFrame(round(stamp_s * S), camera_name, CAMERA, pose, rgb))
    return memory.views()


def test_a_correction_is_what_turns_the_old_poses_into_the_new():
    correction = drive().correction([2 * S, 4 * S], [at(1.0), at(2.3)])
    np.testing.assert_allclose(correction.at(2 * S), np.eye(4))
    np.testing.assert_allclose(correction.at(4 * S), at(0.3))
    np.testing.assert_allclose(correction.at(3 * S), at(0.15))
    assert correction.at(2 * S - 1) is None and correction.at(4 * S + 1) is None


def test_keyframes_between_the_poses_of_the_path_move_with_them():
    """The path turns the world by a right angle about the origin: x becomes y."""
    turn = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    trajectory = drive()
    path = [turn @ at(0.5 * second) for second in range(1, 9)]
    correction = trajectory.correction([second * S for second in range(1, 9)], path)
    seen = views(0.5, 3.3, 7.7)
    poses = corrected_poses(seen, correction)
    assert set(poses) == {1, 2}
    for view in seen[1:]:
        np.testing.assert_allclose(poses[view.keyframe_id], turn @ view.world_from_camera)


def test_the_turn_of_a_correction_is_that_of_most_poses():
    half_right = look_at(np.zeros(3), np.array([1.0, 1.0, 0.0]))
    stamps, still = [second * S for second in range(5)], [at(0.5 * second) for second in range(5)]
    turned = [pose @ half_right for pose in still]
    angle_rad = rotation_angle_rad(np.eye(4), half_right)
    assert drive().correction(stamps, turned).turn_rad() == pytest.approx(angle_rad)
    assert drive().correction(stamps, turned[:3] + still[3:]).turn_rad() > 1.0
    assert drive().correction(stamps, turned[:2] + still[2:]).turn_rad() == 0.0
    assert Correction([], []).turn_rad() == 0.0


def test_the_trajectory_is_corrected_too_so_that_the_same_path_moves_nothing_twice():
    trajectory, seen = drive(), views(5.0)
    stamps, path = [4 * S, 6 * S], [at(2.3), at(3.3)]
    correction = trajectory.correction(stamps, path)
    assert corrected_poses(seen, correction)
    trajectory.apply(correction)
    again = trajectory.correction(stamps, path)
    assert not corrected_poses(seen, again)


def test_what_is_off_by_less_than_a_centimetre_is_left_alone():
    assert not corrected_poses(views(5.0), drive().correction([4 * S, 6 * S], [at(2.009), at(3)]))
    assert corrected_poses(views(5.0), drive().correction([4 * S, 6 * S], [at(2.03), at(3.02)]))


def test_poses_of_other_times_say_nothing():
    correction = drive().correction([40 * S, 41 * S], [at(0), at(0)])
    assert len(correction.stamps_ns) == 0 and not corrected_poses(views(5.0), correction)
    assert Correction([], []).at(5) is None


def test_nobody_knows_the_robot_in_a_long_gap():
    trajectory = Trajectory()
    for stamp_s in (0, 1, 5):
        trajectory.add(stamp_s * S, at(0.0))
    correction = trajectory.correction([S // 2, 3 * S, 5 * S], [at(1)] * 3)
    assert list(correction.stamps_ns) == [S // 2, 5 * S]


def round_a_bend(second):
    """Along a circle of 1 m at half a metre per second."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.5 * second), -np.sin(0.5 * second)],
                    [np.sin(0.5 * second), np.cos(0.5 * second)]]  # fmt: skip
    return turn @ at(1.0)


@pytest.mark.parametrize(("frames_s", "path_s"), [(2.0, 0.1), (5.0, 1.0), (2.0, 2.0), (1.1, 3.0)])
def test_frames_may_be_rare_and_have_other_stamps_than_the_path(frames_s, path_s):
    """A loop closure of 30 cm while the robot drives round a bend."""
    trajectory = Trajectory()
    for number in range(30):
        trajectory.add(round(number * frames_s * S), round_a_bend(number * frames_s))
    stamps = np.arange(0.04, 29 * frames_s, path_s)
    path = [at(0.3) @ round_a_bend(second) for second in stamps]
    correction = trajectory.correction([round(second * S) for second in stamps], path)
    assert len(correction.stamps_ns) >= min(len(stamps), 30) - 2
    cut_off_m = 1 - np.cos(0.25 * min(frames_s, path_s))  # between two of the denser ones
    for stamp_ns, motion in zip(correction.stamps_ns, correction.new_from_old, strict=True):
        was = round_a_bend(stamp_ns / S)
        off_m = np.linalg.norm((motion @ was - at(0.3) @ was)[:3, 3])
        assert off_m <= cut_off_m + 1e-6


def test_a_gap_among_rare_frames_is_one_all_the_same():
    trajectory = Trajectory()
    for stamp_s in (0, 2, 4, 6, 14, 16, 18):
        trajectory.add(stamp_s * S, at(0.0))
    correction = trajectory.correction([s * S for s in range(1, 18, 4)], [at(1)] * 5)
    assert list(correction.stamps_ns) == [1 * S, 5 * S, 17 * S]


def test_a_long_path_is_looked_at_here_and_there_and_at_its_end():
    trajectory = drive(seconds=20)
    stamps = list(range(0, 20 * S, 5_000_000))
    correction = trajectory.correction(stamps, [at(0.5 * stamp / S) for stamp in stamps])
    assert MOST_POSES / 2 < len(correction.stamps_ns) <= MOST_POSES
    assert correction.stamps_ns[-1] == stamps[-1]


@pytest.mark.parametrize("back_s", [6, 100])
def test_a_jump_back_of_time_starts_anew(back_s):
    trajectory = Trajectory()
    for stamp_s in (*range(200, 210), 209 - back_s):
        trajectory.add(stamp_s * S, at(0.0))
    assert len(trajectory) == 1


def test_memory_is_bounded_and_reaches_back_to_the_beginning(monkeypatch):
    """Also when the path is so long that the memory was thinned out again and again."""
    monkeypatch.setattr(corrections, "CAPACITY", 100)
    trajectory = Trajectory()
    for i in range(6000):
        trajectory.add(i * S // 10, at(0.01 * i))
        assert len(trajectory) <= 100
    for second in (3, 300, 590):
        correction = trajectory.correction([second * S], [at(0.1 * second)])
        np.testing.assert_allclose(correction.at(second * S), np.eye(4), atol=1e-9)


def test_poses_that_come_faster_than_needed_or_late_are_left_out():
    trajectory = Trajectory()
    for stamp_ns in (0, S // 30, S // 10, S // 10 + 5, S // 20):
        trajectory.add(stamp_ns, at(0.0))
    assert len(trajectory) == 2
