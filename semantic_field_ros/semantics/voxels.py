"""Integer names of voxels, and a growing sorted index of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Ints = NDArray[np.int64]

_BITS = 20
_MASK = (1 << _BITS) - 1


def voxel_keys(points: Float, voxel_m: float, level: int = 0) -> Ints:
    """(N,) one integer per voxel of (N, 3) finite points less than 10⁶ voxels apart.

    The voxel `step` cells away has the key `key + key_offset(step)`. At `level` l in [0, 7] edges
    are 2^l times as long; voxels of different levels have different keys.
    """
    cells = np.floor(np.asarray(points, np.float64) / (voxel_m * 2**level)).astype(np.int64)
    cells = (cells + (1 << _BITS - 1)) & _MASK  # the seam lies far from the origin of most maps
    keys = (cells[:, 0] << 2 * _BITS) | (cells[:, 1] << _BITS) | cells[:, 2]
    return keys | level << 3 * _BITS


def key_offset(step: tuple[int, int, int]) -> int:
    """What must be added to a voxel's key to reach the voxel `step` cells away."""
    return (step[0] << 2 * _BITS) + (step[1] << _BITS) + step[2]


def voxel_centres(points: Float, voxel_m: float) -> NDArray[np.float32]:
    """(N, 3) centres of the voxels of level 0 that (N, 3) points lie in."""
    cells = np.floor(np.asarray(points, np.float64) / voxel_m)
    return ((cells + 0.5) * voxel_m).astype(np.float32)


class VoxelIndex:
    """Gives every voxel that is ever named a row number, in the order of first naming."""

    def __init__(self, keys: Ints | None = None) -> None:
        given = np.zeros(0, np.int64) if keys is None else np.asarray(keys, np.int64)
        order = np.argsort(given)
        self._sorted, self._rows = given[order], order.astype(np.int64)

    def __len__(self) -> int:
        return len(self._sorted)

    def copy(self) -> VoxelIndex:
        """An index that later additions do not change."""
        twin = VoxelIndex()
        twin._sorted, twin._rows = self._sorted, self._rows  # `add` replaces, never writes
        return twin

    def keys(self) -> Ints:
        """(V,) keys by row."""
        keys = np.empty_like(self._sorted)
        keys[self._rows] = self._sorted
        return keys

    def find(self, keys: Ints) -> Ints:
        """(N,) rows of the keys, -1 where a voxel was never added."""
        if len(self._sorted) == 0:
            return np.full(len(keys), -1, np.int64)
        position = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[position] == keys, self._rows[position], -1)

    def add(self, keys: Ints) -> Ints:
        """(N,) rows of the keys; new voxels get the next row numbers."""
        new = np.unique(keys[self.find(keys) < 0])
        at = np.searchsorted(self._sorted, new)
        rows = len(self) + np.arange(len(new))
        self._sorted = np.insert(self._sorted, at, new)
        self._rows = np.insert(self._rows, at, rows)
        return self.find(keys)
