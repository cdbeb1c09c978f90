"""Integer names of voxels, and a growing sorted index of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
Ints = NDArray[np.int64]

_HALF_RANGE = 1 << 20


def voxel_keys(points: Float, voxel_m: float) -> Ints:
    """(N,) one integer per voxel of (N, 3) finite points within 10⁶ voxels of the origin.

    The voxel `step` cells away has the key `key + key_offset(step)`.
    """
    cells = np.floor(np.asarray(points, np.float64) / voxel_m).astype(np.int64)
    cells = np.clip(cells + _HALF_RANGE, 0, 2 * _HALF_RANGE - 1)
    return (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]


def key_offset(step: tuple[int, int, int]) -> int:
    """What must be added to a voxel's key to reach the voxel `step` cells away."""
    return (step[0] << 42) + (step[1] << 21) + step[2]


def voxel_centres(keys: Ints, voxel_m: float) -> NDArray[np.float32]:
    """(N, 3) centres of the voxels, the inverse of `voxel_keys`."""
    mask = (1 << 21) - 1
    cells = np.stack([keys >> 42, (keys >> 21) & mask, keys & mask], axis=1) - _HALF_RANGE
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
