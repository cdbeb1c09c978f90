import dataclasses

import numpy as np
import pytest

from semantic_field_ros.semantics.lifting import lift, sample_pixels, sensor_depth


def test_samples_lie_on_the_wall_and_in_their_pictures(wall):
    keyframe = wall.keyframe(0, 0.1)
    pixels = sample_pixels(wall.camera)
    assert len(pixels.uv) == wall.camera.width * wall.camera.height
    depth_m = sensor_depth(keyframe.frame, pixels.uv)
    view = lift(keyframe.frame, keyframe.features, depth_m, pixels)
    np.testing.assert_allclose(view.spacing_m, wall.depth_m / wall.camera.fx, rtol=1e-6)
    np.testing.assert_allclose(view.points[:, 2], wall.depth_m)
    for picture in range(3):
        np.testing.assert_array_equal(view.masks[picture], wall.inside(view.points, picture))


def test_samples_are_thinned_evenly(wall):
    pixels = sample_pixels(wall.camera, most=800)
    assert len(pixels.uv) == 32 * 24 and pixels.uv[0].tolist() == [1, 1]
    assert pixels.stride_px == 2


def test_unknown_depth_and_depth_edges_are_left_out(wall):
    frame = wall.keyframe(0, 0.0).frame
    depth = frame.depth_m.copy()
    depth[:, 40:] = 1.0
    depth[5, 5] = np.nan
    frame = dataclasses.replace(frame, depth_m=depth)
    pixels = np.array([[5, 5], [39, 10], [40, 10], [20, 10], [50, 10]])
    np.testing.assert_array_equal(
        sensor_depth(frame, pixels), np.array([np.nan, np.nan, np.nan, 2, 1], np.float32)
    )


def test_a_frame_without_depth_is_refused(wall):
    frame = dataclasses.replace(wall.keyframe(0, 0.0).frame, depth_m=None)
    with pytest.raises(ValueError, match="needs a frame with depth"):
        sensor_depth(frame, np.zeros((1, 2), np.int64))


def test_a_mask_cut_by_the_border_says_less_about_its_name(wall):
    whole, cut = wall.keyframe(0, 0.0), wall.keyframe(1, -0.7)
    weights = []
    for keyframe in (whole, cut):
        pixels = sample_pixels(wall.camera)
        depth = sensor_depth(keyframe.frame, pixels.uv)
        weights.append(lift(keyframe.frame, keyframe.features, depth, pixels).language_weight)
    assert weights[1][-1] < 0.2 * weights[0][-1]
