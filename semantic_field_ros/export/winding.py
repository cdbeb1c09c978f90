"""How often an oriented point cloud winds around a place: 1 inside, 0 outside.

The generalised winding number (Jacobson et al. 2013) of points with normals and areas, Barill et
al. 2018, eq. 2: w(q) = Σ aᵢ nᵢ·(pᵢ−q) / (4π |pᵢ−q|³). Where the surface is open it passes smoothly
from one to the other, so its 1/2 closes what was not seen.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float32]

#: neighbours by which the density of a cloud is judged.
NEIGHBOURS = 12


def winding_number(
    queries: Floats, points: Floats, area_normals: NDArray[np.floating], blur_m: float
) -> Floats:
    """(Q,) how often the surface of (M, 3) points winds around each of (Q, 3) queries.

    Args:
        queries, points: metres.
        area_normals: (M, 3) outward normals, as long as each point's area, square metres.
        blur_m: distances are rounded off by this beside the points, metres, > 0.
    """
    middle = points.mean(axis=0)
    at = np.ascontiguousarray((points - middle).T, np.float32)
    weight = np.ascontiguousarray(np.asarray(area_normals).T, np.float32)
    asked = np.ascontiguousarray(queries - middle, np.float32)
    result = np.empty(len(queries), np.float32)
    _sum_flux(asked, at, weight, np.float32(blur_m**2), result)
    return result / np.float32(4 * np.pi)


def voxel_areas(normals: NDArray[np.floating], spacing_m: float) -> NDArray[np.float64]:
    """(M,) square metres of surface for each point of a cloud with one point per voxel.

    A plane with unit normal n passes through (|nx| + |ny| + |nz|) / h² voxels of edge h per area.
    """
    share = np.maximum(np.abs(np.asarray(normals, np.float64)).sum(axis=1), 1.0)
    return spacing_m**2 / share


def point_areas(
    points: Floats, normals: NDArray[np.floating], spacing_m: float
) -> NDArray[np.float64]:
    """(M,) square metres for each point of a cloud with at most one point per voxel.

    Where the cloud is sparser than its voxels, the disc that reaches a point's k-th neighbour is
    shared by k + 1 points.
    """
    count = min(NEIGHBOURS, len(points) - 1)
    if count < 1:
        return voxel_areas(normals, spacing_m)
    reach_m = cKDTree(points).query(points, count + 1)[0][:, -1]
    return np.maximum(voxel_areas(normals, spacing_m), np.pi * reach_m**2 / (count + 1))


# Sums may be reordered: they are vectorised, and nobody depends on their last bit.
@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=True)
def _sum_flux(queries, points, weights, blur2, result):  # type: ignore[no-untyped-def]
    for q in range(len(queries)):
        x, y, z = queries[q]
        total = np.float32(0)
        for i in range(points.shape[1]):
            dx, dy, dz = points[0, i] - x, points[1, i] - y, points[2, i] - z
            squared = dx * dx + dy * dy + dz * dz + blur2
            flux = dx * weights[0, i] + dy * weights[1, i] + dz * weights[2, i]
            total += flux / (squared * np.sqrt(squared))
        result[q] = total
