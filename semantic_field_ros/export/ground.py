"""Cells on the ground: where they lie, and which of them points and outlines cover."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

#: a grid with more cells is refused.
MOST_CELLS = 1 << 24
#: grids end at multiples of so many cells: Nav2 resets all layers of its costmap for another size,
#: and a map that grows would have another one every few seconds.
BLOCK = 20


@dataclass(frozen=True)
class GroundGrid:
    """Square cells in the horizontal plane of the map frame, whose origin is a corner of some.

    Attributes:
        resolution_m: edge of a cell.
        first: (2,) i64 edges along x and y from the map's origin to the corner of cell (0, 0).
        shape: (rows along y, columns along x).
    """

    resolution_m: float
    first: Ints
    shape: tuple[int, int]

    @property
    def origin_m(self) -> NDArray[np.float64]:
        """(2,) x, y of the corner of cell (0, 0)."""
        return np.asarray(self.first * self.resolution_m, np.float64)

    @staticmethod
    def around(points: Floats, resolution_m: float) -> GroundGrid:
        """The smallest grid of whole blocks that holds (N, 2+) points, N >= 1.

        Raises:
            ValueError: no point, or more than `MOST_CELLS` cells.
        """
        if len(points) == 0:
            raise ValueError("a grid needs at least one point, got none")
        edges = _edges(points, resolution_m)
        first = BLOCK * np.floor(edges.min(axis=0) / BLOCK)
        columns, rows = BLOCK * np.floor(edges.max(axis=0) / BLOCK + 1) - first
        if rows * columns > MOST_CELLS:
            raise ValueError(
                f"expected at most {MOST_CELLS} cells, got {rows:.4g} x {columns:.4g} "
                f"of {resolution_m} m; choose larger ones"
            )
        return GroundGrid(resolution_m, first.astype(np.int64), (int(rows), int(columns)))

    def cells(self, points: Floats) -> Ints:
        """(N, 2) row and column of (N, 2+) points; may lie outside."""
        away = _edges(points, self.resolution_m) - self.first
        return away[:, ::-1].astype(np.int64)

    def inside(self, cells: Ints) -> NDArray[np.bool_]:
        """(N,) whether (N, 2) cells belong to the grid."""
        return np.asarray(((cells >= 0) & (cells < self.shape)).all(axis=1))

    def holds(self, other: GroundGrid) -> bool:
        """Whether all cells of a grid of the same resolution belong to this one."""
        below = (other.first >= self.first).all()
        ends, other_ends = (grid.first + grid.shape[::-1] for grid in (self, other))
        return bool(below and (other_ends <= ends).all())

    def centres(self, cells: Ints) -> NDArray[np.float64]:
        """(N, 2) x, y of the middles of (N, 2) cells."""
        middles: NDArray[np.float64] = self.origin_m + (cells[:, ::-1] + 0.5) * self.resolution_m
        return middles

    def amount(self, points: Floats, weights: Floats | None = None) -> NDArray[np.float64]:
        """(rows, columns) number of the (N, 2+) points in each cell, or sum of their weights."""
        cells = self.cells(points)
        inside = self.inside(cells)
        flat = np.ravel_multi_index((cells[inside, 0], cells[inside, 1]), self.shape)
        each = np.ones(len(points)) if weights is None else np.asarray(weights, np.float64)
        total = np.bincount(flat, each[inside], self.shape[0] * self.shape[1])
        return np.asarray(total.reshape(self.shape), np.float64)

    def covered(self, points: Floats) -> NDArray[np.bool_]:
        """(rows, columns) cells that the convex hull of (N, 2+) points touches, N >= 1."""
        canvas = np.zeros(self.shape, np.uint8)
        corners = cv2.convexHull(self.cells(points)[:, ::-1].astype(np.int32))
        cv2.fillConvexPoly(canvas, corners, 1)
        return np.asarray(canvas, np.bool_) | (self.amount(points) > 0)


def _edges(points: Floats, resolution_m: float) -> NDArray[np.float64]:
    """(N, 2) whole edges along x and y from the map's origin to (N, 2+) points."""
    return np.asarray(np.floor(np.asarray(points[:, :2], np.float64) / resolution_m))
