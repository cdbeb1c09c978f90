"""Compiled loops of the surface: merging samples in voxels, and asking other views about points.

Both run on one thread and release the GIL; their results depend on the order of their input only.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: columns of a surface sample: position, normal, colour, weight.
COLUMNS = 10
_WEIGHT = COLUMNS - 1
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@numba.njit(**_OPTIONS)
def _voxel_key(sample, voxel_m):  # type: ignore[no-untyped-def]
    """The voxel of a sample as one integer, unique within 10⁶ voxels of the origin."""
    half = np.int64(1 << 20)
    x = np.int64(np.floor(sample[0] / voxel_m)) + half
    y = np.int64(np.floor(sample[1] / voxel_m)) + half
    z = np.int64(np.floor(sample[2] / voxel_m)) + half
    return (x << 42) | (y << 21) | z


@numba.njit(**_OPTIONS)
def merge_samples(samples, live, voxel_m, capacity):  # type: ignore[no-untyped-def]
    """Weighted means of the samples in each voxel, in the order in which voxels are first met.

    Args:
        samples: (N, 10) f32 rows of position, normal, colour, weight > 0.
        live: how many of the first rows are live; the others count only in voxels without those.
        voxel_m: edge of a voxel, metres.
        capacity: most voxels.

    Returns:
        (V, 10) f32 means with the sum of the weights, and how many of the first V rows are live;
        V is `capacity` + 1, and the rows mean nothing, if there are more voxels than that.
    """
    bits = 4
    while (1 << bits) < 2 * len(samples):
        bits += 1
    mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
    keys = np.full(1 << bits, -1, np.int64)
    rows = np.empty(1 << bits, np.int32)
    sums = np.zeros((min(capacity, len(samples)) + 1, COLUMNS), np.float64)
    count, live_rows = 0, 0
    for i in range(len(samples)):
        key = _voxel_key(samples[i], voxel_m)
        # Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4), linear probing.
        at = np.int64((np.uint64(key) * np.uint64(11400714819323198485)) >> shift)
        while keys[at] != key and keys[at] != -1:
            at = (at + 1) & mask
        if keys[at] == -1:
            if count == capacity:
                return np.zeros((capacity + 1, COLUMNS), np.float32), 0
            keys[at], rows[at] = key, count
            count += 1
        row = rows[at]
        if i >= live and row < live_rows:
            continue
        weight = np.float64(samples[i, _WEIGHT])
        for c in range(_WEIGHT):
            sums[row, c] += weight * samples[i, c]
        sums[row, _WEIGHT] += weight
        if i < live:
            live_rows = count
    merged = np.empty((count, COLUMNS), np.float32)
    for row in range(count):
        for c in range(_WEIGHT):
            merged[row, c] = sums[row, c] / sums[row, _WEIGHT]
        merged[row, _WEIGHT] = sums[row, _WEIGHT]
    return merged, live_rows


@numba.njit(**_OPTIONS)
def _verdict(depth_m, row, column, distance_m, tolerance_m):  # type: ignore[no-untyped-def]
    """1 if some pixel of 3x3 lies at this distance, -1 if all known ones lie beyond, else 0."""
    height, width = depth_m.shape
    if not depth_m[row, column] > distance_m - tolerance_m:
        return 0
    beyond = True
    for v in range(max(row - 1, 0), min(row + 2, height)):
        for u in range(max(column - 1, 0), min(column + 2, width)):
            difference = depth_m[v, u] - distance_m
            if abs(difference) <= tolerance_m:
                return 1
            if difference < 0:
                beyond = False
    return -1 if beyond else 0


@numba.njit(**_OPTIONS)
def count_votes(points, camera_from_world, camera, depth_m, tolerance, votes):  # type: ignore[no-untyped-def]
    """Adds to `votes` (N, 2) i32 whether a view sees each point [0] or looks through it [1].

    Args:
        points: (N, 3) f32, world frame.
        camera_from_world: (3, 4) f32.
        camera: (4,) f32 fx fy cx cy of the depth map.
        depth_m: (h, w) f32, NaN unknown.
        tolerance: (2,) f32: metres, and metres per metre of distance.
        votes: changed in place.
    """
    height, width = depth_m.shape
    pose = camera_from_world
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        ahead = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
        if ahead <= 0.01:
            continue
        right = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
        column = np.floor(right / ahead * camera[0] + camera[2] + 0.5)
        if not 0 <= column < width:
            continue
        down = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
        row = np.floor(down / ahead * camera[1] + camera[3] + 0.5)
        if not 0 <= row < height:
            continue
        slack = tolerance[0] + tolerance[1] * ahead
        verdict = _verdict(depth_m, np.int64(row), np.int64(column), ahead, slack)
        if verdict > 0:
            votes[i, 0] += 1
        elif verdict < 0:
            votes[i, 1] += 1
