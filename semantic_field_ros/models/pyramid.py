"""The multi-scale pyramid of an image's language vectors (LERF, and LERF with a panoptic prior).

Tiles of several sizes are encoded by the language model. The panoptic prior (Ji et al. 2024,
section 3.4) lets the crop of a segment stand in for the tile whose centre it holds, where their
sizes are alike; the segment keeps what is around it inside its box.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import PyramidConfig
from semantic_field_ros.models.base import Image, LanguageModel
from semantic_field_ros.models.crops import segment_crop, square_around
from semantic_field_ros.models.partition import Partition, partition
from semantic_field_ros.types import MaskProposal, TileLevel, TilePyramid

Ints = NDArray[np.int64]

#: a segment replaces tiles up to this factor beyond the neighbouring scales (section 3.4).
TOLERANCE = 1.1
#: weight of the newest image in the running mean of seconds per tile.
SMOOTHING = 0.2
#: tiles encoded before anything is known about the language model's pace.
FIRST_TILES = 64


@dataclass(frozen=True)
class TileLattice:
    """Centres of the tiles of one size; all tiles lie inside the image.

    Attributes:
        side_px: edge of a tile.
        u, v: (columns,) and (rows,) f64 evenly spaced centres, pixels.
    """

    side_px: int
    u: NDArray[np.float64]
    v: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.u) * len(self.v)

    def centres(self) -> NDArray[np.float64]:
        """(T, 2) (u, v), row by row."""
        u, v = np.meshgrid(self.u, self.v)
        return np.stack([u.ravel(), v.ravel()], axis=1)

    def level(self, vectors: NDArray[np.float32]) -> TileLevel:
        """With a vector (T, D) per tile."""
        table = vectors.reshape(len(self.v), len(self.u), -1).astype(np.float16)
        first = (float(self.u[0]), float(self.v[0]))
        return TileLevel(float(self.side_px), first, (_stride(self.u), _stride(self.v)), table)


def _stride(centres: NDArray[np.float64]) -> float:
    return float(centres[1] - centres[0]) if len(centres) > 1 else 1.0


@dataclass(frozen=True)
class TilePlan:
    """Lattices, smallest tiles first, and how many tiles they lack."""

    lattices: list[TileLattice]
    left_out: int


def plan_tiles(size: tuple[int, int], config: PyramidConfig, most_tiles: int) -> TilePlan:
    """Which tiles of an (H, W) image to encode, at most about `most_tiles`.

    Large tiles come first, because few of them say something about everything. A level that does
    not fit is laid wider, up to a whole tile apart, and is left out where that does not help: its
    tiles must not miss anything. The largest tiles are always there.
    """
    sizes = np.linspace(config.smallest, config.largest, config.levels) * size[0]
    lattices: list[TileLattice] = []
    left, left_out = most_tiles, 0
    for side in sorted({round(s) for s in sizes}, reverse=True):
        whole = _lattice(size, side, 1.0)
        lattice = whole
        if lattices and len(whole) > left:
            lattice = _lattice(size, side, math.sqrt(left / len(whole)))
        if lattices and len(lattice) > left:
            left_out += len(whole)
            continue
        lattices.insert(0, lattice)
        left = max(left - len(lattice), 0)
        left_out += len(whole) - len(lattice)
    return TilePlan(lattices, left_out)


def _lattice(size: tuple[int, int], side: int, share: float) -> TileLattice:
    """Tiles half a tile apart; `share` of as many in each direction, but no less than half."""
    side = max(1, min(side, *size))

    def centres(extent: int) -> NDArray[np.float64]:
        count = math.ceil((extent - side) / (side / 2)) + 1
        first, last = (side - 1) / 2, extent - 1 - (side - 1) / 2
        if count == 1:
            return np.array([(first + last) / 2])
        return np.linspace(first, last, max(math.ceil(count / 2), math.floor(count * share)))

    return TileLattice(side, centres(size[1]), centres(size[0]))


def stand_ins(lattices: Sequence[TileLattice], segments: Partition, override: str) -> list[Ints]:
    """Per level the (T,) segment whose crop replaces each tile, -1 where the tile stays.

    "full": on level i a segment of side s_x replaces the tile nearest to its middle among those
    with their centre in it if 1.1·s_{i−1} < s_x ≤ 1.1·s_{i+1}, s_{−1} = 0, or, on the last level,
    s_x ≥ s_max; so each segment is used at most once per scale. "single_scale": every tile of the
    largest scale is replaced by the segment that holds its centre. "none": nothing is.
    """
    none = [np.full(len(lattice), -1, np.int64) for lattice in lattices]
    if override == "none":
        return none
    held = [_segment_at(lattice.centres(), segments) for lattice in lattices]
    if override == "single_scale":
        return [*none[:-1], held[-1]]
    sides = segments.sides_px()
    scales = [0.0, *(float(lattice.side_px) for lattice in lattices)]
    chosen = []
    for i, lattice in enumerate(lattices):
        if i + 1 < len(lattices):
            fits = (sides > TOLERANCE * scales[i]) & (sides <= TOLERANCE * scales[i + 2])
        else:
            fits = sides >= scales[-1]
        chosen.append(_nearest_only(held[i], fits, lattice.centres(), segments))
    return chosen


def _segment_at(centres: NDArray[np.float64], segments: Partition) -> Ints:
    at = np.rint(centres).astype(np.int64)
    return segments.label[at[:, 1], at[:, 0]].astype(np.int64)


def _nearest_only(
    held: Ints, fits: NDArray[np.bool_], centres: NDArray[np.float64], segments: Partition
) -> Ints:
    """(T,) the fitting segment that holds each tile's centre, once each."""
    chosen = np.full(len(held), -1, np.int64)
    tiles = np.flatnonzero(fits[held])
    offset = centres[tiles] - segments.middles_px()[held[tiles]]
    order = tiles[np.argsort((offset**2).sum(axis=1), kind="stable")]
    segment, first = np.unique(held[order], return_index=True)
    chosen[order[first]] = segment
    return chosen


def boxed_tile(rgb: Image, box: Ints) -> Image:
    """The box (left, top, width, height) of an image in the middle of a square of zeros.

    The tile of Ji et al. 2024, section 3.3.
    """
    left, top, width, height = (int(v) for v in box)
    side = max(width, height)
    tile = np.zeros((side, side, 3), np.uint8)
    u, v = (side - width) // 2, (side - height) // 2
    tile[v : v + height, u : u + width] = rgb[top : top + height, left : left + width]
    return tile


def surrounded_tile(rgb: Image, box: Ints) -> Image:
    """The padded square around a box, as the language model's crops of masks are cut."""
    left, top, width, height = (int(v) for v in box)
    mask = np.zeros(rgb.shape[:2], np.bool_)
    mask[top : top + height, left : left + width] = True
    return segment_crop(rgb, mask, square_around(mask)[2], keep_background=True)


_SEGMENT_TILES: dict[str, Callable[[Image, Ints], Image]] = {
    "zeros": boxed_tile,
    "surroundings": surrounded_tile,
}


class PyramidBuilder:
    """Builds pyramids within a time that each image may take.

    Args:
        language: encodes tiles.
        config: sizes, time, override and padding.
    """

    def __init__(self, language: LanguageModel, config: PyramidConfig) -> None:
        self._language, self._config = language, config
        self._seconds_per_tile = 0.0

    def build(self, rgb: Image, proposals: Sequence[MaskProposal]) -> TilePyramid:
        """The pyramid of an image, with as many tiles as recent ones say there is time for."""
        started_s = time.monotonic()
        pyramid = self.encode(rgb, proposals, self._most_tiles())
        tiles = sum(level.vectors.shape[0] * level.vectors.shape[1] for level in pyramid.levels)
        spent_s = (time.monotonic() - started_s) / tiles
        old = self._seconds_per_tile or spent_s
        self._seconds_per_tile = old + SMOOTHING * (spent_s - old)
        return pyramid

    def _most_tiles(self) -> int:
        if not self._seconds_per_tile:
            return FIRST_TILES
        return int(self._config.budget_s / self._seconds_per_tile)

    def encode(self, rgb: Image, proposals: Sequence[MaskProposal], most: int) -> TilePyramid:
        """The pyramid of an image in about `most` tiles; all crops are encoded in one go."""
        size = rgb.shape[:2]
        plan = plan_tiles(size, self._config, most)
        segments = partition(proposals, size)
        cut = _SEGMENT_TILES[self._config.padding]
        replaced = stand_ins(plan.lattices, segments, self._config.override)
        used = np.unique(np.concatenate([r[r >= 0] for r in replaced]))
        crops = [cut(rgb, segments.boxes[s]) for s in used]
        which = []
        for lattice, segment in zip(plan.lattices, replaced, strict=True):
            own = np.flatnonzero(segment < 0)
            row = np.searchsorted(used, segment)
            row[own] = len(crops) + np.arange(len(own))
            crops += [_tile(rgb, centre, lattice.side_px) for centre in lattice.centres()[own]]
            which.append(row)
        vectors = self._language.encode_crops([self._prepared(crop) for crop in crops])
        levels = [
            lattice.level(vectors[row]) for lattice, row in zip(plan.lattices, which, strict=True)
        ]
        return TilePyramid(tuple(levels), plan.left_out)

    def _prepared(self, crop: Image) -> Image:
        side = self._language.crop_px
        how = cv2.INTER_AREA if len(crop) > side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(crop, (side, side), interpolation=how), np.uint8)


def _tile(rgb: Image, centre: NDArray[np.float64], side: int) -> Image:
    left, top = (round(float(c) - (side - 1) / 2) for c in centre)
    return rgb[top : top + side, left : left + side]
