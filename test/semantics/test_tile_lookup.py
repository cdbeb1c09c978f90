import numpy as np

from semantic_field_ros.semantics.tile_lookup import cells_at, lookup
from semantic_field_ros.types import TileLevel, TilePyramid

X, Y, Z = np.eye(3, dtype=np.float16)


def pyramid():
    """Two levels of two tiles: x and y side by side, and z everywhere."""
    small = TileLevel(10.0, (10.0, 20.0), (20.0, 1.0), np.stack([X, Y])[None])
    large = TileLevel(30.0, (10.0, 20.0), (20.0, 1.0), np.stack([Z, Z])[None])
    return TilePyramid((small, large), 0)


def at(u, side):
    return lookup(pyramid(), np.array([[u, 20.0]], np.float32), np.array([side], np.float32))[0]


def test_tiles_centres_and_scales_are_met_exactly():
    np.testing.assert_allclose(at(10, 10), X)
    np.testing.assert_allclose(at(30, 10), Y)
    np.testing.assert_allclose(at(17, 30), Z)


def test_between_them_it_is_linear_and_of_unit_length():
    # a quarter of the way from x to y, halfway up to z: (0.375, 0.125, 0.5) / 0.637377
    np.testing.assert_allclose(at(15, 20), [0.58835, 0.19612, 0.78446], atol=1e-4)


def test_outside_the_nearest_counts():
    np.testing.assert_allclose(at(-5, 2), X)
    np.testing.assert_allclose(at(99, 99), Z)


def test_a_pyramid_of_one_level_has_one_scale():
    single = TilePyramid(pyramid().levels[:1], 0)
    uv, side = np.array([[30.0, 20.0]], np.float32), np.array([500.0], np.float32)
    np.testing.assert_allclose(lookup(single, uv, side)[0], Y)


def test_cells_fill_the_image_evenly():
    cells = np.arange(4, dtype=np.float16).reshape(2, 2, 1)  # an image of 4 x 8: cells of 2 x 4
    uv = np.array([[1.5, 0.5], [5.5, 2.5], [3.5, 1.5], [0.0, 0.0]], np.float32)
    assert cells_at(cells, uv, (4, 8))[:, 0].tolist() == [0, 3, 1.5, 0]
