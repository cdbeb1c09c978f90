import dataclasses

import numpy as np
import pytest

from semantic_field_ros.config import GridConfig, OvNerfConfig
from semantic_field_ros.models.base import Calibration
from semantic_field_ros.semantics import frozen_ovnerf
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.semantics.frozen_ovnerf import FrozenOvNerf
from semantic_field_ros.semantics.ovnerf import OvNerf
from semantic_field_ros.types import ImaginedView

CLASSES = ("one", "two", "three", "none")
SMALL = OvNerfConfig(
    CLASSES, GridConfig(levels=5, log2_entries=12), hidden=32, rays=192, run_steps=150
)
SHORT = dataclasses.replace(SMALL, run_steps=60)


def views(wall, count=5):
    return [wall.keyframe(number, -0.2 + 0.1 * number) for number in range(count)]


def trained(wall, config=SMALL, steps=150, keyframes=None, setup=None):
    method = OvNerf(config, setup or wall.setup)
    for keyframe in keyframes or views(wall):
        method.observe(keyframe)
    for _ in range(steps):
        method.step(wall.quadrature)
    return method


def classes_on_surface(wall, method, classes):
    surface = wall.surface()
    surface = wall.surface({"ovnerf": method.surface_features(surface.points)})
    return method.freeze().class_scores(surface, classes).argmax(axis=1), surface.points


def wrong_tiles(wall, keyframe, share, seed):
    """Tiles of which a share is another class's, as the same in every view as chance is."""
    rng = np.random.default_rng(seed)
    pyramid, levels = keyframe.features.pyramid, []
    for level in pyramid.levels:
        vectors = level.vectors.copy()
        wrong = rng.random(vectors.shape[:2]) < share
        vectors[wrong] = wall.language[rng.integers(3, size=int(wrong.sum()))]
        levels.append(dataclasses.replace(level, vectors=vectors))
    pyramid = dataclasses.replace(pyramid, levels=tuple(levels))
    keyframe.features = dataclasses.replace(keyframe.features, pyramid=pyramid)
    return keyframe


def test_every_place_gets_its_class(wall):
    method = trained(wall)
    found, points = classes_on_surface(wall, method, wall.language[[0, 1, 2, 7]])
    for picture in range(wall.pictures):
        assert (found[wall.inside(points, picture)] == picture).mean() > 0.95


def test_other_classes_can_be_asked_for_than_were_trained_on(wall):
    method = trained(wall)
    found, points = classes_on_surface(wall, method, wall.language[[4, 2]])
    assert (found[wall.inside(points, 2)] == 1).mean() > 0.95


def test_a_phrase_finds_its_picture(wall):
    method = trained(wall)
    surface = wall.surface({"ovnerf": method.surface_features(wall.surface().points)})
    best = method.freeze().text_regions(
        surface, wall.language[1], wall.language[6:], Calibration()
    )[0]
    assert best.score > 0.9
    assert wall.inside(surface.points[best.indices], 1).mean() > 0.9


def test_a_phrase_of_the_list_competes_with_the_rest_of_it(wall, monkeypatch):
    """Two places that are just what the classes are; they resemble each other by 0.8."""
    classes = np.array([[1, 0, 0], [0.8, 0.6, 0]], np.float32)
    monkeypatch.setattr(frozen_ovnerf, "language_at", lambda head, encoded: classes)
    surface = dataclasses.replace(wall.surface(), features={"ovnerf": None})
    frozen = FrozenOvNerf("ovnerf", None, classes, 0.1, trained=True)

    def relevancies(phrase):
        against = np.array([[0, 0, 1]], np.float32)
        phrase = np.array(phrase, np.float32)
        return frozen.relevancy(surface, phrase, against, Calibration(temperature=10.0)).tolist()

    assert relevancies([1, 0, 0]) == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))])
    between = [0.6, 0.8, 0]  # none of the list
    assert relevancies(between) == pytest.approx([1 / (1 + np.exp(-6)), 1 / (1 + np.exp(-9.6))])


@pytest.mark.parametrize("ranking", ["majority", "language"])
def test_regions_make_the_targets_of_a_view_whole(wall, ranking):
    method = OvNerf(dataclasses.replace(SMALL, ranking=ranking), wall.setup)
    method.observe(wrong_tiles(wall, wall.keyframe(0, 0.0), 0.3, seed=1))
    target = method._captured[0]
    for region, vector in zip(target.view.regions, target.view.language, strict=True):
        assert set(target.class_of_pixel[region]) == {int(vector.argmax())}


def test_without_ranking_the_tiles_keep_their_errors(wall):
    method = OvNerf(dataclasses.replace(SMALL, ranking="none"), wall.setup)
    method.observe(wrong_tiles(wall, wall.keyframe(0, 0.0), 0.3, seed=1))
    target = method._captured[0]
    for region in target.view.regions:
        assert len(set(target.class_of_pixel[region])) > 1


def test_the_fields_own_classes_come_in_on_time_and_are_renewed(wall):
    method = OvNerf(SHORT, wall.setup)
    method.observe(wall.keyframe(0, 0.0))
    tiles = method._captured[0].class_of_pixel
    renewed = []
    for step in range(1, 60):
        method.step(wall.quadrature)
        if method._captured[0].class_of_pixel is not tiles:
            renewed.append(step)
            tiles = method._captured[0].class_of_pixel
    # two thirds of 60 steps are over after 40; a fifteenth is 4
    assert renewed == [41, 45, 49, 53, 57]


@pytest.mark.parametrize(("steps", "due"), [(10, 40), (30, 50), (100, 120)])
def test_a_view_that_comes_late_has_a_clock_of_its_own(wall, steps, due):
    method = trained(wall, SHORT, steps, views(wall, 1))
    method.observe(wall.keyframe(9, 0.1))
    assert method._captured[9].due_step == due


def test_corrections_of_poses_do_not_keep_the_fields_own_classes_out(wall):
    method = OvNerf(SHORT, wall.setup)
    method.observe(wall.keyframe(0, 0.0))
    renewed = []
    for step in range(1, 60):
        if step % 5 == 0:
            method.poses_changed()
            method.observe(wall.keyframe(0, 0.001 * step))
        before = method._captured[0].class_of_pixel
        method.step(wall.quadrature)
        if method._captured[0].class_of_pixel is not before:
            renewed.append(step)
    assert renewed == [41, 45, 49, 53, 57]


def test_a_view_that_moved_keeps_its_time_until_it_is_evicted(wall):
    """Two thirds of 60 steps, or half as many from when it comes as a new one: 40, or 30 + 20."""
    method = trained(wall, SHORT, 30, views(wall, 2))
    method.poses_changed()
    method.poses_changed()  # before any was observed again
    method.forget(1)
    for keyframe in views(wall, 2):
        method.observe(keyframe)
    assert {key: view.due_step for key, view in method._captured.items()} == {0: 40, 1: 50}


def test_without_enhancement_the_tiles_keep_the_say(wall):
    config = dataclasses.replace(SHORT, enhancement=False)
    method = OvNerf(config, wall.setup)
    method.observe(wall.keyframe(0, 0.0))
    tiles = method._captured[0].class_of_pixel
    for _ in range(70):
        method.step(wall.quadrature)
    assert method._captured[0].class_of_pixel is tiles


def imagined(wall, world_from_camera):
    size = (wall.camera.height, wall.camera.width)
    rgb, depth_m = np.zeros((*size, 3), np.uint8), np.full(size, wall.depth_m, np.float32)
    return ImaginedView(wall.camera, world_from_camera, rgb, depth_m)


def test_imagined_views_join_after_the_field_knows_something(wall):
    method = trained(wall, SHORT, steps=20)
    unseen = wall.keyframe(50, 0.05)
    view = imagined(wall, unseen.frame.world_from_camera)
    assert method.imagining is Imagining.NOTHING
    method.imagine(view, unseen.features)  # for another method
    for _ in range(30):
        method.step(wall.quadrature)
    assert not method._imagined and method.imagining is Imagining.REGIONS
    method.imagine(view, unseen.features)
    assert method._imagined[0].class_of_pixel is None
    for _ in range(30):
        method.step(wall.quadrature)
    own = method._imagined[0]
    for picture, region in enumerate(own.view.regions):
        assert np.bincount(own.class_of_pixel[region]).max() > 0.7 * region.sum(), picture


def test_imagined_views_are_bounded_and_never_trained_on_alone(wall):
    config = dataclasses.replace(SMALL, novel_views=2, enhance_from=0.0)
    method, features = OvNerf(config, wall.setup), wall.keyframe(0, 0.0).features
    for _ in range(5):
        method.imagine(imagined(wall, np.eye(4)), features)
    assert len(method._imagined) == 2
    assert method.imagining is Imagining.NOTHING
    assert method.step(wall.quadrature) == {}


def test_each_new_keyframe_brings_an_imagined_view_in_place_of_the_oldest(wall):
    config = dataclasses.replace(SMALL, novel_views=2, enhance_from=0.0)
    method, features = OvNerf(config, wall.setup), wall.keyframe(0, 0.0).features

    def places_after(*places):
        for place in places:
            pose = np.eye(4)
            pose[0, 3] = place
            method.imagine(imagined(wall, pose), features)
        return [held.view.world_from_camera[0, 3] for held in method._imagined.values()]

    assert places_after(0.1, 0.2, 0.3) == [0.1, 0.2]
    method.observe(wall.keyframe(7, 0.0))
    assert method.imagining is Imagining.REGIONS
    assert places_after(0.4, 0.5) == [0.2, 0.4]
    method.observe(wall.keyframe(7, 0.0))  # nothing new
    assert method.imagining is Imagining.NOTHING
    for keyframe in views(wall):
        method.observe(keyframe)
    assert places_after(0.6, 0.7, 0.8) == [0.6, 0.7]
    method.step(wall.quadrature)  # renews one of them, which keeps its place in the queue
    method.observe(wall.keyframe(8, 0.0))
    assert places_after(0.9) == [0.7, 0.9]


def test_imagined_views_come_again_after_poses_were_corrected(wall):
    config = dataclasses.replace(SMALL, novel_views=2, enhance_from=0.0)
    method, features = OvNerf(config, wall.setup), wall.keyframe(0, 0.0).features
    for _ in range(2):
        for _ in range(3):
            method.imagine(imagined(wall, np.eye(4)), features)
        assert len(method._imagined) == 2 and method.imagining is Imagining.NOTHING
        method.poses_changed()
        assert not method._imagined and method.imagining is Imagining.REGIONS


def test_imagined_views_without_regions_take_no_room(wall):
    """Another method wanted their embedding alone, while this one wanted nothing yet."""
    config = dataclasses.replace(SMALL, novel_views=2, enhance_from=0.0)
    method = OvNerf(config, wall.setup)
    for shown in ((), (), (0, 1), ()):
        features = wall.keyframe(0, 0.0, shown).features
        method.imagine(imagined(wall, np.eye(4)), features)
    assert [len(held.view.regions) for held in method._imagined.values()] == [2]
    assert method.imagining is Imagining.REGIONS


def test_a_dense_model_adds_its_losses(wall):
    def with_dense(keyframe):
        cells = keyframe.features.embedding[:3, :6].transpose(1, 2, 0)
        keyframe.features = dataclasses.replace(keyframe.features, dense=cells)
        return keyframe

    setup = dataclasses.replace(wall.setup, dense_dim=3)
    method = trained(wall, steps=0, keyframes=[with_dense(k) for k in views(wall)], setup=setup)
    assert set(method.step(wall.quadrature)) == {"class", "feature", "dense", "alignment"}


@pytest.mark.parametrize("classes", [(), ("one",)])
def test_too_few_classes_are_refused(wall, classes):
    with pytest.raises(ValueError, match=r"at least two ovnerf\.classes"):
        OvNerf(dataclasses.replace(SMALL, classes=classes), wall.setup)
