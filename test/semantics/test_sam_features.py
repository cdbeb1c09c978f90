import dataclasses

import numpy as np
import pytest
import torch

from semantic_field_ros.config import GridConfig, SamFeaturesConfig
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.semantics.sam_features import CACHE_CAPACITY, SamFeatures
from semantic_field_ros.types import ImaginedView

SMALL = SamFeaturesConfig(
    GridConfig(levels=4, log2_entries=12), hidden=32, window_cells=8, imagined_views=96
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


def imagined(keyframe):
    frame = keyframe.frame
    return ImaginedView(frame.camera, frame.world_from_camera, frame.rgb, frame.depth_m)


def test_imagined_views_are_learned_from_like_captured_ones(wall):
    method = SamFeatures(SMALL, wall.setup)
    method.observe(wall.keyframe(0, -0.25))
    method.step(wall.quadrature)
    for number in range(1, 6):
        keyframe = wall.keyframe(number, -0.25 + 0.1 * number)
        method.imagine(imagined(keyframe), keyframe.features)
    for _ in range(200):
        method.step(wall.quadrature)
    unseen = wall.keyframe(9, 0.08)
    rendered = method.freeze().render_embedding(
        wall.camera, unseen.frame.world_from_camera, wall.quadrature
    )
    error = np.abs(rendered.astype(np.float32) - unseen.features.embedding)[:, :6]
    assert error.mean() < 0.12


def test_imagined_views_are_wanted_beside_captured_ones_only(wall):
    """Not in a map that was just loaded, whose cache is empty."""
    method, keyframe = SamFeatures(SMALL, wall.setup), wall.keyframe(0, 0.0)
    assert method.imagining is Imagining.NOTHING
    method.imagine(imagined(keyframe), keyframe.features)  # another method wanted it
    assert method.step(wall.quadrature) == {}
    method.observe(keyframe)
    method.step(wall.quadrature)
    assert method.imagining is Imagining.EMBEDDING


def waiting(method, keyframe, number):
    """A keyframe seen from as many centimetres to the right as its number waits to be learnt."""
    pose = keyframe.frame.world_from_camera.copy()
    pose[0, 3] = number / 100
    frame = dataclasses.replace(keyframe.frame, world_from_camera=pose)
    method.observe(dataclasses.replace(keyframe, id=number, frame=frame))


def held_m(method):
    """Where the captured views in the cache were seen from, the oldest first."""
    return [place_m(view) for view in method._captured.values()]


def place_m(view):
    """Where a cached view was seen from."""
    return round(float(view.rays[-1].origins[0, 0]), 2)


@pytest.mark.parametrize(("imagined_views", "room"), [(0, 256), (60, 196)])
def test_the_oldest_of_256_views_goes_first(wall, imagined_views, room):
    """Or of those that imagined ones leave room for."""
    config = dataclasses.replace(SMALL, imagined_views=imagined_views)
    method = SamFeatures(config, wall.setup)
    keyframe, places_m = wall.keyframe(0, 0.0), [number / 100 for number in range(259)]
    for number in range(259):
        waiting(method, keyframe, number)
        while method._new:
            method._draw()
        assert held_m(method) == places_m[max(0, number + 1 - room) : number + 1]
    drawn = {place_m(method._draw()) for _ in range(3000)}
    assert drawn <= {*places_m[3:]} and len(drawn) > room - 6


def test_a_loaded_map_of_more_keyframes_fills_the_cache_and_no_more(wall):
    config = dataclasses.replace(SMALL, imagined_views=0)
    method, keyframe = SamFeatures(config, wall.setup), wall.keyframe(0, 0.0)
    for number in range(300):
        method.recall(dataclasses.replace(keyframe, id=number))
    assert [*method._captured] == [*range(44, 300)]


def test_three_of_four_views_come_from_the_cache_and_the_newest_takes_the_turn_of_the_fourth(wall):
    method, keyframe = SamFeatures(SMALL, wall.setup), wall.keyframe(0, 0.0)
    waiting(method, keyframe, 0)
    assert place_m(method._draw()) == 0.0  # there is nothing in the cache
    new = 0
    for number in range(1, 1001):
        waiting(method, keyframe, number)
        held = held_m(method)
        drawn = place_m(method._draw())
        if drawn == number / 100:
            new += 1
            assert held_m(method)[-1] == drawn
        else:
            assert drawn in held
    assert 210 < new < 290  # 250 are expected, with a standard deviation of 14


def test_a_view_goes_with_its_keyframe_and_its_age_with_it(wall):
    config = dataclasses.replace(SMALL, settle_steps=10)
    method, keyframe = SamFeatures(config, wall.setup), wall.keyframe(0, 0.0)
    waiting(method, keyframe, 0)
    for _ in range(30):
        method.step(wall.quadrature)
    waiting(method, keyframe, 1)
    while method._new:
        method._draw()
    assert method.rate_share() == 0.4  # they are 30 and 0 steps old, so 15: 1 / (1 + 15 / 10)
    waiting(method, keyframe, 2)
    for gone in (2, 0):
        method.forget(gone)
    assert held_m(method) == [0.01] and not method._new
    assert method.rate_share() == 1.0
    method.forget(1)
    assert method.step(wall.quadrature) == {}


def test_imagined_views_cannot_push_captured_ones_out(wall):
    config = dataclasses.replace(SMALL, imagined_views=3, window_cells=2)
    method, keyframe = SamFeatures(config, wall.setup), wall.keyframe(0, 0.0)
    method.observe(keyframe)
    while not method._captured:
        method.step(wall.quadrature)
    for _ in range(10):
        method.imagine(imagined(keyframe), keyframe.features)
    while method._new:
        method.step(wall.quadrature)
    assert len(method._captured) == 1 and len(method._imagined) == 3


def test_without_room_for_imagined_views_none_is_wanted_or_taken(wall):
    method = SamFeatures(dataclasses.replace(SMALL, imagined_views=0), wall.setup)
    keyframe = wall.keyframe(0, 0.0)
    assert method.imagining is Imagining.NOTHING
    method.imagine(imagined(keyframe), keyframe.features)
    assert method.step(wall.quadrature) == {}


@pytest.mark.parametrize("views", [-1, CACHE_CAPACITY])
def test_the_cache_must_have_room_for_captured_views(wall, views):
    with pytest.raises(ValueError, match=rf"imagined_views must be in .*, got {views}"):
        SamFeatures(dataclasses.replace(SMALL, imagined_views=views), wall.setup)


def test_all_scales_are_trained_with_their_correlation(wall):
    """Each is asked to be here what the embedding is, twice as coarse."""
    config = dataclasses.replace(SMALL, pyramid=True)
    method = SamFeatures(config, wall.with_pyramid())
    for number in range(6):
        method.observe(wall.keyframe(number, -0.25 + 0.1 * number))
    first = method.step(wall.quadrature)
    assert set(first) == {"feature_mse", "cross_scale"}
    for _ in range(150):
        last = method.step(wall.quadrature)
    assert last["cross_scale"] < 0.5 * first["cross_scale"]
    twin = SamFeatures(config, wall.with_pyramid())
    twin.load_state(method.state())
    embeddings = [
        each.freeze().render_embedding(wall.camera, np.eye(4), wall.quadrature)
        for each in (method, twin)
    ]
    np.testing.assert_array_equal(*embeddings)


def test_features_without_the_scales_that_are_imitated_are_refused(wall):
    method = SamFeatures(dataclasses.replace(SMALL, pyramid=True), wall.with_pyramid())
    keyframe = wall.keyframe(0, 0.0)
    keyframe.features = dataclasses.replace(keyframe.features, depths=())
    with pytest.raises(ValueError, match="features must have 2 scales, got 1"):
        method.observe(keyframe)


def test_the_learning_rate_falls_with_the_age_of_the_views_and_new_ones_lift_it(wall):
    method = SamFeatures(dataclasses.replace(SMALL, settle_steps=10, window_cells=2), wall.setup)
    assert method.rate_share() == 1.0
    method.observe(wall.keyframe(0, 0.0))
    for _ in range(11):
        method.step(wall.quadrature)
    # Trained on for ten steps since it entered: 1 / (1 + 10 / 10).
    assert method.rate_share() == pytest.approx(0.5, abs=0.03)
    for _ in range(300):
        method.step(wall.quadrature)
    settled = method.rate_share()
    assert settled == pytest.approx(0.05)
    method.observe(wall.keyframe(1, 0.1))
    while method._new:
        method.step(wall.quadrature)
    assert method.rate_share() > settled


def test_what_was_loaded_is_as_old_as_it_was_and_its_keyframes_stay_so(wall):
    method = SamFeatures(dataclasses.replace(SMALL, settle_steps=10), wall.setup)
    for number in range(3):
        method.observe(wall.keyframe(number, 0.1 * number))
    for _ in range(40):
        method.step(wall.quadrature)
    twin = SamFeatures(dataclasses.replace(SMALL, settle_steps=10), wall.setup)
    twin.load_state(method.state())
    assert twin.imagining is Imagining.NOTHING
    for number in range(3):
        twin.recall(wall.keyframe(number, 0.1 * number))
    assert twin.rate_share() == method.rate_share() < 1
    assert twin.imagining is Imagining.EMBEDDING
    for name, value in method.state().items():
        assert torch.equal(value, twin.state()[name]), name
    assert twin.step(wall.quadrature)
