"""A sparse voxel memory of which scene query claims which piece of surface.

A voxel holds up to `SLOTS` queries, each with *hits*, the views in which a mask of the query
covered the voxel, out of *trials*, the views in which the query was matched and the voxel seen.
Their ratio is the query's membership of the voxel: views in which the segmenter missed the thing
altogether lower nothing. The size of the memory follows the surface, not the time, and is bounded:
beyond `MOST_VOXELS` those that fewest views saw are forgotten.

Voxels come in `LEVELS`, each twice as large as the one before. A sample counts in all that are
not smaller than the distance to its neighbours, and a place is read at the smallest that was ever
seen there: a mug nearby is told from its saucer, and views of a far wall still meet.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.semantics.voxels import VoxelIndex, voxel_keys
from semantic_field_ros.types import Array

SLOTS = 6
LEVELS = 4
#: about 90 bytes each.
MOST_VOXELS = 1_000_000

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class VoteMemory:
    """Votes of views for queries, by voxel.

    Attributes:
        voxel_m: edge of the smallest voxels; comes back with the votes that were counted in them.
    """

    def __init__(self, voxel_m: float) -> None:
        self.voxel_m = _checked_edge(voxel_m)
        self.index = VoxelIndex()
        self.seen = np.zeros(0, np.float32)
        self.query = np.zeros((0, SLOTS), np.int32)
        self.hits = np.zeros((0, SLOTS), np.float32)
        self.trials = np.zeros((0, SLOTS), np.float32)

    def rows(self, points: Floats, spacing_m: Floats) -> Ints:
        """(N, LEVELS) rows of the voxels around (N, 3) points, added where new.

        -1 at levels with voxels smaller than the points' (N,) spacing, save the last.
        """
        level = np.arange(LEVELS)
        fits = spacing_m[:, None] <= self.voxel_m * 2.0**level
        fits[:, -1] = True
        keys = np.stack([voxel_keys(points, self.voxel_m, int(i)) for i in level], axis=1)
        rows = np.full(keys.shape, -1, np.int64)
        rows[fits] = self.index.add(keys[fits])
        self._make_room()
        return rows

    def _make_room(self) -> None:
        missing = len(self.index) - len(self.seen)
        if missing:
            self.seen = np.pad(self.seen, (0, missing))
            self.query = np.pad(self.query, ((0, missing), (0, 0)), constant_values=-1)
            self.hits = np.pad(self.hits, ((0, missing), (0, 0)))
            self.trials = np.pad(self.trials, ((0, missing), (0, 0)))

    def finest_seen(self, rows: Ints) -> Ints:
        """(N,) of (N, LEVELS) `rows` the first that a view ever saw, -1 where there is none."""
        seen = (rows >= 0) & (self.seen[rows] > 0)
        first = rows[np.arange(len(rows)), seen.argmax(axis=1)]
        return np.where(seen.any(axis=1), first, -1)

    def find(self, points: Floats) -> Ints:
        """(N,) rows of the smallest voxels known around (N, 3) points, -1 where never seen."""
        return find_finest(self.index, points, self.voxel_m)

    def membership(self, rows: Ints, queries: int) -> Floats:
        """(queries, N) membership in [0, 1] of the voxels at (N,) rows; 0 for row -1."""
        table = np.zeros((queries, len(rows)), np.float32)
        query = np.where(rows[:, None] >= 0, self.query[rows], -1)
        ratio = self.hits[rows] / np.maximum(self.trials[rows], 1e-6)
        for slot in range(SLOTS):
            at = np.flatnonzero(query[:, slot] >= 0)
            table[query[at, slot], at] = ratio[at, slot]
        return table

    def vote(self, query: int, seen: Ints, inside: Ints, rate: float) -> None:
        """One view in which `query` was matched.

        Args:
            query: the query's number.
            seen: distinct rows that the view saw.
            inside: those of them that the matched mask covers.
            rate: share of the earlier views in which the query was matched, for voxels that are
                new to it.
        """
        known = self.query[seen] == query
        at, slot = np.nonzero(known)
        self.trials[seen[at], slot] += 1
        slot_of = self._slots(query, inside, rate)
        self.hits[inside, slot_of] += 1

    def _slots(self, query: int, rows: Ints, rate: float) -> Ints:
        """(N,) the slot of `query` in each row; the weakest slot is taken where it had none."""
        has = self.query[rows] == query
        slot = np.where(has.any(1), has.argmax(1), self.hits[rows].argmin(1))
        new = np.flatnonzero(~has.any(1))
        self.query[rows[new], slot[new]] = query
        self.hits[rows[new], slot[new]] = 0
        self.trials[rows[new], slot[new]] = 1 + rate * self.seen[rows[new]]
        return slot

    def saw(self, rows: Ints) -> None:
        """A view saw these distinct rows; call after its votes."""
        self.seen[rows] += 1

    def forget_rare(self, most: int = MOST_VOXELS) -> None:
        """Leaves no more than `most` voxels; what remains gets new rows.

        Beyond `most`, a quarter goes at once, so that it happens seldom. Noise leaves voxels that
        one view saw; what matters is seen again and again.
        """
        if len(self.index) <= most:
            return
        kept = np.sort(np.argsort(-self.seen, kind="stable")[: most - most // 4])
        self.index = VoxelIndex(self.index.keys()[kept])
        self.seen, self.query = self.seen[kept], self.query[kept]
        self.hits, self.trials = self.hits[kept], self.trials[kept]

    def merge(self, kept: int, gone: int) -> None:
        """Adds all votes for `gone` to `kept`."""
        rows, slot = np.nonzero(self.query == gone)
        hits, trials = self.hits[rows, slot], self.trials[rows, slot]
        self.drop(gone)
        target = self._slots(kept, rows, rate=0.0)
        fresh = self.hits[rows, target] == 0
        self.trials[rows, target] = np.where(fresh, 0, self.trials[rows, target]) + trials
        self.hits[rows, target] += hits

    def drop(self, query: int) -> None:
        """Forgets a query's votes."""
        gone = self.query == query
        self.query[gone], self.hits[gone], self.trials[gone] = -1, 0, 0

    def overlaps(self, queries: int) -> tuple[Floats, Floats]:
        """(queries, queries) voxels shared by two queries' solid parts, and each one's (queries,)
        number of voxels; solid is membership > 0.5."""
        solid = (self.hits > 0.5 * self.trials) & (self.query >= 0)
        shared = np.zeros((queries, queries), np.float32)
        for first in range(SLOTS):
            for second in range(SLOTS):
                both = solid[:, first] & solid[:, second]
                np.add.at(shared, (self.query[both, first], self.query[both, second]), 1)
        return shared, np.diag(shared).copy()

    def state(self) -> dict[str, torch.Tensor]:
        """All votes as tensors."""
        arrays: dict[str, Array] = {
            "voxel_m": np.array(self.voxel_m),
            "keys": self.index.keys(),
            "seen": self.seen,
            "query": self.query,
            "hits": self.hits,
            "trials": self.trials,
        }
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`.

        Raises:
            ValueError: the tables do not have one row per key, or voxels no edge.
        """
        count = len(state["keys"])
        for name in ("query", "hits", "trials"):
            if tuple(state[name].shape) != (count, SLOTS):
                raise ValueError(
                    f"votes/{name} must be {(count, SLOTS)}, got {tuple(state[name].shape)}"
                )
        self.voxel_m = _checked_edge(float(state["voxel_m"]))
        self.index = VoxelIndex(state["keys"].numpy())
        self.seen = state["seen"].numpy().astype(np.float32)
        self.query = state["query"].numpy().astype(np.int32)
        self.hits = state["hits"].numpy().astype(np.float32)
        self.trials = state["trials"].numpy().astype(np.float32)


def _checked_edge(voxel_m: float) -> float:
    if not voxel_m > 0:
        raise ValueError(f"voxel_m must be positive, got {voxel_m}")
    return voxel_m


def find_finest(index: VoxelIndex, points: Floats, voxel_m: float) -> Ints:
    """(N,) rows in `index` of the smallest voxels known around (N, 3) points, -1 for none."""
    rows = np.full(len(points), -1, np.int64)
    for level in range(LEVELS):
        open_ = np.flatnonzero(rows < 0)
        rows[open_] = index.find(voxel_keys(points[open_], voxel_m, level))
    return rows
