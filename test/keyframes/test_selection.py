from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from semantic_field_ros.config import KeyframesConfig
from semantic_field_ros.keyframes.selection import KeyframeSelector, Reason
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
TEXTURE = np.random.default_rng(0).integers(40, 216, (48, 64, 3), dtype=np.uint8)
BLURRED = gaussian_filter(TEXTURE, (3, 3, 0))
CONFIG = KeyframesConfig(
    min_translation_m=0.1, min_rotation_deg=5.0, max_gap_s=2.0, min_sharpness=0.35
)


def frame(t_s, x_m=0.0, yaw_deg=0.0, rgb=TEXTURE, camera_name="head"):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("y", yaw_deg, degrees=True).as_matrix()
    pose[0, 3] = x_m
    return PosedFrame(round(t_s * 1e9), camera_name, CAMERA, pose, rgb)


def reasons(frames, config=CONFIG):
    selector = KeyframeSelector(config)
    return [selector.consider(f).reason for f in frames]


def test_moving_turning_and_waiting_make_keyframes_and_standing_still_does_not():
    frames = [
        frame(0.0),
        frame(0.2, x_m=0.05),
        frame(0.4, x_m=0.11),
        frame(0.6, x_m=0.11, yaw_deg=4.0),
        frame(0.8, x_m=0.11, yaw_deg=6.0),
        frame(2.7, x_m=0.11, yaw_deg=6.0),
        frame(2.9, x_m=0.11, yaw_deg=6.0),
    ]
    assert reasons(frames) == [
        Reason.FIRST,
        Reason.STILL,
        Reason.MOVED,
        Reason.STILL,
        Reason.TURNED,
        Reason.STILL,
        Reason.GAP,
    ]


def test_distance_is_from_the_last_kept_frame_not_from_the_last_seen():
    creeping = [frame(0.01 * step, x_m=0.03 * step) for step in range(9)]
    kept = [i for i, reason in enumerate(reasons(creeping)) if reason is not Reason.STILL]
    assert kept == [0, 4, 8]


def test_a_caller_may_keep_one_array_for_all_poses():
    pose, selector, found = np.eye(4), KeyframeSelector(CONFIG), []
    for step in range(4):
        pose[0, 3] = 0.06 * step
        taken = replace(frame(0.2 * step), world_from_camera=pose)
        found.append(selector.consider(taken).reason)
    assert found == [Reason.FIRST, Reason.STILL, Reason.MOVED, Reason.STILL]


def test_gap_of_zero_keeps_only_frames_that_moved():
    config = KeyframesConfig(max_gap_s=0.0)
    assert reasons([frame(0), frame(100)], config) == [Reason.FIRST, Reason.STILL]


def test_blurred_frame_is_refused_and_the_next_sharp_one_taken():
    frames = [frame(0.2 * i, x_m=0.2 * i) for i in range(4)]
    frames += [frame(0.8, x_m=0.8, rgb=BLURRED), frame(1.0, x_m=1.0)]
    assert reasons(frames)[-2:] == [Reason.BLURRED, Reason.MOVED]


def test_lasting_blur_does_not_stop_the_map():
    frames = [frame(0.2 * i, x_m=0.2 * i) for i in range(4)]
    frames += [frame(0.8 + 0.2 * i, x_m=0.8 + 0.2 * i, rgb=BLURRED) for i in range(30)]
    found = reasons(frames)
    assert found[4] is Reason.BLURRED
    assert found[-1] is Reason.MOVED


@pytest.mark.parametrize(("value", "reason"), [(0, Reason.DARK), (255, Reason.BRIGHT)])
def test_frames_without_structure_are_refused(value, reason):
    blank = np.full_like(TEXTURE, value)
    assert reasons([frame(0.0, rgb=blank), frame(0.2)]) == [reason, Reason.FIRST]


def test_time_that_jumps_back_starts_anew_and_a_stale_stamp_is_refused():
    frames = [frame(100.0), frame(100.0, x_m=1.0), frame(99.9, x_m=1.0), frame(3.0)]
    assert reasons(frames) == [Reason.FIRST, Reason.STALE, Reason.STALE, Reason.FIRST]


def test_a_short_bag_that_is_played_again_is_mapped_again_however_long_gaps_may_be():
    config = replace(CONFIG, max_gap_s=60.0)
    once = [frame(100.0 + 2 * step, x_m=0.2 * step) for step in range(15)]
    expected = [Reason.FIRST] + [Reason.MOVED] * 14
    assert reasons([*once, *once], config) == expected * 2


def test_cameras_are_judged_each_for_itself():
    frames = [frame(0.0), frame(0.0, camera_name="wrist"), frame(0.2), frame(0.2, x_m=1.0)]
    frames[3] = frame(0.2, x_m=1.0, camera_name="wrist")
    assert reasons(frames) == [Reason.FIRST, Reason.FIRST, Reason.STILL, Reason.MOVED]


def test_decisions_say_numbers_and_are_counted():
    selector = KeyframeSelector(CONFIG)
    selector.consider(frame(0.0))
    decision = selector.consider(frame(0.2, x_m=0.25))
    assert decision.keep and decision.detail == "0.250 m"
    assert selector.counts() == {Reason.FIRST.value: 1, Reason.MOVED.value: 1}
    selector.reset()
    assert selector.consider(frame(0.0)).reason is Reason.FIRST


def ignoring(taken, rows):
    ignored = np.zeros((48, 64), bool)
    ignored[:rows] = True
    return replace(taken, ignored=ignored)


def test_a_frame_that_shows_hardly_anything_that_counts_is_refused():
    assert reasons([ignoring(frame(0.0), 36), ignoring(frame(0.2), 24)]) == [
        Reason.IGNORED,
        Reason.FIRST,
    ]


def test_ignored_pixels_say_nothing_about_light_and_sharpness():
    """The upper half, a gripper, is black in one frame and sharp in a blurred one."""
    dark, sharp = TEXTURE.copy(), BLURRED.copy()
    dark[:36], sharp[:24] = 0, TEXTURE[:24]
    assert reasons([frame(0.0, rgb=dark)]) == [Reason.DARK]
    assert reasons([ignoring(frame(0.0, rgb=dark), 33)]) == [Reason.FIRST]
    moving = [ignoring(frame(0.2 * i, x_m=0.2 * i), 24) for i in range(4)]
    blurred = ignoring(frame(0.8, x_m=0.8, rgb=sharp), 24)
    assert reasons([*moving, blurred])[-1] is Reason.BLURRED
