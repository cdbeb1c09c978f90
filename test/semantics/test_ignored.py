"""Nothing is learnt from pixels that show the robot itself or people."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semantic_field_ros.config import GridConfig, SamFeaturesConfig
from semantic_field_ros.semantics.language_views import language_view
from semantic_field_ros.semantics.object_rays import DecodedMasks, FrozenGeometry, ViewRays
from semantic_field_ros.semantics.ray_pairs import Pixels
from semantic_field_ros.semantics.sam_features import SamFeatures

SMALL = SamFeaturesConfig(GridConfig(levels=4, log2_entries=12), hidden=32, window_cells=8)


def masked(wall, columns: slice, **changes):
    """A keyframe some columns of which are ignored."""
    keyframe = wall.keyframe(0, 0.0)
    ignored = np.zeros(keyframe.frame.rgb.shape[:2], np.bool_)
    ignored[:, columns] = True
    keyframe.frame = replace(keyframe.frame, ignored=ignored, **changes)
    return keyframe


def test_language_views_look_at_the_other_pixels(wall):
    whole, half = (language_view(masked(wall, slice(0, end))) for end in (0, 32))
    assert half.uv[:, 0].min() == 32 and len(half.uv) == len(whole.uv) // 2
    assert half.regions.shape == (3, len(half.uv))


def test_feature_cells_that_show_something_ignored_are_not_imitated(wall):
    """Their features are nonsense, and the loss does not see it."""
    losses = []
    for wrong in (0.0, 100.0):
        keyframe = masked(wall, slice(0, 24))
        embedding = keyframe.features.embedding.copy()
        embedding[:, :, :3] += np.float16(wrong)
        keyframe.features = replace(keyframe.features, embedding=embedding)
        method = SamFeatures(SMALL, wall.setup)
        method.observe(keyframe)
        losses.append(method.step(wall.quadrature)["feature_mse"])
    assert losses[0] == losses[1]


def test_a_view_that_is_all_ignored_is_no_step(wall):
    method = SamFeatures(SMALL, wall.setup)
    method.observe(masked(wall, slice(None)))
    assert method.step(wall.quadrature) == {}


@pytest.mark.parametrize("measured", [True, False])
def test_rays_through_ignored_pixels_are_not_trusted(wall, measured):
    keyframe = masked(wall, slice(0, 32))
    frame = keyframe.frame
    depth_m = frame.depth_m if measured else np.full_like(frame.depth_m, np.nan)
    logits = np.zeros((1, *frame.rgb.shape[:2]), np.float16)
    pose, objects = frame.world_from_camera, np.array([1])
    view = DecodedMasks(frame.camera, pose, depth_m, objects, logits, ignored=frame.ignored)
    rays = ViewRays([view], FrozenGeometry(None, wall.quadrature))
    pixels = Pixels(np.zeros(2, np.int64), np.array([31, 32]), np.array([5, 5]))
    trusted = rays.trusted(pixels, torch.full((2,), wall.depth_m))
    np.testing.assert_array_equal(trusted, [False, True])
