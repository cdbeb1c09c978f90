"""Views of a scene as the cells of a segmenter's feature maps see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import world_rays
from semantic_field_ros.models.base import EmbeddingLayout
from semantic_field_ros.types import PinholeCamera

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class RayMap:
    """A grid of rays through a rectangle of V cells, k × k of them through each, row by row.

    Attributes:
        size: (rows, columns) of cells.
        per_cell: k.
        origins, directions: (k²V, 3) f32, world frame.
        place: (k²V, 2) f32 where in the image they are, the longer side from -1 to 1.
        rotation: (3, 3) f32 of directions, from the camera's to the world's.
        cell_share: width of a cell as a share of the distance.
        depth_m: (k²V,) f32 known depth, NaN unknown.
        counts: (V,) bool, False for cells that show something ignored.
    """

    size: tuple[int, int]
    per_cell: int
    origins: Floats
    directions: Floats
    place: Floats
    rotation: Floats
    cell_share: float
    depth_m: Floats
    counts: NDArray[np.bool_]

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of rays."""
        return self.size[0] * self.per_cell, self.size[1] * self.per_cell

    def cells(self, rows: slice, columns: slice) -> tuple[RayMap, NDArray[np.int64]]:
        """A rectangle of them, and which (W,) of all cells these are."""
        number = _numbers(self.size)[rows, columns]
        cell = number.ravel()
        k = self.per_cell
        fine_rows, fine_columns = (slice(k * s.start, k * s.stop) for s in (rows, columns))
        ray = _numbers(self.grid)[fine_rows, fine_columns].ravel()
        part = RayMap(
            (number.shape[0], number.shape[1]),
            k,
            self.origins[ray],
            self.directions[ray],
            self.place[ray],
            self.rotation,
            self.cell_share,
            self.depth_m[ray],
            self.counts[cell],
        )
        return part, cell


def _numbers(size: tuple[int, int]) -> NDArray[np.int64]:
    return np.arange(size[0] * size[1]).reshape(size)


@dataclass(frozen=True)
class CachedView:
    """What the segmenter saw in one view, from coarse or early maps to its embedding.

    Attributes:
        keyframe_id: None where the image was rendered instead of captured.
        rays: per scale.
        features: per scale (V, C) f16 of valid cells.
    """

    keyframe_id: int | None
    rays: tuple[RayMap, ...]
    features: tuple[NDArray[np.float16], ...]


def ray_map(
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
    layout: EmbeddingLayout,
    per_cell: int = 1,
    depth_m: Floats | None = None,
    ignored: NDArray[np.bool_] | None = None,
) -> RayMap:
    """Rays of a view with (H, W) depth in metres or None, and (H, W) ignored pixels or None."""
    pixel = cell_centres(camera, _finer(layout, per_cell))
    origins, directions = world_rays(camera, world_from_camera, pixel)
    known_m = np.full(len(pixel), np.nan, np.float32)
    if depth_m is not None:
        nearest = np.rint(pixel).astype(np.int64)
        known_m = depth_m[nearest[:, 1], nearest[:, 0]]
    size = np.array([camera.width, camera.height], np.float32)
    place = ((2 * pixel + 1 - size) / size.max()).astype(np.float32)
    rotation = world_from_camera[:3, :3].astype(np.float32)
    cell_share = float(size.max()) / layout.side / camera.fx
    origins = np.ascontiguousarray(origins)
    counts = np.ones(layout.valid, np.bool_).ravel()
    if ignored is not None:
        counts = ~touched_cells(ignored, layout).ravel()
    return RayMap(
        layout.valid,
        per_cell,
        origins,
        directions,
        place,
        rotation,
        cell_share,
        known_m,
        counts,
    )


def _finer(layout: EmbeddingLayout, times: int) -> EmbeddingLayout:
    """With cells that are so many times smaller."""
    rows, columns = layout.valid
    return EmbeddingLayout(layout.channels, layout.side * times, (rows * times, columns * times))


def touched_cells(pixels: NDArray[np.bool_], layout: EmbeddingLayout) -> NDArray[np.bool_]:
    """(rows, columns) of the valid cells, which of them hold any of some (H, W) pixels."""
    touched = np.zeros(layout.valid, np.bool_)
    v, u = np.nonzero(pixels)
    cell_px = max(pixels.shape) / layout.side
    row = (v / cell_px).astype(np.int64).clip(0, layout.valid[0] - 1)
    column = (u / cell_px).astype(np.int64).clip(0, layout.valid[1] - 1)
    touched[row, column] = True
    return touched


def cell_centres(camera: PinholeCamera, layout: EmbeddingLayout) -> Floats:
    """(V, 2) pixels (u, v) at the centres of the valid cells, row by row.

    The longer side of the image fills all cells of the embedding, so one cell is
    max(H, W) / side pixels wide.
    """
    cell_px = max(camera.width, camera.height) / layout.side
    rows, columns = layout.valid
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    centres = (np.stack([u.ravel(), v.ravel()], axis=1) + 0.5) * cell_px - 0.5
    return np.minimum(centres, (camera.width - 1, camera.height - 1)).astype(np.float32)


def valid_features(
    features: NDArray[np.float16], layout: EmbeddingLayout
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """(V, C) of the valid cells and (U, C) of the padding of a (C, side, side) map.

    Raises:
        ValueError: another shape.
    """
    expected = (layout.channels, layout.side, layout.side)
    if features.shape != expected:
        raise ValueError(f"embedding must be {expected}, got {features.shape}")
    valid = np.zeros(expected[1:], np.bool_)
    valid[: layout.valid[0], : layout.valid[1]] = True
    return np.ascontiguousarray(features[:, valid].T), features[:, ~valid].T


def draw_window(size: tuple[int, int], side: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a random square of `side` cells, less where the map is smaller."""
    starts = [int(rng.integers(max(1, whole - side + 1))) for whole in size]
    rows, columns = (
        slice(start, min(start + side, whole)) for start, whole in zip(starts, size, strict=True)
    )
    return rows, columns


def unaffected(
    window: tuple[slice, slice], size: tuple[int, int], reach: int
) -> NDArray[np.bool_]:
    """(W,) which cells of a window lie farther than `reach` from where it cuts the map.

    The border of the map itself is none: it looks there as it does to the segmenter.
    """
    inside = []
    for part, whole in zip(window, size, strict=True):
        at = np.arange(part.start, part.stop)
        low = reach if part.start > 0 else 0
        high = reach if part.stop < whole else 0
        inside.append((at >= part.start + low) & (at < part.stop - high))
    return (inside[0][:, None] & inside[1][None]).ravel()
