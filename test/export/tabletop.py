"""A cylinder and a box that stand on a table, as a map would show them."""

import numpy as np

from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.types import Mask3D, SurfaceCloud

SPACING_M = 0.005
TABLE_M = 0.7


def grid(*axes: tuple[float, float]) -> np.ndarray:
    """(N, 2) points a spacing apart."""
    lines = [np.arange(low, high + 1e-9, SPACING_M) for low, high in axes]
    return np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2)


def cylinder(radius_m: float, height_m: float, half_only: bool = False):
    """Points and outward normals of the side and the top of a cylinder on the table."""
    count = int(2 * np.pi * radius_m / SPACING_M)
    angle = np.arange(count) * 2 * np.pi / count
    angle = angle[np.cos(angle) <= 0] if half_only else angle
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    heights = TABLE_M + np.arange(SPACING_M, height_m, SPACING_M)
    side = (radius_m * ring + heights[:, None, None] * [0, 0, 1]).reshape(-1, 3)
    top = grid((-radius_m, radius_m), (-radius_m, radius_m))
    top = top[np.linalg.norm(top, axis=1) < radius_m]
    top = np.column_stack([top, np.full(len(top), TABLE_M + height_m)])
    normals = np.concatenate(
        [np.tile(ring, (len(heights), 1)), np.tile([0, 0, 1.0], (len(top), 1))]
    )
    return np.concatenate([side, top]), normals


def wall(x_m: float, height_m: float = 0.2):
    """Points and normals of a wall at this x that faces the origin."""
    flat = grid((-0.15, 0.15), (TABLE_M + SPACING_M, TABLE_M + height_m))
    points = np.column_stack([np.full(len(flat), x_m), flat])
    return points, np.tile([-np.sign(x_m), 0, 0], (len(points), 1))


def scene(thing, *others) -> tuple[SurfaceCloud, Mask3D]:
    """A table with something on it, and the mask of the first thing."""
    table = grid((-0.2, 0.2), (-0.2, 0.2))
    footprint = thing[0][:, :2]
    far = np.linalg.norm(table[:, None] - footprint[None, ::7], axis=2).min(axis=1) > 0.01
    table = np.column_stack([table, np.full(len(table), TABLE_M)])[far]
    parts = [thing, *others, (table, np.tile([0, 0, 1.0], (len(table), 1)))]
    points = np.concatenate([p for p, _ in parts]).astype(np.float32)
    normals = np.concatenate([n for _, n in parts]).astype(np.float32)
    surface = SurfaceCloud(
        points,
        normals,
        np.zeros((len(points), 3), np.uint8),
        np.full(len(points), SPACING_M, np.float32),
        map_version=3,
    )
    indices = np.arange(len(thing[0]))
    return surface, make_mask(surface, indices, np.ones(len(indices), np.float32), "can", 1.0)
