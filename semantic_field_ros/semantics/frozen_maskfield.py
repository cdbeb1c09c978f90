"""How a trained MaskField answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration
from semantic_field_ros.semantics.base import FrozenMethod, Region, relevancy
from semantic_field_ros.semantics.regions import suppress_overlaps
from semantic_field_ros.semantics.votes import VoteMemory
from semantic_field_ros.semantics.voxels import VoxelIndex, voxel_keys
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: steps after which a query's field counts as much as its votes.
STEPS_TO_TRUST = 150
#: two things share less of the smaller one's surface than this.
LARGEST_OVERLAP = 0.5
#: queries of lower quality are fragments, merged masks and noise.
LEAST_QUALITY = 0.08
LEAST_POINTS = 8


@dataclass(frozen=True)
class VoteTable:
    """A frozen `VoteMemory` of Q queries, without the voxels that nobody claims.

    Attributes:
        voxel_m: edge of a voxel.
        index: of the V claimed voxels.
        query: (V, S) position among the Q queries, -1 = none.
        share: (V, S) membership in [0, 1].
        known: of all voxels that were ever seen.
    """

    voxel_m: float
    index: VoxelIndex
    query: NDArray[np.int32]
    share: Floats
    known: VoxelIndex

    @staticmethod
    def of(votes: VoteMemory, queries: Ints) -> VoteTable:
        """A copy for these queries, renumbered by position."""
        position = np.full(int(max(votes.query.max(initial=-1), queries.max(initial=-1))) + 2, -1)
        position[queries] = np.arange(len(queries))
        query = position[votes.query].astype(np.int32)
        claimed = np.flatnonzero((query >= 0).any(axis=1))
        share = (votes.hits / np.maximum(votes.trials, 1e-6))[claimed].astype(np.float32)
        keys = votes.index.keys()
        return VoteTable(
            votes.voxel_m, VoxelIndex(keys[claimed]), query[claimed], share, votes.index.copy()
        )

    def membership(self, points: Floats, queries: int) -> tuple[Floats, NDArray[np.bool_]]:
        """(queries, N) membership of (N, 3) points, and (N,) whether their voxel was seen."""
        keys = voxel_keys(points, self.voxel_m)
        rows = self.index.find(keys)
        table = np.zeros((queries, len(points)), np.float32)
        claimed = np.flatnonzero(rows >= 0)
        for slot in range(self.query.shape[1]):
            query = self.query[rows[claimed], slot]
            used = query >= 0
            table[query[used], claimed[used]] = self.share[rows[claimed[used]], slot]
        return table, self.known.find(keys) >= 0


@dataclass(frozen=True)
class FrozenMaskField(FrozenMethod):
    """Q queries and where they are.

    Attributes:
        name: key of the mask features in `SurfaceCloud.features`.
        vectors: (Q, K) f32 mask vectors.
        bias: (Q,) f32.
        trained_steps: (Q,) f32 steps that each query has had.
        language: (Q, D) f32 unit vectors.
        quality: (Q,) f32 in [0, 1).
        votes: where views saw each query.
    """

    name: str
    vectors: Floats
    bias: Floats
    trained_steps: Floats
    language: Floats
    quality: Floats
    votes: VoteTable
    _cache: dict[int, tuple[SurfaceCloud, list[Region]]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def instances(self, surface: SurfaceCloud) -> list[Region]:
        """One region per query that is neither a fragment nor a duplicate, best quality first."""
        with self._lock:
            cached = self._cache.get(id(surface))
            if cached is None:
                self._cache.clear()
                cached = self._cache[id(surface)] = (surface, self._instances(surface))
            return cached[1]

    def _instances(self, surface: SurfaceCloud) -> list[Region]:
        order = np.argsort(-self.quality, kind="stable")
        order = order[self.quality[order] >= LEAST_QUALITY]
        membership = self.membership(surface)
        regions = []
        for query in order:
            indices = np.flatnonzero(membership[query] > 0.5)
            if len(indices) >= LEAST_POINTS:
                scores = membership[query, indices]
                quality = float(self.quality[query])
                regions.append(Region(indices, scores, quality, self.language[query]))
        kept = suppress_overlaps(
            [r.indices for r in regions], len(surface.points), LARGEST_OVERLAP
        )
        return [regions[position] for position in kept]

    def membership(self, surface: SurfaceCloud) -> Floats:
        """(Q, N) in [0, 1]: mean of field and votes; the field alone where no view voted."""
        features = np.asarray(surface.features[self.name], np.float32)
        logits = self.vectors @ features.T + self.bias[:, None]
        by_field = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        by_votes, seen = self.votes.membership(surface.points, len(self.quality))
        trust = 0.5 * np.minimum(self.trained_steps / STEPS_TO_TRUST, 1.0)[:, None]
        weight = np.where(seen[None], trust, 1.0)
        return (weight * by_field + (1 - weight) * by_votes).astype(np.float32)

    def text_regions(
        self,
        surface: SurfaceCloud,
        phrase: Floats,
        negatives: Floats,
        calibration: Calibration,
    ) -> list[Region]:
        """The instances, scored by the relevancy of their language, best first."""
        instances = self.instances(surface)
        if not instances:
            return []
        language = np.stack([r.language for r in instances if r.language is not None])
        scores = relevancy(language, phrase, negatives, calibration.temperature)
        order = np.argsort(-scores, kind="stable")
        return [
            Region(r.indices, r.point_scores, float(scores[i]), r.language)
            for i, r in ((i, instances[i]) for i in order)
        ]
