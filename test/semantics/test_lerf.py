import dataclasses

import numpy as np
import pytest
import torch

from semantic_field_ros.config import GridConfig, LerfConfig
from semantic_field_ros.models.base import Calibration
from semantic_field_ros.semantics.language_field import language_at, rendered
from semantic_field_ros.semantics.lerf import Lerf
from semantic_field_ros.semantics.relevant_parts import relevant_parts

SMALL = LerfConfig(GridConfig(levels=5, log2_entries=12), hidden=32, rays=192)


def trained(wall, setup=None, steps=150, edit=lambda keyframe: keyframe):
    method = Lerf(SMALL, setup or wall.setup)
    for number in range(5):
        method.observe(edit(wall.keyframe(number, -0.2 + 0.1 * number)))
    for _ in range(steps):
        method.step(wall.quadrature)
    return method


def on_surface(wall, method):
    surface = wall.surface()
    return wall.surface({"lerf": method.surface_features(surface.points)})


def test_vectors_along_a_ray_add_up_by_weight():
    values = torch.tensor([[1.0, 0], [0, 1], [1, 1], [2, 0]])  # two rays of two samples
    weights = torch.tensor([[0.25, 0.5], [0.5, 0.0]])
    assert rendered(weights, values).tolist() == [[0.25, 0.5], [0.5, 0.5]]


def test_a_phrase_finds_its_picture(wall):
    method = trained(wall)
    surface, frozen = on_surface(wall, method), method.freeze()
    for picture in range(wall.pictures):
        regions = frozen.text_regions(
            surface, wall.language[picture], wall.language[6:], Calibration()
        )
        best = regions[0]
        true = wall.inside(surface.points, picture)
        found = np.zeros(len(true), bool)
        found[best.indices] = True
        assert (found & true).sum() / (found | true).sum() > 0.8
        assert best.score > 0.9 and best.language @ wall.language[picture] > 0.8


def test_what_is_not_there_scores_low(wall):
    method = trained(wall)
    regions = method.freeze().text_regions(
        on_surface(wall, method), wall.language[4], wall.language[6:], Calibration()
    )
    assert max(region.score for region in regions) < 0.6


def test_a_vector_depends_on_the_scale_at_which_one_looks(wall):
    def other_when_large(keyframe):
        small, large = keyframe.features.pyramid.levels
        far = np.broadcast_to(wall.language[5], large.vectors.shape).astype(np.float16)
        levels = (small, dataclasses.replace(large, side_px=48.0, vectors=far))
        pyramid = dataclasses.replace(keyframe.features.pyramid, levels=levels)
        keyframe.features = dataclasses.replace(keyframe.features, pyramid=pyramid)
        return keyframe

    method = trained(wall, edit=other_when_large)
    frozen, surface = method.freeze(), on_surface(wall, method)
    # tiles of 4 to 48 pixels, 2 m away, 50 pixels of focal length: 0.16 to 1.92 m
    assert np.log2(0.16) <= frozen.scales[0] < frozen.scales[-1] <= np.log2(1.92)
    middle = np.flatnonzero(wall.inside(surface.points, 0))[100:101]
    features = surface.features["lerf"][middle]
    near = language_at(frozen.head, features, float(frozen.scales[0]))[0]
    far = language_at(frozen.head, features, float(frozen.scales[-1]))[0]
    assert near @ wall.language[0] > 0.8 and far @ wall.language[5] > 0.8
    calibration = Calibration()
    best = frozen.best_scale(surface, wall.language[5], wall.language[6:], calibration.temperature)
    assert best == frozen.scales[-1]


def test_a_dense_model_trains_the_same_grid(wall):
    def with_dense(keyframe):
        cells = keyframe.features.embedding[:3, :6].transpose(1, 2, 0)
        keyframe.features = dataclasses.replace(keyframe.features, dense=cells)
        return keyframe

    setup = dataclasses.replace(wall.setup, dense_dim=3)
    method = trained(wall, setup, steps=1, edit=with_dense)
    first = method.step(wall.quadrature)
    for _ in range(80):
        last = method.step(wall.quadrature)
    assert set(first) == {"language", "dense"}
    assert last["dense"] < 0.5 * first["dense"]
    assert set(trained(wall, setup, steps=2).step(wall.quadrature)) == {"language"}


def test_a_keyframe_without_a_pyramid_is_refused(wall):
    keyframe = wall.keyframe(0, 0.0)
    keyframe.features = dataclasses.replace(keyframe.features, pyramid=None)
    with pytest.raises(ValueError, match="must have a pyramid"):
        Lerf(SMALL, wall.setup).observe(keyframe)


def test_connected_parts_are_scored_by_their_most_relevant_points(wall):
    surface = wall.surface()
    scores = np.full(len(surface.points), 0.1, np.float32)
    scores[wall.inside(surface.points, 0)] = 0.9
    scores[wall.inside(surface.points, 2)] = 0.8
    scores[5] = 0.85  # a stray point
    language = np.tile(wall.language[3], (len(scores), 1))
    regions = relevant_parts(surface, scores, language)
    assert [round(region.score, 2) for region in regions] == [0.9, 0.8]
    for region, picture in zip(regions, (0, 2), strict=True):
        np.testing.assert_array_equal(
            region.indices, np.flatnonzero(wall.inside(surface.points, picture))
        )
        np.testing.assert_allclose(region.language, wall.language[3])
