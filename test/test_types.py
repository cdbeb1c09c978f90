"""What the nouns refuse, and that masks survive their encoding."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from semantic_field_ros.types import MaskProposal, PinholeCamera, PosedFrame

CAMERA = PinholeCamera(4, 2, 5.0, 5.0, 1.5, 0.5)


def frame(**changes: object) -> PosedFrame:
    values: dict = {
        "stamp_ns": 1,
        "camera_name": "front",
        "camera": CAMERA,
        "world_from_camera": np.eye(4),
        "rgb": np.zeros((2, 4, 3), np.uint8),
        "depth_m": np.ones((2, 4), np.float32),
    }
    return PosedFrame(**(values | changes))


def test_rgb_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rgb must be \(2, 4, 3\) uint8, got \(4, 2, 3\) uint8"):
        frame(rgb=np.zeros((4, 2, 3), np.uint8))


def test_depth_in_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="depth_m must be .* float32, got .* float64"):
        frame(depth_m=np.ones((2, 4)))


@pytest.mark.parametrize("bad", [np.diag([2.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1])])
def test_pose_that_is_not_rigid_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="pose must be rigid"):
        frame(world_from_camera=bad)


def test_pose_with_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="pose must be finite"):
        frame(world_from_camera=np.full((4, 4), np.nan))


def test_a_pose_stays_as_it_was_though_the_array_it_came_in_is_used_again() -> None:
    pose = np.eye(4)
    taken = frame(world_from_camera=pose)
    pose[0, 3] = 7.0
    assert taken.world_from_camera.tolist() == np.eye(4).tolist()


def test_nan_intrinsics_are_refused() -> None:
    with pytest.raises(ValueError, match="intrinsics must be finite"):
        PinholeCamera(4, 2, float("nan"), 5.0, 1.5, 0.5)


def test_numbers_out_of_arrays_become_plain_ones() -> None:
    k = np.array([[5.0, 0, 1.5], [0, 5.0, 0.5], [0, 0, 1]], np.float32)
    width, height = np.array([4, 2])
    camera = PinholeCamera(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    posed = frame(stamp_ns=np.array([7])[0], camera=camera)
    assert camera == CAMERA
    told = json.dumps([asdict(camera), posed.stamp_ns])
    assert json.loads(told) == [asdict(CAMERA), 7]


@pytest.mark.parametrize("stamp_ns", [1.5, 1.0, np.float64(1.7e18), "7", np.array([7, 8])])
def test_stamps_that_are_no_ints_are_refused(stamp_ns: object) -> None:
    with pytest.raises(TypeError, match="stamp_ns must be of type int, got .*(float|str|ndarray)"):
        frame(stamp_ns=stamp_ns)


def test_sizes_that_are_no_ints_are_refused() -> None:
    with pytest.raises(TypeError, match=r"width must be of type int, got 4\.5 \(float\)"):
        PinholeCamera(4.5, 2, 5.0, 5.0, 1.5, 0.5)  # type: ignore[arg-type]


def test_scaling_keeps_the_image_corners() -> None:
    # Corners lie half a pixel outside the first and last pixel centre.
    half = CAMERA.scaled_to(2, 1)
    assert (half.fx, half.fy) == (2.5, 2.5)
    assert ((-0.5 - half.cx) / half.fx) == pytest.approx((-0.5 - CAMERA.cx) / CAMERA.fx)
    assert ((1.5 - half.cx) / half.fx) == pytest.approx((3.5 - CAMERA.cx) / CAMERA.fx)


def test_run_lengths_of_a_small_mask() -> None:
    mask = np.array([[0, 1, 1], [1, 0, 0]], bool)
    proposal = MaskProposal.from_mask(mask, 0.5)
    assert proposal.rle.tolist() == [1, 3, 2]
    assert proposal.box_px == (0, 0, 2, 1)


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))).filter(np.any))
def test_masks_survive_their_encoding(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(MaskProposal.from_mask(mask, 1.0).mask(), mask)
