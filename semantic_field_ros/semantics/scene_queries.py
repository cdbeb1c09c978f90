"""The scene-level queries of MaskField: one per thing, found by matching masks view after view."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.semantics.lifting import LiftedView
from semantic_field_ros.semantics.matching import language_cost, mask_cost, match, soft_iou
from semantic_field_ros.semantics.votes import VoteMemory

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: masks and queries with fewer samples in a view are too small to say anything there.
LEAST_SAMPLES = 12
#: queries that share more of their surface than this (IoU) are one thing.
MERGE_IOU = 0.5
#: queries are tidied once in this many views.
TIDY_EVERY_VIEWS = 5
#: after `PROBATION` chances a query that took a smaller share of them is dropped: the same thing
#: is proposed again and again, if not in every view, and a fragment hardly ever.
LEAST_RATE = 0.1
PROBATION = 12
#: what a mask that starts a query counts as agreement.
FIRST_IOU = 0.5
#: a mask names its query by this power of their soft IoU: a crop that holds half of a neighbour
#: too is called by neither name.
NAMING_POWER = 4


class SceneQueries:
    """Which things there are, what they are called, and how sure that is.

    Attributes:
        votes: which surface each query claims.
        matches: (Q,) views in which a mask was matched to the query; 0 = unused.
        chances: (Q,) views that saw enough of the query's surface to match it.
        quality_sum: (Q,) sum of soft IoU · segmenter score over the matches.
    """

    def __init__(self, capacity: int, voxel_m: float, language_dim: int) -> None:
        if capacity < 1:
            raise ValueError(f"max_queries must be at least 1, got {capacity}")
        self.votes = VoteMemory(voxel_m)
        self.matches = np.zeros(capacity, np.float32)
        self.chances = np.zeros(capacity, np.float32)
        self.quality_sum = np.zeros(capacity, np.float32)
        self._language_sum = np.zeros((capacity, language_dim), np.float32)
        self._views = 0
        self._replaced: list[int] = []

    def active(self) -> Ints:
        """Numbers of the queries in use."""
        return np.flatnonzero(self.matches > 0)

    def language(self) -> Floats:
        """(Q, D) unit vectors, zero for unused queries."""
        length = self.evidence_px()[:, None]
        return (self._language_sum / np.maximum(length, 1e-9)).astype(np.float32)

    def evidence_px(self) -> Floats:
        """(Q,) pixels' worth of well matched masks that agree on what the query is called.

        The length of the sum of their vectors, each weighted by what it counts: crops of a stain
        on the table that is a few pixels wide are called anything, each time something else.
        """
        return np.asarray(np.linalg.norm(self._language_sum, axis=1), np.float32)

    def quality(self) -> Floats:
        """(Q,) in [0, 1): √(share of chances taken) · mean match quality · n / (n + 2), n matches.

        Whole things are seen as one mask from many sides and rank high; fragments and merged
        masks come from few views. The root is kind to things that the segmenter often misses.
        """
        n = self.matches
        rate = n / np.maximum(self.chances, np.maximum(n, 1))
        quality = np.sqrt(rate) * self.quality_sum / np.maximum(n, 1) * n / (n + 2)
        return quality.astype(np.float32)

    def absorb(self, view: LiftedView, wishes: Ints | None = None) -> tuple[Ints, Ints]:
        """Matches the masks of a view to queries, adds queries, votes.

        Args:
            view: the view.
            wishes: (M,) number that a query started by each mask should get if it is unused, -1
                for any; None = any for all.

        Returns:
            (M,) the query of each mask, -1 for masks too small to tell or beyond the capacity,
            and (Q + 1,) where the queries of earlier views went, -1 nowhere, also where another
            thing has their number now; the last entry stands for none.
        """
        rows = self.votes.rows(view.points, view.spacing_m)
        active = self.active()
        membership = self._membership(rows, active)
        rate = self.matches / np.maximum(self.chances, 1)
        self._count_chances(active, membership)
        if wishes is None:
            wishes = np.full(len(view.masks), -1, np.int64)
        query_of_mask = self._assign(view, active, membership, wishes)
        rate[self._replaced] = 0
        seen, inside = _majority(view.masks, rows)
        for mask, query in enumerate(query_of_mask):
            if query >= 0:
                self.votes.vote(query, seen, seen[inside[mask]], float(min(rate[query], 1.0)))
        self.votes.saw(seen)
        self.votes.forget_rare()
        self._views += 1
        tidied = self._tidy() if self._views % TIDY_EVERY_VIEWS == 0 else self._unmoved()
        went = tidied.copy()
        went[self._replaced] = -1
        self._replaced.clear()
        return tidied[query_of_mask], went

    def _tidy(self) -> Ints:
        """Drops fragments and merges; (Q + 1,) where each query went."""
        fragments = np.flatnonzero(self._fragments())
        for query in fragments:
            self._empty(int(query))
        went = self._merge_claims()
        went[fragments] = -1
        return went

    def _fragments(self) -> NDArray[np.bool_]:
        """(Q,) queries that were there to be seen and mostly were not."""
        return (self.chances >= PROBATION) & (self.matches < LEAST_RATE * self.chances)

    def _membership(self, rows: Ints, active: Ints) -> Floats:
        """(A, P) membership of samples in the active queries before this view."""
        voxels, voxel_of_sample = np.unique(self.votes.finest_seen(rows), return_inverse=True)
        return self.votes.membership(voxels, len(self.matches))[active][:, voxel_of_sample]

    def _count_chances(self, active: Ints, membership: Floats) -> None:
        visible = (membership > 0.5).sum(axis=1)
        self.chances[active[visible >= LEAST_SAMPLES]] += 1

    def _assign(self, view: LiftedView, active: Ints, membership: Floats, wishes: Ints) -> Ints:
        """(M,) query of each mask: a matched one, a new one, or -1."""
        usable = np.flatnonzero(view.masks.sum(1) >= LEAST_SAMPLES)
        query_of_mask = np.full(len(view.masks), -1, np.int64)
        masks, language = view.masks[usable], view.language[usable]
        iou = soft_iou(masks, membership)
        cost = mask_cost(masks, membership) + language_cost(language, self.language()[active])
        for row, column in match(cost, iou):
            query_of_mask[usable[row]] = active[column]
            self._credit(view, usable[row], int(active[column]), float(iou[row, column]))
        for mask in usable[query_of_mask[usable] < 0]:
            query = self._new_query(int(wishes[mask]), query_of_mask[query_of_mask >= 0])
            if query < 0:
                break  # the view shows more things than there may be queries
            query_of_mask[mask] = query
            self.chances[query] = 1
            self._credit(view, mask, query, FIRST_IOU)
        return query_of_mask

    def _credit(self, view: LiftedView, mask: int, query: int, iou: float) -> None:
        self.matches[query] += 1
        self.quality_sum[query] += iou * view.quality[mask]
        weight = view.language_weight[mask] * iou**NAMING_POWER
        self._language_sum[query] += weight * view.language[mask]

    def _new_query(self, wish: int, taken: Ints) -> int:
        """An unused query, or the least supported one that no mask of the view has `taken`,
        emptied; -1 if there is none."""
        if wish >= 0 and self.matches[wish] == 0:
            return wish
        free = np.flatnonzero(self.matches == 0)
        if len(free):
            return int(free[0])
        if len(taken) == len(self.matches):
            return -1
        quality = self.quality()
        quality[taken] = np.inf
        query = int(np.argmin(quality))
        self._empty(query)
        self._replaced.append(query)
        return query

    def _empty(self, query: int) -> None:
        self.votes.drop(query)
        for array in (self.matches, self.chances, self.quality_sum, self._language_sum):
            array[query] = 0

    def _merge_claims(self) -> Ints:
        """Merges queries that claim the same surface; (Q + 1,) where each went."""
        shared, size = self.votes.overlaps(len(self.matches))
        union = size[:, None] + size[None] - shared
        iou = np.triu(shared / np.maximum(union, 1), 1)
        went = self._unmoved()
        for first, second in zip(*np.nonzero(iou > MERGE_IOU), strict=True):
            if went[first] == first and went[second] == second:
                kept, gone = sorted((first, second), key=lambda q: -self.matches[q])
                self._merge(int(kept), int(gone))
                went[gone] = kept
        return went

    def _unmoved(self) -> Ints:
        return np.append(np.arange(len(self.matches)), -1)  # index -1 stays -1

    def _merge(self, kept: int, gone: int) -> None:
        self.votes.merge(kept, gone)
        for array in (self.matches, self.quality_sum, self._language_sum):
            array[kept] += array[gone]
        self.chances[kept] = max(self.chances[kept], self.chances[gone], self.matches[kept])
        self._empty(gone)

    def state(self) -> dict[str, torch.Tensor]:
        """Everything as tensors."""
        own = {
            "matches": self.matches,
            "chances": self.chances,
            "quality_sum": self.quality_sum,
            "language_sum": self._language_sum,
        }
        tensors = {name: torch.from_numpy(array.copy()) for name, array in own.items()}
        return tensors | {f"votes/{k}": v for k, v in self.votes.state().items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`.

        Raises:
            ValueError: the number of queries or the width of their language differs.
        """
        expected = tuple(self._language_sum.shape)
        if tuple(state["language_sum"].shape) != expected:
            got = tuple(state["language_sum"].shape)
            raise ValueError(f"language_sum must be {expected}, got {got}")
        self.matches = state["matches"].numpy().copy()
        self.chances = state["chances"].numpy().copy()
        self.quality_sum = state["quality_sum"].numpy().copy()
        self._language_sum = state["language_sum"].numpy().copy()
        prefix = "votes/"
        self.votes.load_state(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )


def _majority(masks: NDArray[np.bool_], rows: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """What a view says about its voxels.

    Args:
        masks: (M, P) which samples each mask covers.
        rows: (P, L) voxels of each sample, -1 for none.

    Returns:
        (U,) distinct voxels, and (M, U) those with more than half of their samples in each mask.
    """
    sample, level = np.nonzero(rows >= 0)
    seen, voxel, samples = np.unique(rows[sample, level], return_inverse=True, return_counts=True)
    covered = np.zeros((len(masks), len(seen)), np.int64)
    for row, mask in zip(covered, masks, strict=True):
        row[:] = np.bincount(voxel[mask[sample]], minlength=len(seen))
    return seen, covered * 2 > samples
