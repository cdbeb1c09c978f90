"""What encloses a scene: floor, walls and ceiling, the planes that everything lies before.

They are found by RANSAC (Fischler and Bolles 1981); one point and its normal make a plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

#: points that planes are looked for in, drawn by the area that they stand for, and planes tried
#: for each that is found.
SAMPLE, TRIALS = 4000, 256
#: a plane has at least this share of the whole area.
LEAST_AREA = 0.04
#: at most this share of the area lies farther than so many metres behind it.
BEHIND, BEHIND_M = 0.02, 0.1
#: while a plane is looked for its points lie within this many metres, and their normals lean by
#: less than 32 degrees.
NEAR_M, ALIKE = 0.04, 0.85
#: in the end they lie within 2.5 standard deviations, but these metres, and face its way.
SPREAD, LEAST_M, MOST_M, FACING = 2.5, 0.01, 0.03, 0.5
FITS = 3


@dataclass(frozen=True)
class _Plane:
    """normal·x = offset_m, and the standard deviation of its points around it, metres."""

    normal: Floats
    offset_m: float
    deviation_m: float

    def holds(self, points: Floats, normals: Floats, near_m: float, alike: float) -> Bools:
        """(N,) which points, with their normals, belong to it."""
        beside_m = np.abs(points @ self.normal - self.offset_m)
        return np.asarray((beside_m < near_m) & (normals @ self.normal > alike))


def enclosing(points: Floats, normals: Floats, spacing_m: Floats) -> Bools:
    """(N,) which points of a surface lie on what encloses all of it.

    Args:
        points: (N, 3) metres, world frame.
        normals: (N, 3) unit, towards the cameras.
        spacing_m: (N,) metres to the next points; a point stands for its square.
    """
    found = np.zeros(len(points), np.bool_)
    for plane in _planes(points, normals, spacing_m):
        near_m = float(np.clip(SPREAD * plane.deviation_m, LEAST_M, MOST_M))
        found |= plane.holds(points, normals, near_m, FACING)
    return found


def _planes(points: Floats, normals: Floats, spacing_m: Floats) -> list[_Plane]:
    """The planes that enclose a surface, largest first."""
    if len(points) == 0:
        return []
    rng = np.random.default_rng(0)
    area = spacing_m.astype(np.float64) ** 2
    drawn = rng.choice(len(points), SAMPLE, p=area / area.sum())
    points, normals = points[drawn], normals[drawn]
    left = np.ones(SAMPLE, np.bool_)
    planes = []
    for _ in range(int(1 / LEAST_AREA)):
        plane = _largest(points[left], normals[left], rng)
        if plane is None:
            break
        if (points @ plane.normal < plane.offset_m - BEHIND_M).mean() < BEHIND:
            planes.append(plane)
        left &= ~plane.holds(points, normals, 1.5 * NEAR_M, FACING)
    return planes


def _largest(points: Floats, normals: Floats, rng: np.random.Generator) -> _Plane | None:
    """The plane with most of the points that are left of the sample, None if that is too few."""
    least = LEAST_AREA * SAMPLE
    if len(points) < least:
        return None
    tried = rng.choice(len(points), TRIALS)
    offsets_m = (points[tried] * normals[tried]).sum(axis=1)
    near = np.abs(points @ normals[tried].T - offsets_m) < NEAR_M
    best = int((near & (normals @ normals[tried].T > ALIKE)).sum(axis=0).argmax())
    plane = _Plane(normals[tried[best]], float(offsets_m[best]), 0.0)
    for _ in range(FITS):
        held = plane.holds(points, normals, NEAR_M, ALIKE)
        if held.sum() < least:
            return None
        plane = _fitted(points[held], normals[held])
    return plane


def _fitted(points: Floats, normals: Floats) -> _Plane:
    """The plane of least squares through some points, facing as they do."""
    middle = points.mean(axis=0)
    normal = np.linalg.svd(points - middle, full_matrices=False)[2][2]
    normal = normal * np.sign(normal @ normals.mean(axis=0))
    beside_m = (points - middle) @ normal
    deviation_m = 1.4826 * float(np.median(np.abs(beside_m - np.median(beside_m))))
    return _Plane(normal, float(normal @ middle), deviation_m)
