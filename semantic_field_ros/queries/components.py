"""Connected components of a point set, by a voxel grid."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as graph_components

from semantic_field_ros.semantics.voxels import key_offset, voxel_keys

Float = NDArray[np.floating]
Ints = NDArray[np.int64]

_STEPS = (-1, 0, 1)
_HALF_NEIGHBOURHOOD = [
    (x, y, z) for x, y, z in itertools.product(_STEPS, _STEPS, _STEPS) if (x, y, z) > (0, 0, 0)
]


def connected_components(points: Float, link_m: float) -> Ints:
    """(N,) component of each of (N, 3) points, numbered from 0, the largest first.

    Points within `link_m` of each other are always connected; points farther apart than
    2·√3·`link_m` never are, unless others bridge the gap.

    Raises:
        ValueError: `link_m` is not positive.
    """
    if link_m <= 0:
        raise ValueError(f"link_m must be positive, got {link_m}")
    if len(points) == 0:
        return np.zeros(0, np.int64)
    voxels, voxel_of_point = np.unique(voxel_keys(points, link_m), return_inverse=True)
    pairs = [_neighbours(voxels, key_offset(offset)) for offset in _HALF_NEIGHBOURHOOD]
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(voxels),) * 2)
    _, label_of_voxel = graph_components(graph, directed=False)
    labels = label_of_voxel[voxel_of_point.ravel()]
    rank = np.argsort(np.argsort(-np.bincount(labels), kind="stable"), kind="stable")
    return rank[labels].astype(np.int64)


def _neighbours(voxels: Ints, offset: int) -> tuple[Ints, Ints]:
    """Pairs of positions in the sorted `voxels` whose keys differ by `offset`."""
    position = np.minimum(np.searchsorted(voxels, voxels + offset), len(voxels) - 1)
    rows = np.flatnonzero(voxels[position] == voxels + offset)
    return rows, position[rows]
