"""Point clouds seen from any pose, with what is in front hiding what is behind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.geometry import look_at, project
from semantic_field_ros.types import PinholeCamera, SurfaceCloud

#: no point is drawn larger than this, pixels; closer than that the cloud shows holes.
MAX_RADIUS_PX = 14
#: a square is this many spacings wide: rows of points on a slanted surface lie farther apart.
CLOSING = 2.0
#: neighbours around a point of a surface, on a regular grid all of them at its spacing.
NEIGHBOURS = 4

Image = NDArray[np.uint8]


def front_points(
    points: NDArray[np.floating],
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
    spacing_m: NDArray[np.floating],
) -> NDArray[np.int64]:
    """(H, W) index of the point that is in front in each pixel, -1 where there is none.

    Args:
        points: (N, 3) metres, world frame.
        camera: the view.
        world_from_camera: (4, 4) its pose.
        spacing_m: (N,) distance of each point to the next ones; the square that it is drawn as
            closes the gap.
    """
    pixel, depth = project(camera, world_from_camera, points)
    radius = np.clip(
        np.rint(0.5 * CLOSING * spacing_m * camera.fx / np.maximum(depth, 1e-6)), 0, MAX_RADIUS_PX
    ).astype(np.int64)
    margin = MAX_RADIUS_PX
    u, v = np.rint(pixel[:, 0]).astype(np.int64), np.rint(pixel[:, 1]).astype(np.int64)
    inside = (u >= -margin) & (u < camera.width + margin) & (depth > 0.01)
    inside &= (v >= -margin) & (v < camera.height + margin)
    order = np.flatnonzero(inside)
    order = order[np.argsort(-depth[order], kind="stable")]  # far first: what is near overwrites
    return _paint(order, u, v, radius, camera)


def _paint(
    order: NDArray[np.int64],
    u: NDArray[np.int64],
    v: NDArray[np.int64],
    radius: NDArray[np.int64],
    camera: PinholeCamera,
) -> NDArray[np.int64]:
    """Draws the points of `order` as squares; rank in `order` decides what covers what."""
    front = np.full(camera.width * camera.height, -1, np.int64)
    reach = int(radius[order].max(initial=0))
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            ranks = np.flatnonzero(radius[order] >= max(abs(row), abs(column)))
            drawn = order[ranks]
            x, y = u[drawn] + column, v[drawn] + row
            on = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
            layer = np.full(len(front), -1, np.int64)
            layer[y[on] * camera.width + x[on]] = ranks[on]  # the last, nearest one stays
            np.maximum(front, layer, out=front)
    image = np.where(front >= 0, order[front], -1) if len(order) else front
    return image.reshape(camera.height, camera.width)


def facing(surface: SurfaceCloud, eye: NDArray[np.floating]) -> NDArray[np.int64]:
    """Indices of the surface points whose front is turned towards `eye` (3,).

    Leaving out the others opens a room to a view through its walls.
    """
    towards = eye - surface.points
    return np.flatnonzero((surface.normals * towards).sum(axis=1) > 0)


def shade(
    surface: SurfaceCloud, indices: NDArray[np.int64], eye: NDArray[np.floating]
) -> NDArray[np.float32]:
    """(M,) brightness in [0.55, 1] of surface points under a lamp at `eye`."""
    towards = eye - surface.points[indices]
    towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-9)
    lambert = np.abs((surface.normals[indices] * towards).sum(axis=1))
    return (0.55 + 0.45 * lambert).astype(np.float32)


def orbit(
    centre: NDArray[np.floating], distance_m: float, azimuth_rad: float, elevation_rad: float
) -> NDArray[np.float64]:
    """world_from_camera (4, 4) of a camera that looks at `centre` (3,) from around it."""
    flat = np.cos(elevation_rad)
    direction = [
        flat * np.cos(azimuth_rad),
        flat * np.sin(azimuth_rad),
        np.sin(elevation_rad),
    ]
    return look_at(np.asarray(centre) + distance_m * np.array(direction), centre)


def spacing_of(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N,) distance of each of (N, 3) points to the next ones, metres; 0.01 of fewer than 5.

    A stray point has that of the points nearest to it, lest it be drawn as a large square.
    """
    if len(points) <= NEIGHBOURS:
        return np.full(len(points), 0.01, np.float32)
    distance, neighbour = cKDTree(points).query(points, k=NEIGHBOURS + 1)
    own_m = distance[:, -1]
    around_m = np.median(own_m[neighbour[:, 1:]], axis=1)
    return np.maximum(np.minimum(own_m, around_m), 1e-4).astype(np.float32)
