"""Where a robot must not go, around what a query found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semantic_field_ros.export.anchoring import Anchor, anchor_of
from semantic_field_ros.export.ground import GroundGrid
from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.geometry import nearest_points, transform_points
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.queries.base import ClickQuery, TextQuery

Floats = NDArray[np.floating]

#: KeepoutFilter leaves cells of -1 alone; 0 would make free what the costmap does not know.
ALLOWED, FORBIDDEN = -1, 100
#: the farthest that two points of touching cells can be apart more than their middles, in edges.
DIAGONAL = np.sqrt(2.0)
#: a click this near to a thing is a click on it, metres.
ON_THE_THING_M = 0.05
#: what of a question in words says which things it means, not how many or how well they are found.
MEANING = ("text", "exclude", "negatives", "relations", "region_m", "reference_pose")


@dataclass(frozen=True)
class KeepOutZone:
    """A thing and how far to stay away from it.

    Attributes:
        label: what it is.
        points: (N, 3) of it in the map frame, N >= 1, metres.
        radius_m: distance from its footprint, >= 0.
        anchor: the keyframe whose late corrections it follows; None = not known yet.
    """

    label: str
    points: Floats
    radius_m: float
    anchor: Anchor | None = None

    def __post_init__(self) -> None:
        if len(self.points) == 0:
            raise ValueError("a keep-out zone needs at least one point, got none")
        if not 0 <= self.radius_m < np.inf:
            raise ValueError(f"radius must be finite and >= 0, got {self.radius_m:g} m")

    def followed(
        self, views: Mapping[int, KeyframeView], depths: Iterable[KeyframeDepth]
    ) -> KeepOutZone:
        """The zone where its keyframe is now; itself if that has not moved.

        Args:
            views: the keyframes that are held, by id.
            depths: what they see; a zone without a keyframe gets the one that shows it best.
        """
        view = None if self.anchor is None else self.anchor.now(views)
        if self.anchor is None or view is None:
            found = anchor_of(self.points, views, depths)
            return self if found is self.anchor else replace(self, anchor=found)
        if np.array_equal(view.world_from_camera, self.anchor.world_from_camera):
            return self
        points = transform_points(self.anchor.new_from_old(view), self.points)
        there = replace(self.anchor, world_from_camera=view.world_from_camera)
        return replace(self, points=points, anchor=there)


@dataclass(frozen=True)
class QueryZones:
    """What one query forbids.

    Attributes:
        query: what was asked; of a click the point in the map.
        zones: around what was found.
    """

    query: TextQuery | ClickQuery
    zones: tuple[KeepOutZone, ...]

    def asked_by(self, query: TextQuery | ClickQuery) -> bool:
        """Whether a query means the same: equal words and places, or a click on what an earlier
        one found."""
        if isinstance(query, TextQuery) or isinstance(self.query, TextQuery):
            return type(query) is type(self.query) and all(
                np.array_equal(getattr(query, name), getattr(self.query, name)) for name in MEANING
            )
        clicked = query.points_world
        return clicked is not None and any(
            nearest_points(zone.points.astype(np.float32), clicked)[0].min() <= ON_THE_THING_M
            for zone in self.zones
        )


@dataclass(frozen=True)
class KeepOutMask:
    """A filter mask as Nav2's KeepoutFilter reads it.

    Attributes:
        grid: where the cells lie.
        cells: (rows along y, columns along x) i8: 100 forbidden, -1 not.
    """

    grid: GroundGrid
    cells: NDArray[np.int8]

    def forbids(self, ground: GroundGrid) -> NDArray[np.bool_]:
        """(rows, columns) which cells of a ground that the mask covers are forbidden."""
        column, row = ground.first - self.grid.first
        rows, columns = ground.shape
        part = self.cells[row : row + rows, column : column + columns]
        return np.asarray(part == FORBIDDEN)


def keep_out_mask(ground: GroundGrid, zones: Sequence[KeepOutZone]) -> KeepOutMask:
    """The cells that any zone touches.

    A zone is the convex hull of its points seen from above, for the map rarely shows all sides of
    a thing, grown by its radius. The mask covers all of the ground and every zone.

    Raises:
        ValueError: a zone so large that the mask gets far too many cells.
    """
    outlines = [_outer_corners(zone) for zone in zones]
    last = ground.origin_m + (np.array(ground.shape[::-1]) - 0.5) * ground.resolution_m
    first = ground.origin_m + 0.5 * ground.resolution_m
    grid = GroundGrid.around(np.concatenate([[first, last], *outlines]), ground.resolution_m)
    cells = np.full(grid.shape, ALLOWED, np.int8)
    for zone in zones:
        distance_m = grid.resolution_m * _distance(grid.covered(zone.points))
        cells[distance_m <= zone.radius_m + DIAGONAL * grid.resolution_m] = FORBIDDEN
    return KeepOutMask(grid, cells)


def _distance(covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(rows, columns) from each cell to the nearest covered one, in cells."""
    return np.asarray(ndimage.distance_transform_edt(~covered), np.float64)


def _outer_corners(zone: KeepOutZone) -> NDArray[np.float64]:
    """(2, 2) lowest and highest x, y that the zone reaches."""
    flat = np.asarray(zone.points[:, :2], np.float64)
    return np.stack([flat.min(axis=0) - zone.radius_m, flat.max(axis=0) + zone.radius_m])
