"""How a trained MaskField answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from semantic_field_ros.models.base import Calibration, relevancy
from semantic_field_ros.semantics.base import MEMBER, FrozenMethod, Region, softmax
from semantic_field_ros.semantics.outlines import outlined
from semantic_field_ros.semantics.regions import suppress_overlaps
from semantic_field_ros.semantics.votes import VoteMemory, find_finest
from semantic_field_ros.semantics.voxels import VoxelIndex
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: steps on views that show a thing after which its field counts as much as its votes. Steps on the
#: other views teach where it is not, and alone would wear its edges away; a thing that a third of
#: the views show has had so many after 150 steps.
STEPS_TO_TRUST = 50
#: two things share less of the smaller one's surface than this.
LARGEST_OVERLAP = 0.5
#: but a thing of at most this share of the other's size may stand on it, or be a part of it.
NESTED_BELOW = 0.3
#: factor on cosines in the softmax over classes (MaskField).
CLASS_SHARPNESS = 10.0
#: queries of lower quality are fragments, merged masks and noise.
LEAST_QUALITY = 0.12
LEAST_POINTS = 8


@dataclass(frozen=True)
class Claims:
    """P pairs of a surface point and a query that some view saw there.

    Attributes:
        point: (P,) i64 index of the point.
        query: (P,) i64 position of the query.
        share: (P,) f32 membership by votes, in [0, 1].
        unseen: (U,) i64 points in voxels that no view ever saw.
    """

    point: Ints
    query: Ints
    share: Floats
    unseen: Ints


@dataclass(frozen=True)
class VoteTable:
    """A frozen `VoteMemory` of Q queries.

    Attributes:
        voxel_m: edge of the smallest voxels.
        index: of the V voxels that were ever seen.
        row: (V,) i32 row in the other tables, -1 for voxels that nobody claims.
        query: (W, S) i32 position among the Q queries, -1 = none.
        share: (W, S) f32 membership in [0, 1].
    """

    voxel_m: float
    index: VoxelIndex
    row: NDArray[np.int32]
    query: NDArray[np.int32]
    share: Floats

    @staticmethod
    def of(votes: VoteMemory, queries: Ints) -> VoteTable:
        """A copy for these queries, renumbered by position."""
        largest = max(votes.query.max(initial=-1), queries.max(initial=-1))
        position = np.full(int(largest) + 2, -1, np.int32)  # the last stands for none
        position[queries] = np.arange(len(queries))
        query = position[votes.query]
        claimed = np.flatnonzero((query >= 0).any(axis=1))
        row = np.full(len(query), -1, np.int32)
        row[claimed] = np.arange(len(claimed))
        share = votes.hits[claimed] / np.maximum(votes.trials[claimed], 1e-6)
        return VoteTable(
            votes.voxel_m, votes.index.copy(), row, query[claimed], share.astype(np.float32)
        )

    def claims(self, points: Floats) -> Claims:
        """Who claims the voxels of (N, 3) points."""
        voxel = find_finest(self.index, points, self.voxel_m)
        row = np.where(voxel >= 0, self.row[voxel], -1) if len(self.row) else voxel
        point = np.flatnonzero(row >= 0)
        query, share = self.query[row[point]], self.share[row[point]]
        at, slot = np.nonzero((query >= 0) & (share > 0))
        unseen = np.flatnonzero(voxel < 0)
        return Claims(point[at], query[at, slot].astype(np.int64), share[at, slot], unseen)


@dataclass(frozen=True)
class FrozenMaskField(FrozenMethod):
    """Q queries and where they are.

    Attributes:
        name: key of the mask features in `SurfaceCloud.features`.
        vectors: (Q, K) f32 mask vectors.
        bias: (Q,) f32.
        trained_steps: (Q,) f32 steps on views with a mask of each query.
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

    def prepare(self, surface: SurfaceCloud) -> None:
        """Tells the instances apart."""
        self.instances(surface)

    def instances(self, surface: SurfaceCloud) -> list[Region]:
        """One region per query that is neither a fragment nor a duplicate, best quality first."""
        with self._lock:
            cached = self._cache.get(id(surface))
            if cached is None:
                self._cache.clear()
                cached = self._cache[id(surface)] = (surface, self._instances(surface))
            return cached[1]

    def _instances(self, surface: SurfaceCloud) -> list[Region]:
        regions = []
        for query, (indices, scores) in self._members(surface).items():
            if self.quality[query] >= LEAST_QUALITY and len(indices) >= LEAST_POINTS:
                quality = float(self.quality[query])
                regions.append(Region(indices, scores, quality, self.language[query]))
        regions.sort(key=lambda region: -region.score)
        kept = suppress_overlaps(
            [r.indices for r in regions], len(surface.points), LARGEST_OVERLAP, NESTED_BELOW
        )
        return [regions[position] for position in kept]

    def _members(self, surface: SurfaceCloud) -> dict[int, tuple[Ints, Floats]]:
        """Per query the points of membership > `MEMBER` and their membership.

        It is the mean of what field and votes say, the field's alone where no view voted, and the
        votes' while the query is new to the field. Where both count, a point that no view gave to
        a query is not its own, however sure the field is.
        """
        features = np.asarray(surface.features[self.name], np.float32)
        claims = self.votes.claims(surface.points)
        logits = (features[claims.point] * self.vectors[claims.query]).sum(axis=1)
        by_field = expit(logits + self.bias[claims.query])
        trust = 0.5 * np.minimum(self.trained_steps / STEPS_TO_TRUST, 1.0)[claims.query]
        membership = trust * by_field + (1 - trust) * claims.share
        alone = expit(features[claims.unseen] @ self.vectors.T + self.bias)
        alone *= self.trained_steps >= STEPS_TO_TRUST
        at, query = np.nonzero(alone > MEMBER)
        return _grouped(
            np.concatenate([claims.query, query]),
            np.concatenate([claims.point, claims.unseen[at]]),
            np.concatenate([membership, alone[at, query]]).astype(np.float32),
        )

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

    def outlined(self, surface: SurfaceCloud, region: Region) -> Region:
        """The instance with its outline where the surface changes its colour."""
        return outlined(surface, region)

    def class_scores(self, surface: SurfaceCloud, classes: Floats) -> Floats:
        """(N, C) sums over the queries of membership · softmax(10 · cosine) of their language."""
        scores = np.zeros((len(surface.points), len(classes)), np.float32)
        chances = softmax(np.float32(CLASS_SHARPNESS) * (self.language @ classes.T))
        for query, (indices, membership) in self._members(surface).items():
            scores[indices] += membership[:, None] * chances[query]
        return scores


def _grouped(query: Ints, point: Ints, membership: Floats) -> dict[int, tuple[Ints, Floats]]:
    """Points and memberships > `MEMBER` by query, points ascending."""
    member = np.flatnonzero(membership > MEMBER)
    order = member[np.lexsort((point[member], query[member]))]
    queries, starts = np.unique(query[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {
        int(q): (point[part], membership[part]) for q, part in zip(queries, parts, strict=False)
    }
