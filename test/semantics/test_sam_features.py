import numpy as np
import pytest

from semantic_field_ros.config import GridConfig, SamFeaturesConfig
from semantic_field_ros.models.base import EmbeddingLayout
from semantic_field_ros.semantics.sam_features import SamFeatures, cell_centres
from semantic_field_ros.types import PinholeCamera

SMALL = SamFeaturesConfig(GridConfig(levels=4, log2_entries=12), rays=96)


def test_cells_of_a_640x480_image_in_a_64x64_embedding():
    camera = PinholeCamera(640, 480, 500, 500, 319.5, 239.5)
    centres = cell_centres(camera, EmbeddingLayout(256, 64, (48, 64)))
    assert centres.shape == (48 * 64, 2)
    np.testing.assert_allclose(
        centres[[0, 1, 64, -1]], [[4.5, 4.5], [14.5, 4.5], [4.5, 14.5], [634.5, 474.5]]
    )


def test_an_unseen_view_is_rendered_like_the_segmenter_would_embed_it(wall):
    method = SamFeatures(SMALL, wall.setup)
    for number in range(6):
        method.observe(wall.keyframe(number, -0.25 + 0.1 * number))
    for _ in range(200):
        method.step(wall.quadrature)
    unseen = wall.keyframe(9, 0.08)
    rendered = method.freeze().render_embedding(
        wall.camera, unseen.frame.world_from_camera, wall.quadrature
    )
    true = unseen.features.embedding
    assert rendered.shape == true.shape and rendered.dtype == np.float16
    valid = np.abs(rendered.astype(np.float32) - true)[:, :6]
    assert valid.mean() < 0.12  # edges of pictures run through cells


def test_the_surface_variant_says_what_a_ray_to_the_point_says(wall):
    method = SamFeatures(SMALL, wall.setup)
    method.observe(wall.keyframe(0, 0.0))
    for _ in range(30):
        method.step(wall.quadrature)
    surface = wall.surface()
    surface.features["sam_features"] = method.surface_features(surface.points)
    frozen, some = method.freeze(), np.array([5, 4000])
    directions = surface.points[some] / wall.depth_m
    along = wall.quadrature(np.zeros((2, 3), np.float32), directions, None)
    by_ray = method._head.rays(along.points, along.weights).detach().numpy()
    np.testing.assert_allclose(frozen.imitated(surface, some), by_ray, atol=2e-3)


def test_padding_is_the_mean_padding_of_the_encoder(wall):
    method = SamFeatures(SMALL, wall.setup)
    method.observe(wall.keyframe(0, 0.0))
    method.step(wall.quadrature)
    rendered = method.freeze().render_embedding(wall.camera, np.eye(4), wall.quadrature)
    np.testing.assert_array_equal(rendered[:, 6:], np.full((4, 2, 8), -0.5, np.float16))


def test_an_embedding_of_another_shape_is_refused(wall):
    method, keyframe = SamFeatures(SMALL, wall.setup), wall.keyframe(0, 0.0)
    features = keyframe.features
    keyframe.features = type(features)(
        features.embedding[:3], features.proposals, features.language
    )
    with pytest.raises(ValueError, match=r"\(4, 8, 8\), got \(3, 8, 8\)"):
        method.observe(keyframe)
