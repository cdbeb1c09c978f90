"""Sets of surface points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def suppress_overlaps(
    members: Sequence[Ints], count: int, largest_overlap: float, nested_below: float = 0.0
) -> list[int]:
    """Greedy non-maximum suppression of point sets that come best first.

    A set is dropped when more than `largest_overlap` of the smaller of it and an already kept set
    lies in both, unless the smaller one is so small that it is a thing on, or a part of, the
    other; an empty set is dropped too.

    Args:
        members: indices of each set.
        count: number of points that the indices refer to.
        largest_overlap: in [0, 1].
        nested_below: sets may lie in others of which they are at most this share of the size.

    Returns:
        positions of the kept sets, in order.
    """
    kept: list[int] = []
    owners: list[NDArray[np.bool_]] = []
    for position, indices in enumerate(members):
        overlaps = (
            _overlap(owner, len(members[k]), indices)
            for k, owner in zip(kept, owners, strict=True)
            if not _nested(len(indices), len(members[k]), nested_below)
        )
        if len(indices) == 0 or any(overlap > largest_overlap for overlap in overlaps):
            continue
        owner = np.zeros(count, np.bool_)
        owner[indices] = True
        owners.append(owner)
        kept.append(position)
    return kept


def _nested(one: int, other: int, share: float) -> bool:
    return min(one, other) <= share * max(one, other)


def _overlap(owner: NDArray[np.bool_], owned: int, indices: Ints) -> float:
    """Share of the smaller of two non-empty sets that lies in both."""
    return float(np.count_nonzero(owner[indices])) / min(owned, len(indices))
