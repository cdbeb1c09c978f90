"""Which surface points a view sees, from the surface alone."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.types import PinholeCamera

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: pixels per side of the cells in which the nearest point hides what is behind it.
CELL_PX = 4
#: how far behind the nearest point of its cell a point may lie and still be seen, metres.
SLACK_M = 0.02
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


def visible_points(
    points: Floats, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
) -> tuple[Ints, Floats]:
    """Which of (N, 3) world points a camera sees, and where.

    A point hides what lies behind it in its cell of the image by more than the slack, which grows
    with the footprint of a cell, because a slanted surface fills a cell over a range of depths.

    Returns:
        indices (V,) i64 into the points, ascending, and their pixels (V, 2) f32.
    """
    camera_from_world = invert_rigid(world_from_camera).astype(np.float32)
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
    size = np.array([camera.width, camera.height], np.int64)
    points = np.ascontiguousarray(points, np.float32)
    seen, pixel = _visible(points, camera_from_world, intrinsics, size)
    return seen, pixel


@numba.njit(**_OPTIONS)
def _visible(points, camera_from_world, intrinsics, size):  # type: ignore[no-untyped-def]
    """See `visible_points`; camera_from_world (4, 4), fx fy cx cy (4,), width height (2,)."""
    columns, rows = size[0] // CELL_PX + 2, size[1] // CELL_PX + 2
    nearest = np.full(columns * rows, np.float32(np.inf), np.float32)
    pixel = np.empty((len(points), 2), np.float32)
    depth_m = np.empty(len(points), np.float32)
    cell = np.empty(len(points), np.int32)
    fx, fy, cx, cy = intrinsics
    for i in range(len(points)):
        cell[i] = -1
        x, y, z = points[i]
        depth = np.float32(_row(camera_from_world, 2, x, y, z))
        if depth <= 0:
            continue
        u = np.float32(_row(camera_from_world, 0, x, y, z) / depth * fx + cx)
        v = np.float32(_row(camera_from_world, 1, x, y, z) / depth * fy + cy)
        if not (-0.5 < u < size[0] - 0.5 and -0.5 < v < size[1] - 0.5):
            continue
        cell[i] = int(u / CELL_PX + 0.5) + columns * int(v / CELL_PX + 0.5)
        pixel[i, 0], pixel[i, 1], depth_m[i] = u, v, depth
        nearest[cell[i]] = min(nearest[cell[i]], depth)
    slack = np.float32(2 * CELL_PX / fx)
    seen = np.empty(len(points), np.int64)
    count = 0
    for i in range(len(points)):
        if cell[i] < 0 or depth_m[i] > nearest[cell[i]] + SLACK_M + slack * depth_m[i]:
            continue
        # count <= i: nothing still needed is overwritten.
        pixel[count, 0], pixel[count, 1] = pixel[i, 0], pixel[i, 1]
        seen[count] = i
        count += 1
    return seen[:count].copy(), pixel[:count].copy()


@numba.njit(**_OPTIONS)
def _row(matrix, row, x, y, z):  # type: ignore[no-untyped-def]
    return matrix[row, 0] * x + matrix[row, 1] * y + matrix[row, 2] * z + matrix[row, 3]
