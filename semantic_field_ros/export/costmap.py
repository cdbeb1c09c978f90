"""Where a robot on the ground can be: free, occupied and unknown cells from the map's surface.

The map frame's z is up and its floor is level, as REP 105 has it. Free needs evidence: the floor
was seen in the cell, or a camera looked through it just above the floor. Where a drop was seen
(stairs down, a dock) neither a ray across it nor one into it says anything of a floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.ground import GroundGrid
from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.floating]

FREE, OCCUPIED, UNKNOWN = 0, 100, -1
#: views whose rays are followed, spread over all; rays of each; surface points that they end at.
VIEWS, RAYS, ENDS = 48, 500, 40_000


@dataclass(frozen=True)
class Costmap:
    """Cells as nav_msgs/OccupancyGrid counts them.

    Attributes:
        grid: where they lie.
        cells: (rows along y, columns along x) i8: 0 free, 100 occupied, -1 unknown.
        map_version: of the surface that it was made from.
    """

    grid: GroundGrid
    cells: NDArray[np.int8]
    map_version: int


def build_costmap(
    surface: SurfaceCloud, views: Sequence[KeyframeView], config: NavigationConfig
) -> Costmap:
    """What stands on the floor of a surface, N >= 1 points.

    Args:
        surface: of the map.
        views: keyframes; their rays to the surface are evidence of free space.
        config: heights and resolution.

    Raises:
        ValueError: far more cells than a robot needs; see `GroundGrid.around`.
    """
    height_m = surface.points[:, 2] - config.floor_m
    grid = GroundGrid.around(surface.points, config.resolution_m)
    low, high = config.obstacle_low_m, config.obstacle_high_m
    obstacle, ground = (height_m > low) & (height_m < high), np.abs(height_m) <= low
    area_m2 = grid.amount(surface.points[obstacle], surface.spacing_m[obstacle] ** 2)
    occupied = area_m2 >= config.obstacle_area_m2
    floor = grid.amount(surface.points[ground]) > 0
    free = floor | looked_through(grid, surface, views, config)
    # The samples of a floor are about as far apart as cells: single gaps between them are floor.
    free |= ndimage.binary_closing(free, np.ones((3, 3), np.bool_))
    free &= floor | (grid.amount(surface.points[height_m < -low]) == 0)
    cells = np.full(grid.shape, UNKNOWN, np.int8)
    cells[_wide_enough(free & ~occupied, config)] = FREE
    cells[occupied] = OCCUPIED
    return Costmap(grid, cells, surface.map_version)


def _wide_enough(free: NDArray[np.bool_], config: NavigationConfig) -> NDArray[np.bool_]:
    """The free areas that the robot fits in: specks amid furniture are holes in its surface."""
    areas, count = ndimage.label(free)
    room_m = clearance_m(free, config.resolution_m)
    widest_m = np.asarray(ndimage.maximum(room_m, areas, np.arange(count + 1)))
    return free & (widest_m >= config.robot_radius_m)[areas]


def clearance_m(free: NDArray[np.bool_], resolution_m: float) -> NDArray[np.float64]:
    """(rows, columns) at least how far the middle of a cell is from all that is not free, metres.

    What lies outside the grid is not free; what is not free may begin at the corner of its cell.
    """
    cells = ndimage.distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1]
    return np.asarray(resolution_m * np.maximum(cells - np.sqrt(0.5), 0), np.float64)


def looked_through(
    grid: GroundGrid,
    surface: SurfaceCloud,
    views: Sequence[KeyframeView],
    config: NavigationConfig,
) -> NDArray[np.bool_]:
    """(rows, columns) cells that some ray crosses lower than `ray_height_m` before it ends.

    What a ray ends at must not lie below the floor, of which it then says nothing.
    """
    passed = np.zeros(grid.shape, np.bool_)
    every = max(len(views) // VIEWS, 1)
    points = surface.points[:: max(len(surface.points) // ENDS, 1)]
    low_m, high_m = (config.floor_m + h for h in (config.obstacle_low_m, config.ray_height_m))
    for view in views[::every]:
        eye = view.world_from_camera[:3, 3]
        ends = _seen_from(view, points)
        ends = ends[ends[:, 2] >= config.floor_m - config.obstacle_low_m]
        samples = _samples_between(eye, ends, (low_m, high_m), config.resolution_m)
        passed |= grid.amount(samples) > 0
    return passed


def _seen_from(view: KeyframeView, points: Floats) -> NDArray[np.float64]:
    """(R, 3) some of (N, 3) points that a view sees: the nearest in each of `RAYS` image cells."""
    camera = view.camera
    pixel, depth_m = project(camera, view.world_from_camera, points)
    shown = np.flatnonzero(inside_image(camera, pixel, depth_m))
    edge_px = np.sqrt(camera.width * camera.height / RAYS)
    column, row = np.floor((pixel[shown] + 0.5) / edge_px).astype(np.int64).T
    order = np.lexsort((depth_m[shown], row * camera.width + column))
    nearest = np.unique((row * camera.width + column)[order], return_index=True)[1]
    return points[shown[order[nearest]]].astype(np.float64)


def _samples_between(
    eye: NDArray[np.float64],
    ends: NDArray[np.float64],
    heights_m: tuple[float, float],
    resolution_m: float,
) -> NDArray[np.float64]:
    """(N, 3) points along rays where they are between two heights, half a cell apart.

    The last cell and a half of a ray is left out: what stops it is there.
    """
    along = ends - eye
    length_m = np.linalg.norm(along[:, :2], axis=1)
    last = 1 - 1.5 * resolution_m / np.maximum(length_m, 1e-9)
    slope = np.where(np.abs(along[:, 2]) < 1e-9, 1e-9, along[:, 2])
    one, other = ((height - eye[2]) / slope for height in heights_m)
    start = np.clip(np.minimum(one, other), 0, 1)
    stop = np.minimum(np.clip(np.maximum(one, other), 0, 1), last)
    count = np.ceil(np.maximum(stop - start, 0) * length_m / (resolution_m / 2)).astype(np.int64)
    ray = np.repeat(np.arange(len(ends)), count)
    step = np.arange(len(ray)) - np.repeat(np.cumsum(count) - count, count)
    share = start[ray] + (stop - start)[ray] * (step + 0.5) / np.maximum(count[ray], 1)
    samples: NDArray[np.float64] = eye + share[:, None] * along[ray]
    return samples
