"""Masks of photos in the layouts of LERF-Mask, 3D-OVS and LERF-OVS."""

import json

import numpy as np
import pytest
from photo_scenes import write_colmap, write_llff, write_photo, write_png

from semantic_field_ros.evaluation.open_truth import open_truth
from semantic_field_ros.evaluation.photo_truth import smallest_on_top
from semantic_field_ros.stream.open import open_source

PHOTOS = ("a.png", "b.png", "c.png")


def block(rows, columns, size=(30, 40)):
    """A mask (0 or 255) that is white in some rows and columns."""
    mask = np.zeros(size, np.uint8)
    mask[slice(*rows), slice(*columns)] = 255
    return mask


BOWL, EGG = block((0, 20), (0, 20)), block((5, 10), (5, 10))


def truth_of(scene, **options):
    source = open_source(str(scene), **options)
    return open_truth(source), list(source)


@pytest.fixture
def lerf_mask(tmp_path):
    """b.png is no training photo; its folder counts the photos that are none."""
    scene = write_colmap(tmp_path, PHOTOS)
    for name in ("a.png", "c.png"):
        write_photo(scene / "images_train" / name)
    write_png(scene / "test_mask/0/yellow bowl.png", BOWL, np.uint8)
    write_png(scene / "test_mask/0/egg.png", EGG, np.uint8)
    return scene


def test_lerf_mask_counts_the_photos_that_are_not_for_training(lerf_mask):
    truth, frames = truth_of(lerf_mask)
    assert [truth.knows(frame) for frame in frames] == [False, True, False]
    assert truth.labelled == {frames[1].stamp_ns}
    assert {thing.phrase: i for i, thing in truth.things.items()} == {"egg": 1, "yellow bowl": 2}
    assert not truth.lists_everything and not truth.names_every_place
    with pytest.raises(ValueError, match="no labelled photo has stamp"):
        truth.of(frames[0])


def test_masks_may_overlap_and_the_smallest_is_on_top(lerf_mask):
    truth, frames = truth_of(lerf_mask)
    view = truth.of(frames[1])
    np.testing.assert_array_equal(view.mask([2]), BOWL > 0)  # the egg in it included
    np.testing.assert_array_equal(view.mask([1]), EGG > 0)
    assert view.mask([1, 2]).sum() == 400 and not view.mask([7]).any()
    assert np.count_nonzero(view.instance == 1) == 25
    assert np.count_nonzero(view.instance == 2) == 375
    assert np.isnan(view.depth_m).all()
    np.testing.assert_array_equal(view.world_from_camera, frames[1].world_from_camera)
    assert view.camera == frames[1].camera


def test_masks_follow_the_size_of_the_frame(lerf_mask):
    truth, frames = truth_of(lerf_mask)
    small = truth.of(frames[1]).resized(20, 15)
    assert small.mask([2]).shape == (15, 20) and small.mask([2]).sum() == 100
    write_png(lerf_mask / "test_mask/0/egg.png", EGG[::2, ::2], np.uint8)  # half as large
    truth, frames = truth_of(lerf_mask)
    assert truth.of(frames[1]).mask([1]).shape == (30, 40)


def test_views_can_be_named_after_their_photos(lerf_mask):
    (lerf_mask / "test_mask/0").rename(lerf_mask / "test_mask/c")
    truth, frames = truth_of(lerf_mask)
    assert [truth.knows(frame) for frame in frames] == [False, False, True]


def test_masks_are_undistorted_like_their_photo(lerf_mask):
    before, _ = truth_of(lerf_mask)
    bent = (1, "SIMPLE_RADIAL", 40, 30, (35.0, 20.0, 15.0, 0.3))
    write_colmap(lerf_mask, PHOTOS, bent)
    truth, frames = truth_of(lerf_mask)
    view = truth.of(frames[1])
    assert view.camera == frames[1].camera and view.camera.fx != 35.0
    assert view.mask([2]).sum() != before.at(frames[1].stamp_ns).mask([2]).sum()


@pytest.fixture
def ovs_3d(tmp_path):
    scene = write_llff(tmp_path, PHOTOS)
    (scene / "segmentations/02").mkdir(parents=True)
    (scene / "segmentations/classes.txt").write_text("wood wall\nbanana\n\n")
    write_png(scene / "segmentations/02/banana.png", BOWL, np.uint8)
    write_png(scene / "segmentations/02/wood wall.png", 255 - BOWL, np.uint8)
    return scene


def test_3d_ovs_counts_photos_and_names_every_place(ovs_3d):
    truth, frames = truth_of(ovs_3d)
    assert [truth.knows(frame) for frame in frames] == [False, False, True]
    assert truth.names_every_place
    assert [thing.phrase for thing in truth.things.values()] == ["banana", "wood wall"]
    assert np.count_nonzero(truth.of(frames[2]).instance == 1) == 400
    assert np.count_nonzero(truth.of(frames[2]).instance == 2) == 800


def polygons(name="b.jpg"):
    square = [[0, 0], [9, 0], [9, 9], [0, 9]]
    other = [[20, 20], [24, 20], [24, 24], [20, 24]]
    objects = [
        {"category": "mug", "segmentation": square, "bbox": [0, 0, 9, 9]},
        {"category": "mug", "segmentation": other, "bbox": [20, 20, 24, 24]},
        {"category": "spoon", "segmentation": other, "bbox": [20, 20, 24, 24]},
    ]
    return json.dumps({"info": {"name": name, "width": 40, "height": 30}, "objects": objects})


@pytest.mark.parametrize("place", ["label", "../label/scene"])
def test_lerf_ovs_draws_polygons(tmp_path, place):
    scene = write_colmap(tmp_path / "scene", PHOTOS)
    (scene / place).mkdir(parents=True)
    (scene / place / "b.json").write_text(polygons())
    truth, frames = truth_of(scene)
    assert [thing.phrase for thing in truth.things.values()] == ["mug", "spoon"]
    view = truth.of(frames[1])
    assert view.mask([1]).sum() == 100 + 25 and view.mask([2]).sum() == 25


def test_labels_of_unknown_photos_are_left_out_but_not_all_of_them(lerf_mask, caplog):
    write_png(lerf_mask / "test_mask/7/egg.png", EGG, np.uint8)
    truth, _ = truth_of(lerf_mask)
    assert len(truth.labelled) == 1 and "no photo with a pose belongs to" in caplog.text
    (lerf_mask / "test_mask/0").rename(lerf_mask / "test_mask/9")
    with pytest.raises(ValueError, match="labels of the photos"):
        truth_of(lerf_mask)


@pytest.mark.parametrize("text", ["{", "{}", '{"info": {"width": 4}, "objects": []}', "[1]"])
def test_broken_polygons_are_refused(tmp_path, text):
    scene = write_colmap(tmp_path, PHOTOS)
    (scene / "label").mkdir()
    (scene / "label/b.json").write_text(text)
    with pytest.raises(ValueError, match="b.json must hold info and objects"):
        truth_of(scene)


def test_a_broken_mask_is_refused_when_it_is_asked_for(lerf_mask):
    (lerf_mask / "test_mask/0/egg.png").write_bytes(b"\x89PNG")
    truth, frames = truth_of(lerf_mask)
    with pytest.raises(ValueError, match="egg.png must be an image of a mask"):
        truth.of(frames[1])


def test_photos_without_labels_have_no_truth(tmp_path):
    assert truth_of(write_colmap(tmp_path))[0] is None


def test_smallest_on_top():
    whole, part = np.ones((2, 3), bool), np.array([[1, 0, 0], [0, 0, 0]], bool)
    assert smallest_on_top({1: part, 2: whole}).tolist() == [[1, 2, 2], [2, 2, 2]]
