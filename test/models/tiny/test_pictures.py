import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.models.tiny.augment import (
    crop_and_flip,
    like_a_neighbour,
    recolour,
    sensor_look,
)
from semantic_field_ros.models.tiny.data import (
    PictureStore,
    read_pictures,
    render_world,
    write_pictures,
)
from semantic_field_ros.models.tiny.prompts import PromptSampler, interior_most
from semantic_field_ros.models.tiny.regions import disturb, name_of, piece, regions_of


def test_pictures_come_back_as_written(store):
    pictures = store.worlds["table_002000"]
    again = read_pictures(store.folder / "table_002000.json")
    np.testing.assert_array_equal(again.rgb, pictures.rgb)
    assert again.things == pictures.things
    assert pictures.rgb.shape == (4, 240, 320, 3)


def test_half_written_worlds_are_not_seen(store, tmp_path):
    (tmp_path / "table_002002.rgb.npy").write_bytes(b"")
    with pytest.raises(ValueError, match="no pictures"):
        PictureStore(tmp_path)


def test_rooms_are_drawn_as_often_as_tables_however_few_they_are(store, tmp_path):
    for name in ("table_002000", "table_002001", "table_002002", "room_002003"):
        write_pictures(tmp_path, replace(store.worlds["table_002000"], name=name))
    rng = np.random.default_rng(0)
    drawn = Counter(PictureStore(tmp_path).draw(rng)[0].name for _ in range(600))
    assert 250 < drawn["room_002003"] < 350
    assert 70 < drawn["table_002002"] < 130


def test_a_world_renders_to_pictures():
    pictures = render_world(2001, views=1)
    assert pictures.rgb.shape == (1, 240, 320, 3) and pictures.rgb.dtype == np.uint8
    seen = set(np.unique(pictures.instance).tolist()) - {0}
    assert seen and seen <= set(pictures.things)
    json.dumps([thing.phrase for thing in pictures.things.values()])


def test_crops_keep_colour_and_instance_together(store):
    pictures = store.worlds["table_002000"]
    rng = np.random.default_rng(0)
    for _ in range(10):
        rgb, ids = crop_and_flip(pictures.rgb[0], pictures.instance[0], (192, 256), rng)
        assert rgb.shape == (192, 256, 3) and ids.shape == (192, 256)
        inside = ids == 1
        if inside.sum() > 200:
            assert np.median(rgb[inside], axis=0).tolist() == [200, 20, 20]


def test_the_sensor_look_keeps_shape_and_type(store):
    rgb = np.ascontiguousarray(store.worlds["table_002000"].rgb[0])
    rng = np.random.default_rng(0)
    for _ in range(20):
        changed = recolour(sensor_look(rgb, rng), rng)
        assert changed.shape == rgb.shape and changed.dtype == np.uint8


def test_an_object_takes_the_colour_of_what_it_touches_and_keeps_its_shading():
    instance = np.full((40, 60), 1, np.int32)
    instance[10:30, 20:40] = 2
    rgb = np.where((instance == 1)[..., None], [200, 40, 40], [30, 30, 90]).astype(np.uint8)
    rgb[20:30, 20:40] *= 2  # its lower half is twice as bright: 60, 60, 180 below 30, 30, 90
    alike = like_a_neighbour(rgb, instance, frozenset({2}), np.random.default_rng(0))
    np.testing.assert_array_equal(alike[:9], rgb[:9])
    np.testing.assert_allclose(alike[15, 30], np.array([200, 40, 40]) * 2 / 3, atol=1)
    np.testing.assert_allclose(alike[25, 30], [255, 40 * 4 / 3, 40 * 4 / 3], atol=1)


def test_a_picture_without_objects_keeps_its_colours(store):
    rgb = np.ascontiguousarray(store.worlds["table_002000"].rgb[0])
    instance = store.worlds["table_002000"].instance[0]
    alike = like_a_neighbour(rgb, instance, frozenset(), np.random.default_rng(0))
    np.testing.assert_array_equal(alike, rgb)


def test_interior_most():
    mask = np.zeros((20, 30), bool)
    mask[2:13, 5:16] = True
    assert interior_most(mask) == (10, 7)
    edge = np.ones((5, 5), bool)
    assert interior_most(edge) == (2, 2)


@pytest.mark.parametrize("kind", ["click", "corrected", "box"])
def test_prompts_mean_what_they_say(store, kind):
    instance = store.worlds["table_002000"].instance[1].astype(np.int32)
    batch = PromptSampler(instance, frozenset({1, 2}), np.random.default_rng(0)).draw(30, kind)
    for id, points, labels in zip(batch.ids, batch.points_px, batch.labels, strict=True):
        for (u, v), label in zip(points.astype(int), labels, strict=True):
            if label >= 0:
                assert (instance[v, u] == id) == bool(label)
    assert (batch.boxes_px is not None) == (kind == "box")
    assert set(np.round(batch.weight, 2)) <= {1.0, np.float32(0.35)}


def test_no_prompts_on_nothing():
    sampler = PromptSampler(np.zeros((40, 40), np.int32), frozenset(), np.random.default_rng(0))
    assert sampler.draw(3, "click") is None


@given(st.integers(0, 10_000))
def test_a_piece_of_a_surface_is_a_part_of_it_in_one_place(seed):
    wall = np.zeros((240, 320), bool)
    wall[:, 100:] = True
    part = piece(wall, np.random.default_rng(seed))
    assert part.any() and not (part & ~wall).any()
    height, width = np.ptp(np.nonzero(part), axis=1)
    assert max(height, width) <= 2 * 320 / 3


def test_disturbed_masks_stay_on_the_thing():
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    rng = np.random.default_rng(0)
    for _ in range(50):
        changed = disturb(mask, ~mask, rng)
        assert (changed & mask).sum() >= 0.3 * mask.sum()


def test_regions_are_named(store):
    regions = regions_of(store.worlds["table_002000"], 0, 64, np.random.default_rng(0))
    assert {name_of(r.thing) for r in regions} >= {("red", "mug"), ("blue", "book")}
    assert all(r.crop.shape == (64, 64, 3) for r in regions)
