"""Putting shapes on surfaces so that they stand, touch at most, and never interpenetrate.

Footprints are compared as polygons with 32 fixed edge directions (k-DOPs; Klosowski et al. 1998):
two are apart if their supports along one direction do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.synthetic.mesh import Float, Mesh, axis_rotation
from semantic_field_ros.stream.synthetic.shape import Rng, Shape

SIDES = 32
_ANGLES = np.arange(SIDES) * (2 * np.pi / SIDES)
DIRECTIONS: Float = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)

TOUCHING_GAP_M = 0.001
"""How close neighbours are brought that touch."""


def footprint(vertices: NDArray[np.floating]) -> Float:
    """(32,) farthest reach of (V, 3) points along each of `DIRECTIONS`, metres."""
    return (vertices[:, :2] @ DIRECTIONS.T).max(0).astype(np.float64)


@dataclass
class Surface:
    """A level rectangle and what stands on it.

    Attributes:
        origin: (3,) world position of its middle, metres.
        yaw_deg: of its x axis in the world.
        half: (2,) half extents, metres.
        clearance_m: free height above it.
        taken: footprints in the surface's own frame.
    """

    origin: Float
    yaw_deg: float
    half: Float
    clearance_m: float = 10.0
    taken: list[Float] = field(default_factory=list)

    def gaps(self, reach: Float) -> tuple[Float, NDArray[np.int64]]:
        """To each neighbour: the largest gap (negative: overlap) and its direction's index."""
        others = np.array(self.taken).reshape(-1, SIDES)
        gap = -np.roll(others, SIDES // 2, axis=1) - reach
        return gap.max(1), gap.argmax(1)

    def admits(self, reach: Float) -> bool:
        """Whether a footprint lies inside the rectangle and overlaps no other."""
        quarter = SIDES // 4
        extent = reach[::quarter] <= np.array([*self.half, *self.half])
        return bool(extent.all() and (self.gaps(reach)[0] >= 0).all())

    def find_place(self, reach: Float, rng: Rng, spread: float, touch: bool) -> Float | None:
        """(2,) position in the surface's frame for a footprint about the origin, or None.

        Args:
            reach: (32,) footprint at the origin.
            rng: source of chance.
            spread: 1 for anywhere, less for a heap around the middle.
            touch: slide the footprint against its nearest neighbour where that is possible.
        """
        for _ in range(40):
            at = np.clip(rng.uniform(-1, 1, 2) * spread, -1, 1) * self.half
            moved = reach + DIRECTIONS @ at
            if not self.admits(moved):
                continue
            if touch and self.taken:
                gap, side = self.gaps(moved)
                near = int(gap.argmin())
                step = DIRECTIONS[side[near]] * max(gap[near] - TOUCHING_GAP_M, 0)
                if self.admits(moved + DIRECTIONS @ step):
                    return at + step
            return at
        return None


@dataclass(frozen=True)
class Pose:
    """Where a shape stands: world_point = rotation · shape_point + translation."""

    rotation: Float
    translation: Float

    def place(self, mesh: Mesh) -> Mesh:
        """The mesh in the world frame."""
        return mesh.rotated(self.rotation).moved(*self.translation)


def lying_rotation(mesh: Mesh, rng: Rng) -> Float:
    """(3, 3) rotation that lays a shape on one of its largest stable sides."""
    from scipy.spatial import ConvexHull

    hull = ConvexHull(mesh.vertices.astype(np.float64))
    corners = hull.points[hull.simplices]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    normals = hull.equations[:, :3]
    keys, group = np.unique(normals.round(2), axis=0, return_inverse=True)
    total = np.bincount(group.ravel(), area, len(keys)) * (np.abs(keys[:, 2]) < 0.5)
    widest = np.flatnonzero(total > 0.8 * total.max())
    down = keys[rng.choice(widest)]
    down = down / np.linalg.norm(down)
    side = np.cross(down, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    return np.stack([side, np.cross(side, down), -down])


def stand(surface: Surface, shape: Shape, rng: Rng, spread: float = 1.0) -> Pose | None:
    """Finds a pose for the shape on the surface and books the place; None if there is none."""
    turn = axis_rotation("z", rng.uniform(0, 360))
    if shape.falls and rng.random() < 0.3:
        turn = turn @ lying_rotation(shape.mesh, rng)
    turned = shape.mesh.vertices @ turn.T
    if turned[:, 2].max() - turned[:, 2].min() > surface.clearance_m:
        return None
    reach = footprint(turned)
    at = surface.find_place(reach, rng, spread, touch=rng.random() < 0.55)
    if at is None:
        return None
    surface.taken.append(reach + DIRECTIONS @ at)
    into_world = axis_rotation("z", surface.yaw_deg)
    offset = into_world @ [at[0], at[1], -float(turned[:, 2].min())]
    return Pose(into_world @ turn, surface.origin + offset)


def against_wall(floor: Surface, shape: Shape, rng: Rng) -> Pose | None:
    """Puts furniture with its back to a random wall of the floor; None if there is no room."""
    low, high = shape.mesh.vertices.min(0), shape.mesh.vertices.max(0)
    for _ in range(30):
        wall = int(rng.integers(4))
        turn = axis_rotation("z", 90.0 * wall)
        along, to_wall = floor.half if wall % 2 == 0 else floor.half[::-1]
        room = along - (high[0] - low[0]) / 2 - 0.03
        if room <= 0:
            continue
        at = turn @ [rng.uniform(-room, room), to_wall - high[1] - 0.02, -low[2]]
        reach = footprint(shape.mesh.vertices @ turn.T) + DIRECTIONS @ at[:2]
        if floor.admits(reach):
            floor.taken.append(reach)
            return Pose(turn, floor.origin + at)
    return None


def surfaces_of(shape: Shape, pose: Pose) -> list[Surface]:
    """The supports of a placed shape as surfaces of their own; none if it has fallen over."""
    if pose.rotation[2, 2] < 0.99:
        return []
    yaw = float(np.degrees(np.arctan2(pose.rotation[1, 0], pose.rotation[0, 0])))
    return [
        Surface(
            pose.rotation @ np.array(support.centre) + pose.translation,
            yaw,
            np.array(support.half),
            support.clearance,
        )
        for support in shape.supports
    ]
