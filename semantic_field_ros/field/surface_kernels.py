"""Compiled loops of the surface: merging samples in voxels, and asking other views about points.

Both run on one thread and release the GIL; their results depend on the order of their input only.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: columns of a surface sample: position, normal, colour, weight, footprint.
COLUMNS = 11
_WEIGHT, _FOOTPRINT = 9, 10
#: voxels are at most this many times doubled.
OCTAVES = 3
#: cosine between normals from which two samples can belong to one side of a surface.
FACING = 0.5
_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


@numba.njit(**_OPTIONS)
def _voxel_key(x, y, z, voxel_m, level):  # type: ignore[no-untyped-def]
    """The voxel of a point as one integer, unique among those less than 2²⁰ voxels apart."""
    edge_m = voxel_m * (1 << level)
    half, last = np.int64(1 << 19), np.int64((1 << 20) - 1)
    i = (np.int64(np.floor(x / edge_m)) + half) & last
    j = (np.int64(np.floor(y / edge_m)) + half) & last
    k = (np.int64(np.floor(z / edge_m)) + half) & last
    return (np.int64(level) << 60) | (i << 40) | (j << 20) | k


@numba.njit(**_OPTIONS)
def _empty_table(count):  # type: ignore[no-untyped-def]
    """Keys of a hash table for `count` voxels, at most half full."""
    bits = 4
    while (1 << bits) < 2 * count:
        bits += 1
    return np.full(1 << bits, -1, np.int64)


@numba.njit(**_OPTIONS)
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where a key is in the table, or where it would be put.

    Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4) with linear probing.
    """
    mask = len(keys) - 1
    mixed = np.uint64(key) * np.uint64(11400714819323198485)
    at = np.int64(mixed >> np.uint64(20)) & mask
    while keys[at] != key and keys[at] != -1:
        at = (at + 1) & mask
    return at


@numba.njit(**_OPTIONS)
def voxel_levels(samples, voxel_m, finest_m):  # type: ignore[no-untyped-def]
    """How often the voxels around each sample are doubled, by who saw the place from nearest.

    Space is cut into cells as large as the largest voxels. The finest footprint in a cell decides
    for all of it, so that what was seen from near and from far is one layer.

    Args:
        samples: (N, 11) f32, see `merge_samples`.
        voxel_m: edge of the finest voxels, metres.
        finest_m: footprints below twice this get the finest voxels, metres.

    Returns:
        (N,) i8 in [0, OCTAVES].
    """
    keys = _empty_table(len(samples))
    finest = np.full(len(keys), np.float32(np.inf), np.float32)
    cell = np.empty(len(samples), np.int32)
    for i in range(len(samples)):
        key = _voxel_key(samples[i, 0], samples[i, 1], samples[i, 2], voxel_m, OCTAVES)
        at = _slot(keys, key)
        keys[at], cell[i] = key, at
        finest[at] = min(finest[at], samples[i, _FOOTPRINT])
    levels = np.zeros(len(samples), np.int8)
    for i in range(len(samples)):
        footprint = finest[cell[i]]
        while levels[i] < OCTAVES and footprint >= 2 * finest_m:
            footprint /= 2
            levels[i] += 1
    return levels


@numba.njit(**_OPTIONS)
def merge_samples(samples, levels, live, voxel_m, capacity):  # type: ignore[no-untyped-def]
    """Weighted means of the samples in each voxel, in the order in which voxels are first met.

    Args:
        samples: (N, 11) f32 rows of position, normal, colour, weight > 0, footprint.
        levels: (N,) i8 how often the voxel of each sample is doubled.
        live: how many of the first rows are live; the others count only in voxels without those.
        voxel_m: edge of a voxel of level 0, metres.
        capacity: most voxels.

    Returns:
        (V, 11) f32 means with the sum of the weights and the finest footprint, their (V,) levels,
        and how many of the first V rows are live; V is `capacity` + 1, and the rows mean nothing,
        if there are more voxels than that.
    """
    keys = _empty_table(min(capacity, len(samples)))
    rows = np.empty(len(keys), np.int32)
    sums = np.zeros((min(capacity, len(samples)) + 1, COLUMNS), np.float64)
    sums[:, _FOOTPRINT] = np.inf
    level = np.zeros(len(sums), np.int8)
    count, live_rows = 0, 0
    for i in range(len(samples)):
        key = _voxel_key(samples[i, 0], samples[i, 1], samples[i, 2], voxel_m, levels[i])
        at = _slot(keys, key)
        if keys[at] == -1:
            if count == capacity:
                return sums.astype(np.float32), level, 0
            keys[at], rows[at], level[count] = key, count, levels[i]
            count += 1
        row = rows[at]
        sums[row, _FOOTPRINT] = min(sums[row, _FOOTPRINT], samples[i, _FOOTPRINT])
        if i >= live and row < live_rows:
            continue
        weight = np.float64(samples[i, _WEIGHT])
        for c in range(_WEIGHT):
            sums[row, c] += weight * samples[i, c]
        sums[row, _WEIGHT] += weight
        if i < live:
            live_rows = count
    for row in range(count):
        for c in range(_WEIGHT):
            sums[row, c] /= sums[row, _WEIGHT]
    return sums[:count].astype(np.float32), level[:count], live_rows


@numba.njit(**_OPTIONS)
def _add_neighbour(sums, samples, i, other):  # type: ignore[no-untyped-def]
    """Adds weight, offset along the normal of sample i and normal, if both face the same side."""
    a, b, c = samples[i, 3], samples[i, 4], samples[i, 5]
    p, q, r = samples[other, 3], samples[other, 4], samples[other, 5]
    if p * a + q * b + r * c < FACING * np.sqrt(a * a + b * b + c * c):
        return
    weight = samples[other, _WEIGHT]
    x = samples[other, 0] - samples[i, 0]
    y = samples[other, 1] - samples[i, 1]
    z = samples[other, 2] - samples[i, 2]
    sums[0] += weight
    sums[1] += weight * (x * a + y * b + z * c)
    sums[2] += weight * p
    sums[3] += weight * q
    sums[4] += weight * r


@numba.njit(**_OPTIONS)
def flatten(samples, levels, voxel_m):  # type: ignore[no-untyped-def]
    """Moves merged samples along their normals onto the mean surface of the voxels around them.

    One step of a projection onto a moving least squares surface (Alexa et al. 2003, "Computing
    and Rendering Point Set Surfaces", 3) of degree 0 with the samples' own normals; those that
    face elsewhere, as on the other side of a sheet, are left out. Normals become the means too.

    In the order of keys, the three voxels of a neighbouring column lie side by side, and those of
    the next sample lie further on: nine pointers that only advance find all 26 neighbours.

    Args:
        samples, levels: (V, 11) f32 and (V,) i8, one per voxel, as `merge_samples` makes them;
            voxels of different levels are no neighbours.
        voxel_m: edge of a voxel of level 0, metres.

    Returns:
        (V, 11) f32.
    """
    count = len(samples)
    keys = np.empty(count, np.int64)
    for i in range(count):
        keys[i] = _voxel_key(samples[i, 0], samples[i, 1], samples[i, 2], voxel_m, levels[i])
    order = np.argsort(keys)
    keys, near = keys[order], samples[order]
    flat = samples.copy()
    pointers = np.zeros(9, np.int64)
    sums = np.empty(5, np.float32)
    for i in range(count):
        sums[:] = 0
        for column in range(9):
            middle = keys[i] + ((column // 3 - 1) << 40) + ((column % 3 - 1) << 20)
            at = pointers[column]
            while at < count and keys[at] < middle - 1:
                at += 1
            pointers[column] = at
            while at < count and keys[at] <= middle + 1:
                _add_neighbour(sums, near, i, at)
                at += 1
        squared = near[i, 3] ** 2 + near[i, 4] ** 2 + near[i, 5] ** 2
        # Both sides of a thin sheet can cancel in a voxel: such a sample faces nowhere and stays.
        if sums[0] > 0 and squared > 0:
            for axis in range(3):
                flat[order[i], axis] += sums[1] / (sums[0] * squared) * near[i, 3 + axis]
                flat[order[i], 3 + axis] = sums[2 + axis] / sums[0]
    return flat


@numba.njit(**_OPTIONS)
def _verdict(depth_m, row, column, distance_m, tolerance_m):  # type: ignore[no-untyped-def]
    """1 if some pixel of 3x3 lies at this distance, -1 if all known ones lie beyond, else 0."""
    height, width = depth_m.shape
    behind_m = depth_m[row, column] - distance_m
    if abs(behind_m) <= tolerance_m:
        return 1
    if not behind_m > 0:
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
    half, nearest_m = np.float32(0.5), np.float32(0.01)
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        ahead = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
        if ahead <= nearest_m:
            continue
        right = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]
        column = right / ahead * camera[0] + camera[2] + half
        if not 0 <= column < width:
            continue
        down = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]
        row = down / ahead * camera[1] + camera[3] + half
        if not 0 <= row < height:
            continue
        slack = tolerance[0] + tolerance[1] * ahead
        verdict = _verdict(depth_m, np.int64(row), np.int64(column), ahead, slack)
        if verdict > 0:
            votes[i, 0] += 1
        elif verdict < 0:
            votes[i, 1] += 1
