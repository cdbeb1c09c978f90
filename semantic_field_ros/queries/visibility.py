"""Which surface points a view sees, from the surface alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.types import PinholeCamera

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: pixels per side of the cells in which the nearest point hides what is behind it.
CELL_PX = 4
#: how far behind the nearest point of its cell a point may lie and still be seen, metres.
SLACK_M = 0.02


def visible_points(
    points: Floats, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
) -> tuple[Ints, Floats]:
    """Which of (N, 3) world points a camera sees, and where.

    A point hides what lies behind it in its cell of the image by more than the slack, which grows
    with the footprint of a cell, because a slanted surface fills a cell over a range of depths.

    Returns:
        indices (V,) i64 into the points, and their pixels (V, 2) f32.
    """
    pixel, depth_m = project(camera, world_from_camera, points)
    seen = np.flatnonzero(inside_image(camera, pixel, depth_m))
    pixel, depth_m = pixel[seen], depth_m[seen]
    columns = camera.width // CELL_PX + 1
    cells = np.rint(pixel / CELL_PX).astype(np.int64)
    cell = cells[:, 1] * (columns + 1) + cells[:, 0]
    nearest = np.full((camera.height // CELL_PX + 2) * (columns + 1), np.inf, np.float32)
    np.minimum.at(nearest, cell, depth_m)
    slack_m = SLACK_M + 2 * CELL_PX * depth_m / camera.fx
    open_ = depth_m <= nearest[cell] + slack_m
    return seen[open_], pixel[open_]
