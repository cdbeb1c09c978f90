from dataclasses import replace

import numpy as np
import pytest

from semantic_field_ros.geometry import project, unproject
from semantic_field_ros.stream.frames import check_frame, resize_frame, size_within
from semantic_field_ros.stream.holdout import Holdout, split_every
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5)


def frame(**changes):
    rgb = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)
    depth_m = np.linspace(1, 2, 48, dtype=np.float32).reshape(6, 8)
    return replace(PosedFrame(5, "head", CAMERA, np.eye(4), rgb, depth_m), **changes)


def with_depth(value):
    depth_m = np.full((6, 8), 1.0, np.float32)
    depth_m[2, 3] = value
    return frame(depth_m=depth_m)


def far_pose(distance_m):
    pose = np.eye(4)
    pose[0, 3] = distance_m
    return pose


def test_good_frames_pass_unchanged():
    good = frame()
    assert check_frame(good) is good
    check_frame(frame(depth_m=None))
    check_frame(with_depth(np.nan))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_depth(np.inf), "got inf"),
        (lambda: with_depth(-1.0), "got -1.0"),
        (lambda: with_depth(0.0), "got 0.0"),
        (lambda: frame(stamp_ns=-1), "got -1"),
        (lambda: frame(world_from_camera=far_pose(1e7)), "got 1e\\+07"),
        (lambda: frame(camera=replace(CAMERA, cx=900.0)), "got \\(900.0"),
        (lambda: frame(camera=replace(CAMERA, fy=1e-43)), "sideways per metre, got 3.5e\\+43"),
        (lambda: frame(rgb=np.zeros((6, 9, 3), np.uint8)), "got \\(6, 9, 3\\)"),
        (lambda: frame(camera=replace(CAMERA, fx=np.nan)), "finite"),
        (lambda: frame(world_from_camera=np.diag([1.0, 1, 2, 1])), "rigid"),
        (lambda: frame(world_from_camera=np.full((4, 4), np.nan)), "finite"),
        (lambda: frame(ignored=np.zeros((6, 9), bool)), "got \\(6, 9\\) bool"),
        (lambda: frame(ignored=np.zeros((6, 8), np.uint8)), "got \\(6, 8\\) uint8"),
    ],
)
def test_bad_frames_are_refused_with_what_came(make, message):
    with pytest.raises(ValueError, match=message):
        check_frame(make())


def half_ignored():
    ignored = np.zeros((6, 8), bool)
    ignored[:, 5:] = True
    return frame(ignored=ignored)


def test_ignored_pixels_carry_no_depth():
    checked = check_frame(half_ignored())
    assert np.isnan(checked.depth_m[:, 5:]).all() and np.isfinite(checked.depth_m[:, :5]).all()
    assert check_frame(checked) is checked


def test_a_reduced_pixel_is_ignored_if_any_part_of_it_was():
    small = resize_frame(check_frame(half_ignored()), 4, 3)
    expected = np.tile([False, False, True, True], (3, 1))
    np.testing.assert_array_equal(small.ignored, expected)
    np.testing.assert_array_equal(np.isnan(small.depth_m), expected)


def test_resized_frame_shows_the_same_world_through_a_matching_camera():
    small = resize_frame(frame(), 4, 3)
    assert small.rgb.shape == (3, 4, 3) and small.depth_m.shape == (3, 4)
    points = unproject(CAMERA, np.eye(4), np.array([[0.5, 0.5], [6.5, 4.5]]), np.ones(2))
    pixel, _ = project(small.camera, np.eye(4), points)
    np.testing.assert_allclose(pixel, [[0, 0], [3, 2]], atol=1e-5)


def test_resized_depth_invents_no_value_and_keeps_unknown():
    original = with_depth(np.nan)
    original.depth_m[:, :4] = 5.0
    small = resize_frame(original, 5, 4).depth_m
    assert set(small[np.isfinite(small)]) <= {1.0, 5.0}
    assert resize_frame(frame(depth_m=None), 4, 3).depth_m is None


def test_resizing_to_the_same_size_is_the_same_frame():
    same = frame()
    assert resize_frame(same, 8, 6) is same


def test_size_within_keeps_the_aspect():
    assert size_within(640, 480, 320) == (320, 240)
    assert size_within(640, 480, 0) == (640, 480)
    assert size_within(100, 50, 640) == (100, 50)


def test_every_nth_frame_is_held_out():
    held = [out for _, out in split_every([frame()] * 7, every=3, first=1)]
    assert held == [False, True, False, False, True, False, False]
    assert not any(out for _, out in split_every([frame()] * 3, every=0))
    with pytest.raises(ValueError, match="got 1"):
        list(split_every([frame()], every=1))


def test_a_holdout_keeps_back_by_number_or_by_stamp():
    frames = [frame() for _ in range(8)]
    assert [out for _, out in Holdout.one_in(4).split(frames)] == [False, False, True, False] * 2
    assert [out for _, out in Holdout(4, 0).split(frames)] == [True, False, False, False] * 2
    assert not any(out for _, out in Holdout().split(frames))
    stamped = [replace(frame(), stamp_ns=stamp) for stamp in (5, 6, 7)]
    held = Holdout(2, 0, frozenset({6})).split(stamped)
    assert [(f.stamp_ns, out) for f, out in held] == [(5, False), (6, True), (7, False)]
