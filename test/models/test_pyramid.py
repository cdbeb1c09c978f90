import dataclasses

import numpy as np
import pytest

from semantic_field_ros.config import PyramidConfig
from semantic_field_ros.models.base import Calibration, LanguageModel
from semantic_field_ros.models.partition import Partition
from semantic_field_ros.models.pyramid import (
    PyramidBuilder,
    TileLattice,
    boxed_tile,
    plan_tiles,
    stand_ins,
    surrounded_tile,
)
from semantic_field_ros.types import MaskProposal

THREE = PyramidConfig(smallest=0.1, largest=0.4, levels=3, override="none")  # 4, 10, 16 px of 40


class MeanColour(LanguageModel):
    """The vector of a crop is the direction of its mean colour."""

    dim = 3
    calibration = Calibration()
    crop_px = 8

    def __init__(self):
        self.batches = []

    def encode_crops(self, images):
        self.batches.append(len(images))
        mean = np.stack([image.reshape(-1, 3).mean(0) + 1e-3 for image in images])
        return (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)

    def encode_text(self, phrases):
        return np.tile(np.eye(1, 3, dtype=np.float32), (len(phrases), 1))


def test_tiles_lie_inside_the_image_at_most_half_a_tile_apart():
    plan = plan_tiles((40, 60), THREE, most_tiles=10_000)
    assert [lattice.side_px for lattice in plan.lattices] == [4, 10, 16]
    large = plan.lattices[2]
    np.testing.assert_allclose(large.v, [7.5, 15.5, 23.5, 31.5])  # edges at 0 and 40
    assert large.u[[0, -1]].tolist() == [7.5, 51.5]
    assert np.diff(large.u).max() <= 8
    assert plan.left_out == 0


def test_a_short_budget_thins_fine_tiles_and_leaves_out_the_finest():
    whole = [len(lattice) for lattice in plan_tiles((40, 60), THREE, 10_000).lattices]
    assert whole == [29 * 19, 11 * 7, 7 * 4]
    plan = plan_tiles((40, 60), THREE, most_tiles=60)
    # 28 large ones; 32 of 77 left for the middle: 7 columns and 4 rows; nothing for the finest
    assert [len(lattice) for lattice in plan.lattices] == [28, 28]
    assert plan.left_out == (77 - 28) + 29 * 19


def test_the_largest_tiles_are_there_without_any_budget():
    plan = plan_tiles((40, 60), THREE, most_tiles=0)
    assert [lattice.side_px for lattice in plan.lattices] == [16]


def boxes(*sides):
    """Segments of these sides, one beside the other; the middle tile of each is its own."""
    label = np.zeros((max(sides), sum(sides)), np.int32)
    corners, left = [], 0
    for number, side in enumerate(sides):
        label[:, left : left + side] = number
        corners.append([left, 0, side, side])
        left += side
    return Partition(label, np.array(corners))


def test_a_segment_replaces_tiles_of_its_own_scale_only():
    # scales 10, 20, 40: level 0 takes 0 < s <= 22, level 1 takes 11 < s <= 44, the last s >= 40
    segments = boxes(11, 12, 22, 23, 44, 45, 39)
    middles = segments.middles_px()
    levels = [TileLattice(side, middles[:, 0], np.array([5.0])) for side in (10, 20, 40)]
    chosen = stand_ins(levels, segments, "full")
    assert chosen[0].tolist() == [0, 1, 2, -1, -1, -1, -1]
    assert chosen[1].tolist() == [-1, 1, 2, 3, 4, -1, 6]
    assert chosen[2].tolist() == [-1, -1, -1, -1, 4, 5, -1]


def test_a_segment_is_used_once_per_scale_for_the_tile_nearest_to_its_middle():
    segments = boxes(20, 20)
    tiles = TileLattice(20, np.array([2.0, 8.0, 16.0, 25.0, 31.0]), np.array([9.0]))
    larger = TileLattice(40, np.array([9.0]), np.array([9.0]))
    chosen = stand_ins([tiles, larger], segments, "full")
    assert chosen[0].tolist() == [-1, 0, -1, -1, 1]


def test_single_scale_replaces_every_tile_of_the_largest_scale():
    segments = boxes(4, 30)
    levels = [TileLattice(side, np.array([2.0, 12.0, 20.0]), np.array([3.0])) for side in (4, 8)]
    chosen = stand_ins(levels, segments, "single_scale")
    assert [c.tolist() for c in chosen] == [[-1, -1, -1], [0, 1, 1]]
    assert [c.tolist() for c in stand_ins(levels, segments, "none")] == [[-1] * 3] * 2


def test_the_tile_of_a_box_lies_between_zeros():
    rgb = np.full((10, 10, 3), 7, np.uint8)
    tile = boxed_tile(rgb, np.array([1, 2, 6, 2]))
    assert tile.shape == (6, 6, 3)
    assert tile[:, 0, 0].tolist() == [0, 0, 7, 7, 0, 0]


def test_or_between_what_is_around_it():
    rgb = np.arange(100, dtype=np.uint8).repeat(3).reshape(10, 10, 3)
    tile = surrounded_tile(rgb, np.array([2, 4, 4, 2]))  # 4 pixels and 12 % on either side: 5
    np.testing.assert_array_equal(tile, rgb[2:7, 2:7])


def test_vectors_are_those_of_the_tiles_in_one_batch():
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[:, :30, 0], rgb[:, 30:, 1] = 200, 200
    language = MeanColour()
    pyramid = PyramidBuilder(language, THREE).encode(rgb, (), 10_000)
    assert language.batches == [29 * 19 + 11 * 7 + 7 * 4]
    for level in pyramid.levels:
        assert np.abs(level.vectors[:, 0] - [1, 0, 0]).max() < 0.01
        assert np.abs(level.vectors[:, -1] - [0, 1, 0]).max() < 0.01
    large = pyramid.levels[-1]
    assert (large.side_px, large.first_px) == (16.0, (7.5, 7.5))
    assert large.stride_px == pytest.approx((44 / 6, 8.0))


def test_the_crop_of_a_segment_takes_the_place_of_its_tile():
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[..., 1] = 200
    mask = np.zeros((40, 60), bool)
    mask[8:20, 10:20] = True  # 12 px: fits between 1.1·4 and 1.1·16
    rgb[mask] = (200, 0, 0)
    config = dataclasses.replace(THREE, override="full", padding="zeros")
    builder = PyramidBuilder(MeanColour(), config)
    middle = builder.encode(rgb, [MaskProposal.from_mask(mask, 0.9)], 10_000).levels[1]
    red = np.argwhere(middle.vectors[..., 0] > 0.99)
    assert red.tolist() == [[2, 2]]  # the tile at (14.5, 14.5)


def test_the_budget_is_counted_in_tiles_of_the_pace_so_far():
    rgb = np.zeros((40, 60, 3), np.uint8)
    slow = PyramidBuilder(MeanColour(), PyramidConfig(budget_s=0.0))
    assert slow.build(rgb, ()).levels  # nothing is known about the pace yet
    assert [level.side_px for level in slow.build(rgb, ()).levels] == [20.0]
    fast = PyramidBuilder(MeanColour(), PyramidConfig(budget_s=1e6))
    fast.build(rgb, ())
    assert fast.build(rgb, ()).left_out == 0
