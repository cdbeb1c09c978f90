"""Where a robot can stand to see a thing, best places first.

A place is good if the robot fits there and can get there in the costmap, if the map shows that
nothing hides the thing from its eye, and if it is neither too near nor too far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.costmap import FREE, OCCUPIED, UNKNOWN, Costmap, clearance_m
from semantic_field_ros.types import Mask3D, SurfaceCloud

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

#: places whose view is looked at, and points of the thing that they are asked for.
MOST_PLACES, MOST_POINTS = 240, 48
#: a robot that stands on a cell which is not free starts from the nearest that is, metres.
START_REACH_M = 0.5
#: its camera may never have seen the floor this near to it, metres: a usual one that is 1 m high
#: and level sees the floor from 2.6 m on.
BLIND_M = 3.0
#: a view counts from this share of the thing's sides towards it on.
LEAST_VISIBLE = 0.3
#: what lies this near to a point of the thing does not hide it, in cells.
TOUCHING = 1.5
_EIGHT = np.ones((3, 3), np.bool_)


@dataclass(frozen=True)
class GoalOptions:
    """What a goal must be like.

    Attributes:
        start: (3,) where the robot is, metres in the map frame; None = anywhere it fits.
        distance_m: least and largest distance of the robot's middle from the thing's footprint.
        spacing_m: goals are at least this far apart, >= 0.
        max_results: most goals, >= 1.
    """

    start: NDArray[np.float64] | None = None
    distance_m: tuple[float, float] = (0.4, 2.0)
    spacing_m: float = 0.3
    max_results: int = 5

    def __post_init__(self) -> None:
        least, most = self.distance_m
        if not 0 <= least < most < np.inf:
            raise ValueError(f"distance_m must be 0 <= least < most, got {self.distance_m}")
        if self.max_results < 1 or not self.spacing_m >= 0:
            raise ValueError(
                "expected max_results >= 1 and spacing_m >= 0, "
                f"got {self.max_results} and {self.spacing_m}"
            )
        if self.start is not None and not np.isfinite(self.start).all():
            raise ValueError(f"start must be finite, got {np.asarray(self.start).tolist()}")


@dataclass(frozen=True)
class Goal:
    """One place to stand.

    Attributes:
        world_from_base: (4, 4) on the floor, x forward towards the thing, z up.
        score: [0, 1], see `find_goals`.
        visible: share of the thing's points on its sides towards the robot that it sees.
        distance_m: from the robot's middle to the thing's footprint.
        clearance_m: from the robot's middle to the nearest cell that is not free.
    """

    world_from_base: NDArray[np.float64]
    score: float
    visible: float
    distance_m: float
    clearance_m: float


@dataclass(frozen=True)
class GoalAnswer:
    """Goals, best first; none always comes with a reason."""

    goals: list[Goal]
    reason: str
    map_version: int


@dataclass(frozen=True)
class _Places:
    """P cells where the robot fits, with what is known of them."""

    centres: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    clearance_m: NDArray[np.float64]

    def at(self, chosen: NDArray[np.generic]) -> _Places:
        return _Places(self.centres[chosen], self.distance_m[chosen], self.clearance_m[chosen])


def find_goals(
    costmap: Costmap,
    surface: SurfaceCloud,
    mask: Mask3D,
    eye_m: float,
    config: NavigationConfig,
    how: GoalOptions,
) -> GoalAnswer:
    """Places to look at a thing from.

    The score is the visible share times a factor that falls from 1 at the middle of the allowed
    distances to a half at their ends.

    Args:
        costmap: of the surface.
        surface: what may hide the thing.
        mask: the thing.
        eye_m: height of the robot's eye above the floor.
        config: floor and size of the robot.
        how: what is wanted.
    """

    def nothing(reason: str) -> GoalAnswer:
        return GoalAnswer([], reason, costmap.map_version)

    free = costmap.cells == FREE
    room_m = clearance_m(free, costmap.grid.resolution_m)
    fits = room_m >= config.robot_radius_m
    if how.start is not None:
        fits = _reachable(costmap, fits, how.start, config.robot_radius_m)
        if not fits.any():
            return nothing("no free place near the start is large enough for the robot")
    places = _near_thing(costmap, fits, room_m, mask, how)
    if len(places.centres) == 0:
        least, most = how.distance_m
        return nothing(
            f"no free place that can be reached is {least:g} to {most:g} m away from it"
        )
    eyes = np.column_stack([places.centres, np.full(len(places.centres), config.floor_m + eye_m)])
    visible = visible_share(eyes, mask, surface, costmap.grid.resolution_m)
    if visible.max() < LEAST_VISIBLE:
        return nothing(f"from every free place something hides it: {visible.max():.2f} is seen")
    score = visible * _preference(places.distance_m, how.distance_m)
    score[visible < LEAST_VISIBLE] = 0.0
    target = mask.box.centre[:2]
    goals = [
        _goal(places, i, float(score[i]), float(visible[i]), target, config.floor_m)
        for i in _spread(places.centres, score, how)
    ]
    return GoalAnswer(goals, "", costmap.map_version)


def _reachable(
    costmap: Costmap, fits: NDArray[np.bool_], start: NDArray[np.float64], radius_m: float
) -> NDArray[np.bool_]:
    """Cells where the robot fits that hang together with where it stands.

    A camera that looks ahead has never seen the floor below it: what nobody has seen near the
    start is no obstacle on the way, but no place to be sent to either.
    """
    grid = costmap.grid
    rows, columns = (np.arange(count) + 0.5 for count in grid.shape)
    x_m, y_m = grid.origin_m - start[:2]
    away_m = np.hypot(x_m + grid.resolution_m * columns, (y_m + grid.resolution_m * rows)[:, None])
    open_way = (costmap.cells == FREE) | ((costmap.cells == UNKNOWN) & (away_m <= BLIND_M))
    open_way &= clearance_m(costmap.cells != OCCUPIED, grid.resolution_m) >= radius_m
    is_mapped = grid.inside(grid.cells(start[None, :2]))[0]
    nearest = np.unravel_index(np.where(open_way, away_m, np.inf).argmin(), grid.shape)
    if not open_way.any() or away_m[nearest] > (START_REACH_M if is_mapped else BLIND_M):
        return np.zeros_like(fits)
    areas, _ = ndimage.label(open_way, _EIGHT)
    return np.asarray(fits & (areas == areas[nearest]))


def _near_thing(
    costmap: Costmap,
    fits: NDArray[np.bool_],
    room_m: NDArray[np.float64],
    mask: Mask3D,
    how: GoalOptions,
) -> _Places:
    """At most `MOST_PLACES` cells at the wanted distances, spread evenly over all of them."""
    cells = np.argwhere(fits)
    if len(cells) == 0:
        return _Places(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    centres = costmap.grid.centres(cells)
    distance_m, _ = cKDTree(mask.points[:, :2]).query(centres)
    least, most = how.distance_m
    wanted = np.flatnonzero((distance_m >= least) & (distance_m <= most))
    chosen = wanted[:: max(-(-len(wanted) // MOST_PLACES), 1)]
    rows, columns = cells[chosen].T
    return _Places(centres[chosen], distance_m[chosen], room_m[rows, columns])


def visible_share(
    eyes: Floats, mask: Mask3D, surface: SurfaceCloud, resolution_m: float
) -> NDArray[np.float64]:
    """(P,) how much of a thing is seen from (P, 3) places, [0, 1].

    Of its points whose surface faces the eye, those count to which no other surface is in the
    way. A side that the map has never seen does not face anything.

    Args:
        eyes: metres, map frame.
        mask: of this surface or an older one.
        surface: what may be in the way.
        resolution_m: edge of the voxels in which surfaces are in the way.
    """
    tree = cKDTree(surface.points)
    chosen = np.linspace(0, len(mask.points) - 1, min(len(mask.points), MOST_POINTS)).astype(int)
    points = mask.points[chosen].astype(np.float64)
    normals = surface.normals[tree.query(points)[1]]
    blocked = _Voxels.around(points, eyes, _others(surface, mask, tree), resolution_m)
    share = np.zeros(len(eyes))
    for index, eye in enumerate(eyes):
        facing = ((eye - points) * normals).sum(axis=1) > 0
        if facing.any():
            seen = ~blocked.between(eye, points[facing])
            # An eye that little of the thing faces sees it at a poor angle, from behind or below.
            share[index] = seen.sum() / max(facing.sum(), len(points) / 2)
    return share


def _others(surface: SurfaceCloud, mask: Mask3D, tree: cKDTree) -> NDArray[np.float64]:
    """(N, 3) the surface without the thing itself."""
    own = np.zeros(len(surface.points), np.bool_)
    own[tree.query(mask.points)[1]] = True
    return surface.points[~own].astype(np.float64)


@dataclass(frozen=True)
class _Voxels:
    """Which voxels of a box hold surface."""

    origin: NDArray[np.float64]
    edge_m: float
    full: NDArray[np.bool_]

    @staticmethod
    def around(points: Floats, eyes: Floats, surface: Floats, edge_m: float) -> _Voxels:
        """The voxels of a surface in the box that holds all rays from eyes to points."""
        both = np.concatenate([points, eyes])
        low, high = both.min(axis=0) - edge_m, both.max(axis=0) + edge_m
        shape = np.ceil((high - low) / edge_m).astype(int)
        full = np.zeros(shape, np.bool_)
        inside = surface[((surface >= low) & (surface < high)).all(axis=1)]
        full[tuple(np.minimum(((inside - low) / edge_m).astype(int), shape - 1).T)] = True
        return _Voxels(low, edge_m, full)

    def between(self, eye: Floats, points: Floats) -> NDArray[np.bool_]:
        """(N,) whether surface lies between an eye and (N, 3) points, but not next to these."""
        along = points - eye
        length_m = np.linalg.norm(along, axis=1)
        count = int(np.ceil(length_m.max() / (self.edge_m / 2)))
        share = (np.arange(count) + 0.5) / count
        samples = eye + share[:, None, None] * along  # [S, N, 3]
        cells = ((samples - self.origin) / self.edge_m).astype(int)
        hit = self.full[tuple(np.moveaxis(cells, -1, 0))]
        before = (1 - share)[:, None] * length_m > TOUCHING * self.edge_m
        return np.asarray((hit & before).any(axis=0))


def _preference(distance_m: Floats, wanted_m: tuple[float, float]) -> NDArray[np.float64]:
    middle, half = np.mean(wanted_m), (wanted_m[1] - wanted_m[0]) / 2
    factor: NDArray[np.float64] = 1 - 0.5 * np.abs(distance_m - middle) / half
    return factor


def _spread(centres: Floats, score: Floats, how: GoalOptions) -> list[int]:
    """Positions of the best places that are apart from better ones."""
    chosen: list[int] = []
    for i in np.argsort(-score, kind="stable"):
        if score[i] <= 0 or len(chosen) == how.max_results:
            break
        apart_m = np.linalg.norm(centres[chosen] - centres[i], axis=1)
        if apart_m.min(initial=np.inf) >= how.spacing_m:
            chosen.append(int(i))
    return chosen


def _goal(
    places: _Places, i: int, score: float, visible: float, target: Floats, floor_m: float
) -> Goal:
    towards = target - places.centres[i]
    yaw = np.arctan2(towards[1], towards[0])
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = [*places.centres[i], floor_m]
    return Goal(pose, score, visible, float(places.distance_m[i]), float(places.clearance_m[i]))
