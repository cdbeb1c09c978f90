"""3D masks and their oriented boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from semantic_field_ros.geometry import quaternion_from_matrix
from semantic_field_ros.types import Mask3D, OrientedBox, SurfaceCloud

Float = NDArray[np.floating]


def gravity_box(points: Float) -> OrientedBox:
    """The box around (N, 3) points, N >= 1, whose z is up and whose footprint area is smallest.

    The smallest rectangle around a convex polygon has a side along one of its edges (Freeman and
    Shapira 1975). The yaw is in [0, π/2).
    """
    flat = np.asarray(points[:, :2], np.float64)
    corners = _hull(flat)
    edges = np.roll(corners, -1, axis=0) - corners
    yaws = np.unique(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), np.pi / 2).round(9))
    low, high = _extent(corners, yaws)
    best = int(np.argmin(np.prod(high - low, axis=1)))
    rotation = np.eye(3)
    rotation[:2, :2] = _rotation(yaws[best : best + 1])[0]
    middle = rotation[:2, :2] @ ((low[best] + high[best]) / 2)
    bottom, top = float(points[:, 2].min()), float(points[:, 2].max())
    centre = np.array([*middle, (bottom + top) / 2])
    size = np.array([*(high[best] - low[best]), top - bottom])
    return OrientedBox(centre, quaternion_from_matrix(rotation), size)


def _hull(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners of the convex hull of (N, 2) points, or of their extent if they have no area."""
    try:
        return flat[ConvexHull(flat).vertices]
    except (QhullError, ValueError):
        low, high = flat.min(axis=0), flat.max(axis=0)
        if np.array_equal(low, high):
            return low[None]
        direction = flat[np.argmax(np.abs(flat - flat[0]).sum(axis=1))] - flat[0]
        along = (flat - flat[0]) @ direction
        return flat[[int(along.argmin()), int(along.argmax())]]


def _rotation(yaws: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Y, 2, 2) world_from_box."""
    cosine, sine = np.cos(yaws), np.sin(yaws)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], axis=-2)


def _extent(
    corners: NDArray[np.float64], yaws: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(Y, 2) smallest and largest box coordinates of the corners at each yaw."""
    in_box = corners @ _rotation(yaws)  # [Y, C, 2]
    return in_box.min(axis=1), in_box.max(axis=1)


def make_mask(
    surface: SurfaceCloud,
    indices: NDArray[np.int64],
    point_scores: NDArray[np.float32],
    label: str,
    score: float,
) -> Mask3D:
    """The mask of (M,) surface points, M >= 1, with (M,) scores in [0, 1]."""
    if len(indices) == 0:
        raise ValueError("a mask needs at least one point, got none")
    points = surface.points[indices]
    return Mask3D(
        indices=np.asarray(indices, np.int64),
        points=points,
        rgb=surface.rgb[indices],
        point_scores=np.asarray(point_scores, np.float32),
        label=label,
        score=float(np.clip(score, 0.0, 1.0)),
        box=gravity_box(points),
        map_version=surface.map_version,
    )
