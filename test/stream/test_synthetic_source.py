from dataclasses import fields

import numpy as np
import pytest

from semantic_field_ros.geometry import rotation_angle_rad
from semantic_field_ros.stream.base import FrameSource
from semantic_field_ros.stream.synthetic import SensorNoise, SyntheticSource
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(64, 48, 56.0, 56.0, 31.5, 23.5)


@pytest.fixture(scope="module")
def source() -> SyntheticSource:
    return SyntheticSource("table", 2000, frames=6, camera=CAMERA)


def test_frames_are_stamped_by_rate_and_can_be_counted(source):
    frames = list(source)
    assert isinstance(source, FrameSource)
    assert source.length == len(frames) == 6
    assert [f.stamp_ns for f in frames] == [200_000_000 * i for i in range(1, 7)]
    assert source.name == "world:table:2000"


def test_default_paths_have_the_documented_length():
    assert SyntheticSource("table", 2000).length == 96


def test_iterating_twice_gives_the_same_frames(source):
    for first, second in zip(source, source, strict=True):
        np.testing.assert_array_equal(first.rgb, second.rgb)
        np.testing.assert_array_equal(first.depth_m, second.depth_m)
        np.testing.assert_array_equal(first.world_from_camera, second.world_from_camera)


def test_frames_carry_no_truth(source):
    for frame in source:
        true_pose, shapes = source.truth(frame.stamp_ns)
        assert {f.name for f in fields(frame)} == {f.name for f in fields(PosedFrame)}
        assert not np.allclose(frame.world_from_camera, true_pose, atol=1e-6)
        assert (frame.depth_m != shapes.depth_m).mean() > 0.9


def test_without_noise_frames_are_the_truth():
    source = SyntheticSource("table", 2000, frames=2, camera=CAMERA, noise=None)
    for frame in source:
        true_pose, shapes = source.truth(frame.stamp_ns)
        view = source.world.render(CAMERA, true_pose)
        np.testing.assert_array_equal(frame.world_from_camera, true_pose)
        np.testing.assert_array_equal(frame.rgb, view.rgb)
        np.testing.assert_array_equal(frame.depth_m, shapes.depth_m)
        np.testing.assert_array_equal(view.instance, shapes.instance)


@pytest.mark.parametrize("stamp_ns", [0, 1, 7 * 200_000_000])
def test_truth_of_a_stamp_that_was_never_sent_is_refused(source, stamp_ns):
    with pytest.raises(ValueError, match="no frame"):
        source.truth(stamp_ns)


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_not_positive_is_refused(rate_hz):
    with pytest.raises(ValueError, match="rate_hz"):
        SyntheticSource("table", 2000, frames=1, rate_hz=rate_hz)


@pytest.mark.parametrize(("depth_m", "sigma_m"), [(1.0, 0.002), (2.0, 0.008)])
def test_depth_noise_grows_with_the_square_of_depth(depth_m, sigma_m):
    plane = np.full((200, 200), depth_m, np.float32)
    noisy = SensorNoise().depth(plane, np.random.default_rng(0))
    assert np.nanstd(noisy) == pytest.approx(sigma_m, rel=0.05)
    assert np.nanmean(noisy) == pytest.approx(depth_m, abs=1e-3)
    assert np.isnan(noisy).mean() == pytest.approx(0.002, abs=0.001)


def test_depth_has_holes_beside_jumps():
    step = np.full((100, 100), 1.0, np.float32)
    step[:, 50:] = 2.0
    hole = np.isnan(SensorNoise().depth(step, np.random.default_rng(0)))
    assert hole[:, 49:51].mean() == pytest.approx(0.6, abs=0.12)
    assert hole[:, :45].mean() < 0.01


def test_unknown_depth_stays_unknown():
    nothing = np.full((10, 10), np.nan, np.float32)
    assert np.isnan(SensorNoise().depth(nothing, np.random.default_rng(0))).all()


def test_pose_noise_has_the_stated_size():
    rng, pose = np.random.default_rng(0), np.eye(4)
    noisy = [SensorNoise().pose(pose, rng) for _ in range(500)]
    shift = np.sqrt(np.mean([np.sum(n[:3, 3] ** 2) for n in noisy]))
    turn = np.sqrt(np.mean([rotation_angle_rad(pose, n) ** 2 for n in noisy]))
    assert shift == pytest.approx(0.005, rel=0.1)
    assert np.degrees(turn) == pytest.approx(0.3, rel=0.1)


def test_exposure_drifts_slowly_around_one():
    gains = SensorNoise().gains(4000, np.random.default_rng(0))
    assert gains.mean() == pytest.approx(1, abs=0.01)
    assert gains.std() == pytest.approx(0.03, rel=0.3)
    assert np.abs(np.diff(gains)).mean() < 0.3 * gains.std()
