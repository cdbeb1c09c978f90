"""Depth of a camera of its own, as the colour camera would have measured it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import PinholeCamera

#: pixels of depth that would cover more than this many of colour a side are left out: so near the
#: lens nothing is measured.
MAX_FOOTPRINT_PX = 32
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


def register_depth(
    depth_m: NDArray[np.float32],
    depth_camera: PinholeCamera,
    colour_camera: PinholeCamera,
    colour_from_depth: NDArray[np.float64],
) -> NDArray[np.float32]:
    """(H, W) f32 metres in the pixels of the colour camera, NaN where nothing was measured.

    Every depth pixel is a small square at its depth, whose corners are projected; it covers the
    colour pixels whose centres it holds, and the nearest one wins. Neighbouring squares share
    their edges, so a surface that faces the cameras stays whole at any ratio of the resolutions.
    A slanted one may get gaps of a pixel; where one camera is turned, squares overlap a little.

    Args:
        depth_m: (h, w) f32 metres along the depth camera's optical axis, NaN unknown.
        depth_camera: undistorted, of the size of `depth_m`.
        colour_camera: undistorted.
        colour_from_depth: (4, 4) from the depth camera's optical frame to the colour camera's.

    Raises:
        ValueError: `depth_m` is not of the depth camera's size.
    """
    if depth_m.shape != (depth_camera.height, depth_camera.width):
        raise ValueError(
            f"depth must be {depth_camera.width}x{depth_camera.height} as its CameraInfo says, "
            f"got {depth_m.shape[1]}x{depth_m.shape[0]}"
        )
    registered = np.full((colour_camera.height, colour_camera.width), np.inf, np.float32)
    _splat(
        np.ascontiguousarray(depth_m, np.float32),
        _numbers(depth_camera),
        _numbers(colour_camera),
        np.ascontiguousarray(colour_from_depth[:3], np.float64),
        registered,
    )
    registered[np.isinf(registered)] = np.nan
    return registered


def _numbers(camera: PinholeCamera) -> NDArray[np.float64]:
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy])


@numba.njit(**_OPTIONS)
def _splat(depth_m, depth_camera, colour_camera, pose, nearest_m):  # type: ignore[no-untyped-def]
    """Puts all pixels of depth (h, w) into `nearest_m` (H, W), which it lowers in place.

    Args:
        depth_m: (h, w) f32.
        depth_camera, colour_camera: (4,) fx fy cx cy.
        pose: (3, 4) colour from depth.
        nearest_m: (H, W) f32, infinite where nothing is yet.
    """
    rows, columns = nearest_m.shape
    pixel, low, high = np.empty(2), np.empty(2), np.empty(2)
    for v in range(depth_m.shape[0]):
        for u in range(depth_m.shape[1]):
            z = depth_m[v, u]
            if not z > 0:
                continue
            ahead_m = _project(depth_camera, colour_camera, pose, u, v, z, pixel)
            low[:], high[:] = np.inf, -np.inf
            nearest_corner_m = ahead_m
            for corner in range(4):
                side, below = corner % 2 - 0.5, corner // 2 - 0.5
                there_m = _project(
                    depth_camera, colour_camera, pose, u + side, v + below, z, pixel
                )
                nearest_corner_m = min(nearest_corner_m, there_m)
                for axis in range(2):
                    low[axis] = min(low[axis], pixel[axis])
                    high[axis] = max(high[axis], pixel[axis])
            footprint_px = max(high[0] - low[0], high[1] - low[1])
            if not nearest_corner_m > 0 or footprint_px > MAX_FOOTPRINT_PX:
                continue
            for row in range(_first_centre(low[1], rows), _first_centre(high[1], rows)):
                for column in range(
                    _first_centre(low[0], columns), _first_centre(high[0], columns)
                ):
                    nearest_m[row, column] = min(nearest_m[row, column], ahead_m)


@numba.njit(**_OPTIONS)
def _project(depth_camera, colour_camera, pose, u, v, z, pixel):  # type: ignore[no-untyped-def]
    """Writes the colour pixel (2,) of a depth pixel; returns its depth there, metres."""
    x = (u - depth_camera[2]) / depth_camera[0] * z
    y = (v - depth_camera[3]) / depth_camera[1] * z
    ahead = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
    right = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
    down = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
    pixel[0] = right / ahead * colour_camera[0] + colour_camera[2]
    pixel[1] = down / ahead * colour_camera[1] + colour_camera[3]
    return ahead


@numba.njit(**_OPTIONS)
def _first_centre(edge, count):  # type: ignore[no-untyped-def]
    """The first pixel centre (whole number) at or after an edge, cut to [0, count]."""
    return int(np.ceil(min(max(edge, 0.0), float(count))))
