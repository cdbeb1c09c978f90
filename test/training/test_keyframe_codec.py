"""Keyframes survive being packed."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from semantic_field_ros.training.keyframe_codec import pack_keyframes, unpack_keyframes
from semantic_field_ros.types import (
    FrameFeatures,
    Keyframe,
    MaskProposal,
    PinholeCamera,
    PosedFrame,
    TileLevel,
    TilePyramid,
)


def keyframe(number: int, with_features: bool) -> Keyframe:
    v, u = np.mgrid[:24, :32]
    rgb = np.stack([u * 7, v * 9, u + v], axis=2).astype(np.uint8)
    depth_m = (1 + u / 100).astype(np.float32)
    depth_m[0, 0] = np.nan
    camera = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
    frame = PosedFrame(5, "front", camera, np.eye(4), rgb, depth_m)
    if not with_features:
        return Keyframe(number, frame)
    masks = (MaskProposal.from_mask(u < 4, 0.9), MaskProposal.from_mask(v > 20, 0.5))
    embedding = np.arange(8, dtype=np.float16).reshape(2, 2, 2)
    return Keyframe(number, frame, FrameFeatures(embedding, masks, np.eye(2, 3, dtype=np.float16)))


def test_round_trip_up_to_jpeg_and_the_step_of_depth() -> None:
    first, second = unpack_keyframes(*pack_keyframes([keyframe(3, True), keyframe(9, False)]))
    original = keyframe(3, True)
    assert (first.id, second.id) == (3, 9)
    assert first.frame.camera == original.frame.camera
    assert np.abs(first.frame.rgb.astype(int) - original.frame.rgb).mean() < 2
    np.testing.assert_allclose(first.frame.depth_m, original.frame.depth_m, atol=1e-6)
    assert second.features is None and first.features is not None
    for a, b in zip(first.features.proposals, original.features.proposals, strict=True):
        np.testing.assert_array_equal(a.mask(), b.mask())
        assert (a.box_px, a.score) == (b.box_px, b.score)
    np.testing.assert_array_equal(first.features.embedding, original.features.embedding)


@pytest.mark.parametrize(
    ("depth_m", "atol"),
    [
        ([0.001, 1.234, 65.535], 1e-6),  # millimetres, as most sensors count them
        ([0.5, np.pi, np.nan], 0.5 * np.pi / 65535),
        ([0.2, 99.9999, 300.0], 0.5 * 300 / 65535),  # beyond what 16 bits of millimetres hold
        ([np.nan, np.nan, np.nan], 0.0),
        ([0.7, np.inf, 0.1], 0.5 * 0.7 / 65535),  # nothing within reach is unknown
        ([-0.3, 0.0, 2.0], 0.0),  # and so is what no sensor can see
    ],
)
def test_depth_is_kept_as_finely_as_sixteen_bits_allow(depth_m: list[float], atol: float) -> None:
    frame = keyframe(1, False).frame
    depths = np.full(frame.rgb.shape[:2], np.nan, np.float32)
    depths[3, :3] = depth_m
    (read,) = unpack_keyframes(*pack_keyframes([Keyframe(1, replace(frame, depth_m=depths))]))
    known = np.where(np.isfinite(depths) & (depths > 0), depths, np.nan)
    np.testing.assert_allclose(read.frame.depth_m, known, rtol=1e-7, atol=atol)


@pytest.mark.parametrize("far_m", [65.535, 65.6, 800.0, 8000.0])
@pytest.mark.parametrize("near_m", [[0.25, 1.234, 9.5], [0.2001, np.pi, 64.0001]])
def test_one_far_pixel_does_not_coarsen_the_others(near_m: list[float], far_m: float) -> None:
    frame = keyframe(1, False).frame
    depths = np.full(frame.rgb.shape[:2], np.nan, np.float32)
    depths[3, :3], depths[5, 4:6] = near_m, far_m
    records, tensors = pack_keyframes([Keyframe(1, replace(frame, depth_m=depths))])
    (read,) = unpack_keyframes(json.loads(json.dumps(records)), tensors)
    np.testing.assert_allclose(read.frame.depth_m[3, :3], near_m, rtol=0, atol=0.51e-3)
    np.testing.assert_array_equal(read.frame.depth_m[5, 4:6], np.float32([far_m, far_m]))
    assert np.isfinite(read.frame.depth_m).sum() == 5


def test_depth_of_older_maps_is_read_in_the_steps_that_they_name() -> None:
    """They kept a far depth as the last of coarser steps, and nothing beside the image."""
    frame = keyframe(1, False).frame
    records, tensors = pack_keyframes([Keyframe(1, frame)])
    steps = np.zeros(frame.rgb.shape[:2], np.uint16)
    steps[0, :3] = 1, 100, 65535
    tensors["1.depth"] = torch.from_numpy(cv2.imencode(".png", steps)[1].ravel())
    del tensors["1.far_m"]
    (read,) = unpack_keyframes([records[0] | {"depth_step_m": 0.0125}], tensors)
    np.testing.assert_allclose(read.frame.depth_m[0, :3], [0.0125, 1.25, 819.1875], rtol=1e-6)
    assert np.isfinite(read.frame.depth_m).sum() == 3


def test_frames_of_whoever_computes_with_arrays_can_be_written() -> None:
    frame = keyframe(1, False).frame
    stamp_ns, focal = np.arange(9)[5], np.float32(30)
    camera = replace(frame.camera, fx=focal, fy=focal)
    records, _ = pack_keyframes([Keyframe(1, replace(frame, stamp_ns=stamp_ns, camera=camera))])
    (record,) = json.loads(json.dumps(records))
    assert (record["stamp_ns"], record["camera"]["fx"]) == (5, 30.0)


def test_what_more_there_is_of_features_survives_too() -> None:
    levels = tuple(
        TileLevel(side, (side / 2, 3.0), (1.5, 1.0), np.full((2, 3, 4), side, np.float16))
        for side in (4.0, 8.0)
    )
    dense = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    given = keyframe(3, True)
    given.features = replace(
        given.features, pyramid=TilePyramid(levels, 7), dense=dense, depths=(dense, dense[:1])
    )
    records, tensors = pack_keyframes([given])
    (read,) = unpack_keyframes(json.loads(json.dumps(records)), tensors)
    assert read.features.pyramid.left_out == 7
    for a, b in zip(read.features.depths, (dense, dense[:1]), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(read.features.pyramid.levels, levels, strict=True):
        assert (a.side_px, a.first_px, a.stride_px) == (b.side_px, b.first_px, b.stride_px)
        np.testing.assert_array_equal(a.vectors, b.vectors)
    np.testing.assert_array_equal(read.features.dense, dense)


def test_ignored_pixels_survive_too() -> None:
    plain, masked = keyframe(3, False), keyframe(4, False)
    ignored = np.zeros((24, 32), np.bool_)
    ignored[20:, 5:] = True
    masked.frame = replace(masked.frame, ignored=ignored)
    records, tensors = pack_keyframes([plain, masked])
    first, second = unpack_keyframes(json.loads(json.dumps(records)), tensors)
    assert first.frame.ignored is None
    np.testing.assert_array_equal(second.frame.ignored, ignored)


def test_run_lengths_that_do_not_fill_the_image_are_refused() -> None:
    records, tensors = pack_keyframes([keyframe(3, True)])
    tensors["3.runs"][0] += 1
    with pytest.raises(ValueError, match="run lengths must fill 24x32"):
        unpack_keyframes(records, tensors)


def test_a_missing_image_is_refused() -> None:
    records, tensors = pack_keyframes([keyframe(3, False)])
    del tensors["3.rgb"]
    with pytest.raises(ValueError, match=r"keyframes are damaged: KeyError\('3.rgb'\)"):
        unpack_keyframes(records, tensors)


def test_a_keyframe_in_which_nothing_was_proposed() -> None:
    empty = FrameFeatures(np.zeros((2, 2, 2), np.float16), (), np.zeros((0, 3), np.float16))
    (read,) = unpack_keyframes(*pack_keyframes([Keyframe(1, keyframe(1, False).frame, empty)]))
    assert read.features is not None
    assert read.features.proposals == () and read.features.language.shape == (0, 3)
