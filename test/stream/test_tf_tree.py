import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.stream.tf_tree import (
    ExtrapolationError,
    NotConnectedError,
    TfTree,
    UnknownFrameError,
    UnnamedFrameError,
    slerp,
)

S = 1_000_000_000


def pose(x=0.0, y=0.0, z=0.0, yaw_deg=0.0):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", yaw_deg, degrees=True).as_matrix()
    matrix[:3, 3] = x, y, z
    return matrix


def robot():
    tree = TfTree()
    tree.set_transform("base", "camera", 0, pose(z=0.5), static=True)
    tree.set_transform("odom", "base", 1 * S, pose(x=1.0))
    tree.set_transform("odom", "base", 2 * S, pose(x=3.0, yaw_deg=90))
    tree.set_transform("map", "odom", 0, pose(y=10.0), static=True)
    return tree


def test_lookup_chains_static_and_moving_edges():
    moved = robot().lookup("map", "camera", 1 * S)
    np.testing.assert_allclose(moved, pose(x=1.0, y=10.0, z=0.5), atol=1e-12)


def test_lookup_interpolates_between_samples():
    moved = robot().lookup("map", "camera", 1 * S + S // 2)
    np.testing.assert_allclose(moved, pose(x=2.0, y=10.0, z=0.5, yaw_deg=45), atol=1e-12)


def test_lookup_is_inverted_by_swapping_the_frames():
    tree = robot()
    there, back = tree.lookup("map", "camera", 2 * S), tree.lookup("camera", "map", 2 * S)
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)


def test_lookup_between_siblings_goes_over_their_common_parent():
    tree = robot()
    tree.set_transform("base", "lidar", 0, pose(x=0.2), static=True)
    np.testing.assert_allclose(tree.lookup("lidar", "camera", 99 * S), pose(x=-0.2, z=0.5))


def test_lookup_without_a_stamp_takes_the_newest_common_one():
    np.testing.assert_allclose(robot().lookup("odom", "base"), pose(x=3.0, yaw_deg=90), atol=1e-12)


def test_leading_slash_is_the_same_frame():
    np.testing.assert_allclose(robot().lookup("/map", "/odom", 0), pose(y=10.0))


def test_unknown_frame_is_named_with_the_known_ones():
    with pytest.raises(UnknownFrameError, match=r"'arm'.*base, camera, map, odom"):
        robot().lookup("map", "arm", S)


@pytest.mark.parametrize("name", ["", "/"])
def test_a_frame_without_a_name_is_not_waited_for(name):
    for frames in (("map", name), (name, "map"), (name, name)):
        with pytest.raises(UnnamedFrameError, match="must not be empty") as refused:
            robot().lookup(*frames, S)
        assert not refused.value.may_still_come


def test_separate_trees_are_not_connected():
    tree = robot()
    tree.set_transform("world2", "thing", 0, pose(), static=True)
    with pytest.raises(NotConnectedError, match="'map'.*'world2'"):
        tree.lookup("map", "thing", S)


@pytest.mark.parametrize(
    ("stamp_ns", "into_future", "way"), [(3 * S, True, "future"), (S // 2, False, "past")]
)
def test_extrapolation_says_where_to_and_whether_waiting_helps(stamp_ns, into_future, way):
    with pytest.raises(ExtrapolationError, match=way) as caught:
        robot().lookup("map", "camera", stamp_ns)
    assert caught.value.may_still_come == into_future


def test_tolerance_lets_the_nearest_sample_stand_in():
    moved = robot().lookup("odom", "base", 2 * S + 1000, tolerance_ns=1000)
    np.testing.assert_allclose(moved, pose(x=3.0, yaw_deg=90), atol=1e-12)
    with pytest.raises(ExtrapolationError):
        robot().lookup("odom", "base", 2 * S + 1001, tolerance_ns=1000)


def test_history_is_bounded_by_the_cache_time():
    tree = TfTree(cache_s=2.0)
    for second in range(10):
        tree.set_transform("odom", "base", second * S, pose(x=float(second)))
    tree.lookup("odom", "base", 7 * S)
    with pytest.raises(ExtrapolationError, match="past"):
        tree.lookup("odom", "base", 6 * S)
    assert not tree.set_transform("odom", "base", 6 * S, pose())


def test_late_samples_are_put_in_order_and_equal_stamps_replace():
    tree = TfTree()
    for stamp, x in ((0, 0.0), (2 * S, 2.0), (S, 5.0), (S, 7.0)):
        assert tree.set_transform("odom", "base", stamp, pose(x=x))
    assert tree.lookup("odom", "base", S)[0, 3] == 7.0
    assert tree.lookup("odom", "base", S + S // 2)[0, 3] == pytest.approx(4.5)


def test_clear_keeps_static_transforms():
    tree = robot()
    tree.clear()
    assert tree.frames() == {"map", "odom", "base", "camera"}
    with pytest.raises(NotConnectedError):
        tree.lookup("map", "camera", S)


def test_child_moves_to_a_new_parent():
    tree = robot()
    tree.set_transform("lift", "camera", 0, pose(), static=True)
    with pytest.raises(NotConnectedError):
        tree.lookup("base", "camera", S)


def test_loops_and_poses_that_are_not_rigid_are_refused():
    tree = robot()
    with pytest.raises(ValueError, match="loop"):
        tree.set_transform("camera", "map", 0, pose())
    with pytest.raises(ValueError, match="loop"):
        tree.set_transform("camera", "camera", 0, pose())
    with pytest.raises(ValueError, match="rigid"):
        tree.set_transform("map", "odom", 0, np.diag([2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match="empty"):
        tree.set_transform("", "odom", 0, pose())
    np.testing.assert_allclose(tree.lookup("map", "odom", 0), pose(y=10.0))


def test_writers_and_readers_side_by_side():
    tree, errors = robot(), []

    def write():
        for step in range(300):
            tree.set_transform("odom", "base", 2 * S + step, pose(x=float(step)))

    def read():
        for _ in range(300):
            moved = tree.lookup("map", "camera")
            if not np.isfinite(moved).all():
                errors.append(moved)

    threads = [threading.Thread(target=job) for job in (write, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


finite = st.floats(-5, 5)
quaternions = st.tuples(finite, finite, finite, finite).filter(lambda q: np.linalg.norm(q) > 0.1)


def unit(numbers):
    return np.array(numbers) / np.linalg.norm(numbers)


@settings(max_examples=50, deadline=None)
@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_agrees_with_scipy(start, end, share):
    start, end = unit(start), unit(end)
    expected = Slerp([0, 1], Rotation.from_quat([start, end]))(share)
    difference = expected.inv() * Rotation.from_quat(slerp(start, end, share))
    # Opposite orientations have no shorter arc: either way is right.
    if abs(start @ end) > 1e-3:
        assert difference.magnitude() < 1e-6


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(quaternions, finite, finite), min_size=1, max_size=6), st.data())
def test_any_tree_composes_along_any_path(edges, data):
    """Frame i+1 hangs under a random earlier frame; composing over the root must agree."""
    tree, root_from = TfTree(), [np.eye(4)]
    for child, (rotation, x, y) in enumerate(edges, start=1):
        parent = data.draw(st.integers(0, child - 1))
        step = pose(x, y)
        step[:3, :3] = Rotation.from_quat(unit(rotation)).as_matrix()
        tree.set_transform(f"f{parent}", f"f{child}", 5, step, static=data.draw(st.booleans()))
        root_from.append(root_from[parent] @ step)
    a, b = data.draw(st.integers(0, len(edges))), data.draw(st.integers(0, len(edges)))
    expected = invert_rigid(root_from[a]) @ root_from[b]
    np.testing.assert_allclose(tree.lookup(f"f{a}", f"f{b}", 5), expected, atol=1e-9)
