"""Which spatial relations really hold in the built-in world, told from its exact meshes.

Every relation has a margin: pairs for which people might disagree are neither true nor false but
None, and are not asked about. "Above" and "below" are along z; left, right, nearer and farther as
a reference camera sees them, distances along its gaze levelled to the horizon. A gap is the least
distance between two surfaces, a size the largest extent along an axis.

- near: true for a gap of at most 0.1 m or half the thing's size, whichever is more; false for a
  gap of at least 0.5 m or twice its size, whichever is more.
- on: true where half of the thing's underside has the anchor within 1.5 cm below it; false where
  no part of the anchor is below it.
- under: true where the anchor is on the thing, or above 60 % of it without carrying it; false
  where the anchor is above less than 2 % of it and not on it.
- inside: true where 90 % of it lie in the anchor's convex hull, with the anchor on four of six
  sides; false where less than 2 % do, or it is on two sides at most.
- left_of, right_of: true where 95 % of it are on that side of 95 % of the anchor, both in the
  picture and in metres; false where its middle is on the other side of the anchor's, in both.
- in_front_of, behind: true where 95 % of it are nearer (farther) than 95 % of the anchor and less
  than 15 degrees beside it; false where its middle is 2 cm farther (nearer) than the anchor's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from semantic_field_ros.geometry import invert_rigid, transform_points
from semantic_field_ros.stream.synthetic.mesh import Mesh

Floats = NDArray[np.floating]

SAMPLES = 400
#: a ray starts this far outside of the surface that it leaves, metres.
LIFT_M = 0.005
SIDES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float64)
BESIDE_RAD = np.radians(15)
#: what reaches nearer to the camera than this, or behind it, is on no side of anything, metres.
LEAST_AWAY_M = 0.1


class Solid:
    """The exact shape of one thing.

    Attributes:
        points: (SAMPLES, 3) spread evenly over its whole surface, hidden parts included.
        size_m: its largest extent along an axis.
    """

    def __init__(self, mesh: Mesh, seed: int) -> None:
        import open3d as o3d

        tensor: Any = o3d.core.Tensor
        self._tensor = tensor
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._scene.add_triangles(
            tensor(mesh.vertices.astype(np.float32)), tensor(mesh.triangles.astype(np.uint32))
        )
        self._corners = mesh.vertices.astype(np.float64)
        self.points = sampled(mesh, SAMPLES, np.random.default_rng(seed))
        self.size_m = float(np.ptp(mesh.vertices, axis=0).max())

    def distance_m(self, points: Floats) -> NDArray[np.float64]:
        """(N,) from (N, 3) points to the surface."""
        query = self._tensor(np.ascontiguousarray(points, np.float32))
        return np.asarray(self._scene.compute_distance(query, nthreads=1).numpy(), np.float64)

    def hit_m(self, points: Floats, direction: Floats) -> NDArray[np.float64]:
        """(N,) how far a ray from each of (N, 3) points goes until it hits; inf if it does not."""
        ways = np.broadcast_to(direction, points.shape)
        rays = np.concatenate([points, ways], axis=1).astype(np.float32)
        return np.asarray(
            self._scene.cast_rays(self._tensor(rays), nthreads=1)["t_hit"].numpy(), np.float64
        )

    def holds(self, points: Floats) -> NDArray[np.bool_]:
        """(N,) whether (N, 3) points lie in the convex hull."""
        return np.asarray(self._hull.find_simplex(points) >= 0)

    @cached_property
    def _hull(self) -> Delaunay:
        return Delaunay(self._corners, qhull_options="QJ")


def sampled(mesh: Mesh, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(count, 3) points spread evenly by area over a mesh."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    area = mesh.areas()
    pick = rng.choice(len(area), count, p=area / area.sum())
    u, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = corners[pick].transpose(1, 0, 2)
    points: NDArray[np.float64] = (1 - u) * a + u * (1 - v) * b + u * v * c
    return points


def truly(
    relation: str, thing: Solid, anchor: Solid, world_from_camera: NDArray[np.float64]
) -> bool | None:
    """Whether a thing stands in a relation to an anchor; None if that is for people to argue."""
    if relation in _IN_WORLD:
        return _IN_WORLD[relation](thing, anchor)
    ours, theirs = (_seen(solid.points, world_from_camera) for solid in (thing, anchor))
    if min(ours.away_m.min(), theirs.away_m.min()) < LEAST_AWAY_M:
        return None
    judge, sign = _IN_VIEW[relation]
    return judge(ours, theirs, sign)


def _verdict(true: bool, false: bool) -> bool | None:
    return True if true and not false else False if false and not true else None


def _near(thing: Solid, anchor: Solid) -> bool | None:
    gap_m = min(anchor.distance_m(thing.points).min(), thing.distance_m(anchor.points).min())
    return _verdict(gap_m <= max(0.1, 0.5 * thing.size_m), gap_m >= max(0.5, 2 * thing.size_m))


def _on(thing: Solid, anchor: Solid) -> bool | None:
    below_m = anchor.hit_m(_underside(thing), SIDES[5])
    return _verdict(
        bool((below_m <= 0.015 + LIFT_M).mean() >= 0.5), not np.isfinite(below_m).any()
    )


def _under(thing: Solid, anchor: Solid) -> bool | None:
    carried = _on(anchor, thing)
    above = np.isfinite(anchor.hit_m(thing.points + LIFT_M * SIDES[4], SIDES[4])).mean()
    covered = bool(above >= 0.6) and _on(thing, anchor) is False
    return _verdict(carried is True or covered, above < 0.02 and carried is False)


def _inside(thing: Solid, anchor: Solid) -> bool | None:
    share = anchor.holds(thing.points).mean()
    walls = sum(np.isfinite(anchor.hit_m(thing.points, way)).mean() > 0.8 for way in SIDES)
    return _verdict(bool(share >= 0.9 and walls >= 4), bool(share < 0.02 or walls <= 2))


def _underside(thing: Solid) -> NDArray[np.float64]:
    """(N, 3) samples of the lowest centimetre, lifted a little from what carries them."""
    lowest_m = thing.points[:, 2].min()
    return thing.points[thing.points[:, 2] < lowest_m + 0.01] + LIFT_M * SIDES[4]


@dataclass(frozen=True)
class _Seen:
    """(N,) each: metres to the right, metres away, and the tangent of the bearing."""

    right_m: Floats
    away_m: Floats
    bearing: Floats


def _seen(points: Floats, world_from_camera: NDArray[np.float64]) -> _Seen:
    """Points as a camera with a level gaze sees them."""
    forward = world_from_camera[:3, 2] * [1, 1, 0]
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    offset = points - world_from_camera[:3, 3]
    right_m, away_m = offset @ right, offset @ forward
    in_camera = transform_points(invert_rigid(world_from_camera), points)
    return _Seen(right_m, away_m, in_camera[:, 0] / np.maximum(in_camera[:, 2], 1e-6))


def _aside(thing: _Seen, anchor: _Seen, sign: int) -> bool | None:
    pairs = (
        (sign * thing.right_m, sign * anchor.right_m),
        (sign * thing.bearing, sign * anchor.bearing),
    )
    clear = all(np.quantile(ours, 0.95) < np.quantile(theirs, 0.05) for ours, theirs in pairs)
    wrong = all(np.median(ours) > np.median(theirs) for ours, theirs in pairs)
    return _verdict(clear, wrong)


def _nearer(thing: _Seen, anchor: _Seen, sign: int) -> bool | None:
    ours, theirs = sign * thing.away_m, sign * anchor.away_m
    bearings = [np.arctan(np.quantile(seen.bearing, (0.05, 0.95))) for seen in (thing, anchor)]
    gap = max(bearings[0][0] - bearings[1][1], bearings[1][0] - bearings[0][1])
    clear = np.quantile(ours, 0.95) < np.quantile(theirs, 0.05) and gap < BESIDE_RAD
    return _verdict(bool(clear), bool(np.median(ours) > np.median(theirs) + 0.02))


_IN_WORLD: dict[str, Callable[[Solid, Solid], bool | None]] = {
    "near": _near,
    "on": _on,
    "under": _under,
    "inside": _inside,
}
#: and whether less to the right, or less far away, is what the relation means.
_IN_VIEW: dict[str, tuple[Callable[[_Seen, _Seen, int], bool | None], int]] = {
    "left_of": (_aside, 1),
    "right_of": (_aside, -1),
    "in_front_of": (_nearer, 1),
    "behind": (_nearer, -1),
}
