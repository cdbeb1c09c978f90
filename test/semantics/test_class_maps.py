import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.semantics.class_maps import name_regions, rank_regions, tile_classes
from semantic_field_ros.semantics.language_views import LanguageView
from semantic_field_ros.types import PinholeCamera, TileLevel, TilePyramid

A, B, C = np.eye(3, dtype=np.float32)


def test_each_region_takes_its_most_frequent_class_small_ones_on_top():
    #              in the large region       in both   outside
    classes = np.array([0, 0, 0, 1, 1, 2, 2, 1, 1, 2])
    large = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], bool)
    small = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0], bool)
    ranked = rank_regions(classes, np.stack([large, small]))
    assert ranked.tolist() == [0, 0, 0, 0, 0, 2, 2, 2, 1, 2]
    assert classes[3] == 1  # what was given stays


def test_a_region_without_a_clear_majority_can_be_left_alone():
    classes, region = np.array([0, 0, 0, 1, 2]), np.array([[1, 1, 1, 1, 0]], bool)
    assert rank_regions(classes, region, least_share=0.75).tolist() == [0, 0, 0, 0, 2]
    assert rank_regions(classes, region, least_share=0.76).tolist() == [0, 0, 0, 1, 2]


def test_without_regions_nothing_changes():
    classes = np.array([2, 0, 1])
    assert rank_regions(classes, np.zeros((0, 3), bool)).tolist() == [2, 0, 1]
    assert rank_regions(classes, np.zeros((1, 3), bool)).tolist() == [2, 0, 1]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.data())
def test_a_region_has_one_class_that_some_of_its_pixels_had(classes, data):
    size = len(classes)
    region = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    ranked = rank_regions(np.array(classes), region[None])
    assert len(set(ranked[region])) <= 1
    assert set(ranked[region]) <= set(np.array(classes)[region])
    np.testing.assert_array_equal(ranked[~region], np.array(classes)[~region])


def test_the_surest_scale_names_a_pixel_and_its_feature():
    unsure = (A + B) / np.sqrt(2)
    small = np.stack([A, unsure]).astype(np.float16)[None]
    large = np.stack([unsure, B]).astype(np.float16)[None]
    levels = [TileLevel(s, (0.0, 0.0), (4.0, 1.0), v) for s, v in ((2.0, small), (6.0, large))]
    view = LanguageView(
        camera=PinholeCamera(8, 4, 5.0, 5.0, 3.5, 1.5),
        world_from_camera=np.eye(4),
        uv=np.array([[0, 0], [4, 0]], np.float32),
        depth_m=np.full(2, np.nan, np.float32),
        regions=np.zeros((0, 2), bool),
        dense=None,
        pyramid=TilePyramid(tuple(levels), 0),
        language=np.zeros((0, 3), np.float16),
    )
    classes = np.stack([C, A, B])
    class_of_pixel, tiles = tile_classes(view, classes, temperature=0.07, largest=2.0)
    assert class_of_pixel.tolist() == [1, 2]
    assert tiles.side_px.tolist() == [2, 6]
    np.testing.assert_allclose(tiles.features(view.uv, np.array([1, 0])), [B, A])
    _, tiles = tile_classes(view, classes, temperature=0.07, largest=1.0)  # 4 pixels
    assert tiles.side_px.tolist() == [2, 2]


def test_named_regions_lie_on_each_other():
    large, small = np.array([1, 1, 1, 0], bool), np.array([0, 1, 0, 0], bool)
    named = name_regions(np.array([3, 3, 3, 3]), np.stack([large, small]), np.array([1, 2]))
    assert named.tolist() == [1, 2, 1, 3]
