"""What every semantic method must do."""

import dataclasses

import numpy as np
import pytest

from semantic_field_ros.config import (
    GridConfig,
    LerfConfig,
    MaskFieldConfig,
    OvNerfConfig,
    SamFeaturesConfig,
    SemanticsConfig,
)
from semantic_field_ros.models.base import Calibration
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.semantics.registry import build_methods
from semantic_field_ros.types import ImaginedView

METHODS = ("sam_features", "maskfield", "lerf", "ovnerf")
_GRID = GridConfig(levels=4, log2_entries=12)
CONFIG = SemanticsConfig(
    sam_features=SamFeaturesConfig(_GRID, hidden=32, window_cells=8, imagined_views=96),
    maskfield=MaskFieldConfig(_GRID, rays=64),
    lerf=LerfConfig(_GRID, rays=64),
    ovnerf=OvNerfConfig(("one", "two", "three", "none"), _GRID, rays=64),
)
PYRAMID = dataclasses.replace(
    CONFIG, sam_features=dataclasses.replace(CONFIG.sam_features, pyramid=True)
)
SURFACE = dataclasses.replace(
    CONFIG, sam_features=dataclasses.replace(CONFIG.sam_features, surface=True)
)
#: methods with each of their larger options, too.
VARIANTS = {name: (name, CONFIG) for name in METHODS} | {
    "sam_features with its pyramid": ("sam_features", PYRAMID),
    "sam_features on the surface": ("sam_features", SURFACE),
}


def build(variant, wall):
    name, config = variant
    return build_methods(dataclasses.replace(config, methods=(name,)), wall.with_pyramid())[name]


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


@pytest.fixture
def method(variant, wall):
    return build(variant, wall)


def _train(method, wall, steps: int = 4) -> None:
    for number, x_m in enumerate((-0.2, 0.0, 0.2)):
        method.observe(wall.keyframe(number, x_m))
    for _ in range(steps):
        losses = method.step(wall.quadrature)
        assert all(np.isfinite(value) for value in losses.values())


def test_a_step_without_keyframes_does_nothing(method, wall):
    assert method.step(wall.quadrature) == {}


def test_a_keyframe_without_features_is_refused(method, wall):
    bare = dataclasses.replace(wall.keyframe(0, 0.0), features=None)
    with pytest.raises(ValueError, match="must have features"):
        method.observe(bare)


def test_imagined_views_are_taken_in_and_trained_on(method, wall):
    _train(method, wall)
    keyframe = wall.keyframe(7, 0.1)
    frame = keyframe.frame
    view = ImaginedView(frame.camera, frame.world_from_camera, frame.rgb, frame.depth_m)
    assert isinstance(method.imagining, Imagining)
    method.imagine(view, keyframe.features)
    for _ in range(10):
        losses = method.step(wall.quadrature)
        assert losses and all(np.isfinite(value) for value in losses.values())


def test_training_reports_a_loss_that_falls(method, wall):
    _train(method, wall, steps=1)
    first = np.mean([sum(method.step(wall.quadrature).values()) for _ in range(5)])
    for _ in range(60):
        method.step(wall.quadrature)
    assert np.mean([sum(method.step(wall.quadrature).values()) for _ in range(5)]) < first


def test_what_is_frozen_does_not_change(method, wall):
    _train(method, wall, steps=20)
    surface = wall.surface()
    features = {method.name: method.surface_features(surface.points)}
    surface = wall.surface(features)
    frozen = method.freeze()
    before = [region.indices.copy() for region in frozen.instances(surface)]
    method.observe(wall.keyframe(9, 0.1))
    for _ in range(20):
        method.step(wall.quadrature)
    after = [region.indices for region in frozen.instances(dataclasses.replace(surface))]
    assert len(before) == len(after)
    for left, right in zip(before, after, strict=True):
        np.testing.assert_array_equal(left, right)


def test_surface_features_have_one_row_per_point(method, wall):
    _train(method, wall)
    features = method.surface_features(wall.surface().points)
    assert len(features) == len(wall.surface().points) and features.dtype == np.float16
    assert len(method.surface_features(np.zeros((0, 3), np.float32))) == 0


def test_state_brings_a_method_back(method, variant, wall):
    _train(method, wall, steps=10)
    twin = build(variant, wall)
    twin.load_state(method.state())
    points = wall.surface().points
    np.testing.assert_array_equal(twin.surface_features(points), method.surface_features(points))


def test_a_method_is_saved_and_brought_back_before_its_first_step(method, variant, wall):
    state = method.state()
    assert all(tensor.isfinite().all() for tensor in state.values())
    twin = build(variant, wall)
    twin.load_state(state)
    _train(twin, wall)
    assert all(tensor.isfinite().all() for tensor in twin.state().values())


def test_a_method_that_was_loaded_trains_on_with_the_keyframes_it_knew(method, variant, wall):
    assert method.step(wall.quadrature) == {}
    _train(method, wall, steps=10)
    twin = build(variant, wall)
    twin.load_state(method.state())
    assert twin.step(wall.quadrature) == {}
    for number, x_m in enumerate((-0.2, 0.0, 0.2)):
        twin.recall(wall.keyframe(number, x_m))
    before = twin.surface_features(wall.surface().points)
    for _ in range(5):
        losses = twin.step(wall.quadrature)
        assert losses and all(np.isfinite(value) for value in losses.values())
    assert not np.array_equal(before, twin.surface_features(wall.surface().points))


def test_text_regions_of_an_untrained_method_are_empty(method, wall):
    surface = wall.surface({method.name: method.surface_features(wall.surface().points)})
    phrase, negatives = wall.language[0], wall.language[6:]
    assert method.freeze().text_regions(surface, phrase, negatives, Calibration()) == []


def test_class_scores_name_a_place_or_say_nothing(method, wall):
    _train(method, wall, steps=120)
    surface = wall.surface({method.name: method.surface_features(wall.surface().points)})
    classes = wall.language[[0, 1, 2, 7]]
    scores = method.freeze().class_scores(surface, classes)
    assert scores.shape == (len(surface.points), 4) and scores.min() >= 0
    if scores.any():
        for picture in range(wall.pictures):
            mine = scores[wall.inside(surface.points, picture)]
            assert (mine.argmax(axis=1) == picture).mean() > 0.9


def test_class_scores_of_an_untrained_method_say_nothing(method, wall):
    surface = wall.surface({method.name: method.surface_features(wall.surface().points)})
    assert not method.freeze().class_scores(surface, wall.language[:3]).any()


def test_forgetting_twice_or_the_unknown_is_harmless(method, wall):
    _train(method, wall)
    for keyframe_id in (0, 0, 77):
        method.forget(keyframe_id)
    assert method.step(wall.quadrature)


def test_an_unknown_method_is_named_with_the_choices(wall):
    with pytest.raises(ValueError, match=r"lerf.*maskfield.*ovnerf.*sam_features.*'dream'"):
        build_methods(SemanticsConfig(methods=("dream",)), wall.setup)


def test_relevancy_of_a_point_is_in_0_to_1_and_highest_where_it_should_be(method, wall):
    untrained = wall.surface({method.name: method.surface_features(wall.surface().points)})
    asked = wall.language[0], wall.language[6:], Calibration()
    assert not method.freeze().relevancy(untrained, *asked).any()
    _train(method, wall, steps=120)
    surface = wall.surface({method.name: method.surface_features(wall.surface().points)})
    relevancy = method.freeze().relevancy(surface, *asked)
    assert relevancy.shape == (len(surface.points),) and relevancy.dtype == np.float32
    assert relevancy.min() >= 0 and relevancy.max() <= 1
    if relevancy.any():
        first, second = (wall.inside(surface.points, picture) for picture in (0, 1))
        assert relevancy[first].mean() > relevancy[second].mean() + 0.2


def test_views_that_moved_are_learnt_anew_where_they_are_now(method, wall):
    """They were seen from 20 cm to the left, the middle, and 20 cm to the right."""
    seen_from_m = set()

    def watched(origins, directions, depth_m):
        seen_from_m.update(origins[:, 0].tolist())
        return wall.quadrature(origins, directions, depth_m)

    _train(method, wall)
    method.poses_changed()
    assert method.step(watched) == {}
    method.observe(wall.keyframe(1, 0.25))
    for _ in range(20):
        assert method.step(watched)
    assert seen_from_m == {0.25}
    _train(method, wall)
    assert method.step(wall.quadrature)
    method.freeze()


def test_a_step_has_fewer_rays_where_memory_is_short(method, wall):
    """64 rays, or the 6 × 8 cells of the whole embedding; then 16, or 4 × 4 cells."""
    rays, most = [], []

    def counted(origins, directions, depth_m):
        rays.append(len(origins))
        return wall.quadrature(origins, directions, depth_m)

    _train(method, wall)
    for share in (1.0, 0.25):
        method.share = share
        rays.clear()
        for _ in range(8):
            assert all(np.isfinite(value) for value in method.step(counted).values())
        most.append(max(rays))
    assert most in ([64, 16], [48, 16])
