"""Reading a pyramid of tiles, or a map of cells, between its samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import TileLevel, TilePyramid

Floats = NDArray[np.float32]


def lookup(pyramid: TilePyramid, uv: Floats, side_px: Floats) -> Floats:
    """(R, D) unit vectors at (R, 2) pixels and (R,) scales, trilinear (LERF, section 3.3).

    Scales outside those of the pyramid, and pixels outside its outermost centres, are clamped.
    """
    sides = np.array([level.side_px for level in pyramid.levels])
    place = np.interp(side_px, sides, np.arange(len(sides)))
    below = np.minimum(place.astype(np.int64), max(len(sides) - 2, 0))
    above = np.minimum(below + 1, len(sides) - 1)
    share = (place - below)[:, None].astype(np.float32)
    dim = pyramid.levels[0].vectors.shape[2]
    vectors = np.zeros((len(uv), dim), np.float32)
    for number, level in enumerate(pyramid.levels):
        for neighbour, weight in ((below, 1 - share), (above, share)):
            rays = np.flatnonzero((neighbour == number) & (weight[:, 0] > 0))
            vectors[rays] += weight[rays] * level_at(level, uv[rays])
    return unit(vectors)


def level_at(level: TileLevel, uv: Floats) -> Floats:
    """(R, D) vectors of one level at (R, 2) pixels, bilinear, not of unit length."""
    at = (uv - np.array(level.first_px)) / np.array(level.stride_px)
    return bilinear(level.vectors, at)


def cells_at(cells: NDArray[np.float16], uv: Floats, size: tuple[int, int]) -> Floats:
    """(R, K) bilinear values of (rows, columns, K) cells that fill an (H, W) image evenly."""
    per_cell = np.array([size[1] / cells.shape[1], size[0] / cells.shape[0]])
    return bilinear(cells, (uv + 0.5) / per_cell - 0.5)


def bilinear(table: NDArray[np.float16], at: NDArray[np.floating]) -> Floats:
    """(R, D) values of a (rows, columns, D) table at (R, 2) (column, row), clamped to it."""
    rows, columns = table.shape[:2]
    at = np.clip(at, 0, (columns - 1, rows - 1))
    low = at.astype(np.int64)
    high = np.minimum(low + 1, (columns - 1, rows - 1))
    x, y = (at - low).astype(np.float32).T[:, :, None]
    top = (1 - x) * table[low[:, 1], low[:, 0]] + x * table[low[:, 1], high[:, 0]]
    bottom = (1 - x) * table[high[:, 1], low[:, 0]] + x * table[high[:, 1], high[:, 0]]
    return np.asarray((1 - y) * top + y * bottom, np.float32)


def unit(vectors: Floats) -> Floats:
    """Vectors of length 1 along the last axis; zeros stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)
