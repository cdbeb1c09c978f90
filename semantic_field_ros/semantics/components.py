"""Connected components of a point set whose spacing varies, by voxel grids."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as graph_components

from semantic_field_ros.semantics.voxels import key_offset, voxel_centres, voxel_keys

Float = NDArray[np.floating]
Ints = NDArray[np.int64]

#: to the columns of three voxels around a voxel, by what is added to its key.
_COLUMNS = [key_offset((x, y, 0)) for x, y in itertools.product((-1, 0, 1), repeat=2)]


def connected_components(points: Float, link_m: Float) -> Ints:
    """(N,) component of each of (N, 3) points, numbered from 0, the largest first.

    Points within the longer one of their links are always connected; points farther apart than
    4·√3 times that never are, unless others bridge the gap. So what is sampled coarsely hangs
    together, and things that are sampled finely are told apart by small gaps.

    Args:
        points: metres.
        link_m: (N,) how far each point reaches, metres.

    Raises:
        ValueError: a link is not positive.
    """
    if len(points) == 0:
        return np.zeros(0, np.int64)
    shortest_m = float(link_m.min())
    if not shortest_m > 0:
        raise ValueError(f"link_m must be positive, got {shortest_m}")
    octave = np.ceil(np.log2(link_m / shortest_m) - 1e-3)
    node, centres = np.empty(len(points), np.int64), np.zeros((0, 3), np.float32)
    links = []
    for level in np.unique(octave):  # nodes are voxels, each of the size of its points' links
        at, edge_m, first = np.flatnonzero(octave == level), shortest_m * 2**level, len(centres)
        voxels, sample, voxel_of_point = np.unique(
            voxel_keys(points[at], edge_m), return_index=True, return_inverse=True
        )
        node[at] = first + voxel_of_point.ravel()
        centres = np.concatenate([centres, voxel_centres(points[at[sample]], edge_m)])
        finer, own = _touching(voxel_keys(centres, edge_m), voxels)
        links.append((finer, first + own))
    rows, columns = (np.concatenate(side) for side in zip(*links, strict=True))
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(centres),) * 2)
    _, label_of_node = graph_components(graph, directed=False)
    labels = label_of_node[node]
    rank = np.argsort(np.argsort(-np.bincount(labels), kind="stable"), kind="stable")
    return rank[labels].astype(np.int64)


def _touching(keys: Ints, voxels: Ints) -> tuple[Ints, Ints]:
    """Pairs of positions in `keys` and in the sorted `voxels` that are neighbours or the same.

    The voxels of a column have keys in a row, so that one search finds the lowest one that exists.
    """
    pairs = []
    for column in _COLUMNS:
        middle = keys + column
        lowest = np.searchsorted(voxels, middle - 1)
        for above in range(3):
            position = np.minimum(lowest + above, len(voxels) - 1)
            found = np.flatnonzero(np.abs(voxels[position] - middle) <= 1)
            pairs.append((found, position[found]))
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return first, second
