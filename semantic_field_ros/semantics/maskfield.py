"""Masks and language of things, lifted into a field (MaskField, Gao et al. 2024).

A low-dimensional mask feature is rendered per ray; a set of scene queries, each with a mask vector
and a language vector, turns it into mask logits = query · feature. The masks of each view are
matched to queries by the Hungarian method and train field and mask vectors by focal + 0.05·dice.

Three things are ours. A view is matched against a voxel memory of earlier matches (`votes.py`)
instead of the field as trained so far, so that a thing keeps its query from the second view on.
An answer is the mean of what the field and the memory say: the memory is right at once, the
field after some hundred steps, where it also fills what no mask covered. And language vectors are
not trained: 1 − cos and L1 are terms of the matching cost alone. A query's vector is the running
sum of those of its matched masks, each weighted by its size, its score and how well it matches,
made a unit vector (`scene_queries.py`). That is the unit vector with the least 1 − cos to all of
them, weighted so, and there is no need to train towards it; it follows a view at once, and the
length of the sum tells how far the masks agree on what they show.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.config import MaskFieldConfig
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.geometry import world_rays
from semantic_field_ros.semantics.base import MethodSetup, Quadrature, SemanticMethod
from semantic_field_ros.semantics.frozen_maskfield import FrozenMaskField, VoteTable
from semantic_field_ros.semantics.lifting import PixelGrid, lift, sample_pixels, sensor_depth
from semantic_field_ros.semantics.mask_views import MaskView, ViewStore
from semantic_field_ros.semantics.matching import DICE_WEIGHT
from semantic_field_ros.semantics.optimiser import HeadOptimiser, to_device_of
from semantic_field_ros.semantics.scene_queries import SceneQueries
from semantic_field_ros.types import Array, Keyframe

Floats = NDArray[np.float32]

#: votes are kept in voxels of this many of the surface's finest voxels.
VOTE_VOXELS = 2.0
#: queries with fewer matches are not trained and not answered with.
LEAST_MATCHES = 2
#: nor answered with if fewer pixels than this bear out what they are called.
LEAST_EVIDENCE_PX = 100.0
#: mask logit of a query that nothing is known about, and the spread of its vector's numbers.
FIRST_BIAS, FIRST_SPREAD = -2.0, 0.5


class MaskHead(nn.Module):
    """Mask features and the queries' mask vectors."""

    def __init__(self, config: MaskFieldConfig, setup: MethodSetup) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(setup.seed)
        count, width = config.max_queries, config.feature_dim
        self.encoder = make_encoder(config.grid, setup.backend, setup.seed)
        self.linear = nn.Linear(self.encoder.output_dim, config.feature_dim)
        self.vectors = nn.Parameter(torch.empty(count, width))
        self.bias = nn.Parameter(torch.empty(count))
        self.unit_from_world = setup.unit_from_world
        self.start_afresh(np.arange(count))
        self.to(self.encoder.table.device)

    @torch.no_grad()
    def start_afresh(self, queries: NDArray[np.int64]) -> None:
        """New random vectors for some queries, and what all begin with as bias."""
        shape = (len(queries), self.vectors.shape[1])
        fresh = FIRST_SPREAD * torch.randn(shape, generator=self._generator)
        self.vectors[queries] = fresh.to(self.vectors)
        self.bias[queries] = FIRST_BIAS

    def rays(self, points: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(R, K) mask features of rays with (R, S, 3) points and (R, S) weights."""
        encoded = self.encoder(self.unit_from_world(points.reshape(-1, 3)))
        along = encoded.reshape(*points.shape[:2], -1)
        return self.linear((along * weights[..., None]).sum(dim=1))

    def surface(self, points: torch.Tensor) -> torch.Tensor:
        """(N, K) mask features at (N, 3) surface points."""
        return self.linear(self.encoder(self.unit_from_world(points)))

    def others(self) -> list[nn.Parameter]:
        """All parameters but the table."""
        return [*self.linear.parameters(), self.vectors, self.bias]


class MaskField(SemanticMethod):
    """Scene queries, their votes, and the field trained on them."""

    name = "maskfield"

    def __init__(self, config: MaskFieldConfig, setup: MethodSetup) -> None:
        self._config = config
        self.every = config.every
        self._rng = np.random.default_rng(setup.seed)
        self._head = MaskHead(config, setup)
        self._optimiser = HeadOptimiser(
            self._head.encoder, self._head.others(), config.learning_rate
        )
        self._scene_size = (config.max_queries, VOTE_VOXELS * setup.voxel_m, setup.language_dim)
        self._scene = SceneQueries(*self._scene_size)
        self._relifted: SceneQueries | None = None
        self._views = ViewStore(self._rng)
        self._trained = np.zeros(config.max_queries, np.float32)

    def observe(self, keyframe: Keyframe) -> None:
        """Matches the masks of a keyframe; without sensor depth this waits for a `step`."""
        if keyframe.features is None:
            raise ValueError(f"keyframe {keyframe.id} must have features, got None")
        self._views.observed(keyframe.id)
        if keyframe.frame.depth_m is None:
            self._views.wait_for_depth(keyframe)
            return
        self._views.measured()
        grid = sample_pixels(keyframe.frame.camera, ignored=keyframe.frame.ignored)
        self._absorb(keyframe, grid, sensor_depth(keyframe.frame, grid.uv))
        self._end_relift()

    def _absorb(self, keyframe: Keyframe, grid: PixelGrid, depth_m: Floats) -> None:
        assert keyframe.features is not None
        scene = self._relifted or self._scene
        view = lift(keyframe.frame, keyframe.features, depth_m, grid)
        wishes = self._views.query_of_mask(keyframe.id)
        if self._views.recall(keyframe.id) and wishes is not None:
            self._views.add(keyframe, view, wishes)  # its votes were loaded
            return
        known = scene.active()
        query_of_mask, went = scene.absorb(view, wishes)
        self._views.renumber(went)
        self._views.add(keyframe, view, query_of_mask)
        if wishes is not None:
            known = np.union1d(known, wishes[wishes == query_of_mask])
        self._start_afresh(np.setdiff1d(scene.active(), known[went[known] == known]))

    def _start_afresh(self, queries: NDArray[np.int64]) -> None:
        """New queries must not inherit what a dropped one of their number had learnt."""
        self._trained[queries] = 0
        self._head.start_afresh(queries)
        for parameter in (self._head.vectors, self._head.bias):
            self._optimiser.forget(parameter, queries)

    def forget(self, keyframe_id: int) -> None:
        """No longer trains on the view; its votes stay."""
        self._views.forget(keyframe_id)

    def poses_changed(self) -> None:
        """Votes start anew, under the same numbers; until all views were observed again answers
        are made of the earlier ones, and what the field learnt no longer counts."""
        self._views.moved()
        self._relifted = SceneQueries(*self._scene_size)
        self._trained[:] = 0

    @property
    def lags(self) -> bool:
        """Whether votes start anew, and answers are made of the earlier ones."""
        return self._relifted is not None

    def step(self, quadrature: Quadrature) -> dict[str, float]:
        """Lifts a view that waits for rendered depth, and trains on one that was lifted."""
        self._lift_next(quadrature)
        view = self._views.draw()
        queries = np.flatnonzero(self._scene.matches >= LEAST_MATCHES)
        if view is None or len(queries) == 0:
            return {}
        pick = self._rng.integers(len(view.depth_m), size=self.rays_of(self._config.rays))
        loss = self._loss(view, pick, queries, quadrature)
        self._optimiser.step(loss)
        self._trained[np.intersect1d(queries, view.query_of_mask)] += 1
        return {"mask": loss.item()}

    def _lift_next(self, quadrature: Quadrature) -> None:
        """Where no camera has depth, views are lifted again and again while geometry gets better.

        The queries then start anew, but keep their numbers and with them what the field has
        learnt; until all views are lifted, answers are made of the earlier ones.
        """
        if self._views.relift():
            self._relifted = SceneQueries(*self._scene_size)
        waiting = self._views.due()
        if waiting is not None:
            self._absorb(waiting, *_rendered_depth(waiting, quadrature))
        self._end_relift()

    def _end_relift(self) -> None:
        if self._relifted is not None and self._views.waiting == 0:
            self._scene, self._relifted = self._relifted, None

    def _loss(
        self,
        view: MaskView,
        pick: NDArray[np.int64],
        queries: NDArray[np.int64],
        quadrature: Quadrature,
    ) -> torch.Tensor:
        """Focal + 0.05·dice of the queries' masks on the picked rays.

        A query that claims a ray's surface but was not matched in this view says nothing there:
        the segmenter may have missed the thing.
        """
        origins = np.broadcast_to(view.origin, (len(pick), 3))
        along = quadrature(
            np.ascontiguousarray(origins), view.directions[pick], view.depth_m[pick]
        )
        device = self._head.vectors.device
        features = self._head.rays(along.points.to(device), along.weights.to(device))
        logits = features @ self._head.vectors[queries].T + self._head.bias[queries]
        target, matched = view.targets(pick, len(self._trained))
        rows = self._scene.votes.find(view.points(pick))
        claimed = self._scene.votes.membership(rows, len(self._trained)) > 0
        counts = (matched[:, None] | ~claimed)[queries].T
        return mask_loss(
            logits,
            torch.from_numpy(np.ascontiguousarray(target[queries].T)).to(logits),
            torch.from_numpy(np.ascontiguousarray(counts)).to(logits),
        )

    def surface_features(self, points: Floats) -> Array:
        """(N, K) f16 mask features at (N, 3) surface points."""
        with torch.no_grad():
            parts = [
                self._head.surface(to_device_of(self._head.encoder, torch.from_numpy(part))).cpu()
                for part in np.split(points, range(1 << 16, len(points), 1 << 16))
            ]
        return torch.cat(parts).numpy().astype(np.float16)

    def freeze(self) -> FrozenMaskField:
        """A copy of the queries and their votes."""
        borne_out = self._scene.evidence_px() >= LEAST_EVIDENCE_PX
        queries = np.flatnonzero(borne_out & (self._scene.matches >= LEAST_MATCHES))
        head = self._head
        return FrozenMaskField(
            name=self.name,
            vectors=head.vectors.detach().cpu().numpy()[queries].copy(),
            bias=head.bias.detach().cpu().numpy()[queries].copy(),
            trained_steps=self._trained[queries].copy(),
            language=self._scene.language()[queries],
            quality=self._scene.quality()[queries],
            votes=VoteTable.of(self._scene.votes, queries),
        )

    def state(self) -> dict[str, torch.Tensor]:
        """Field, queries, votes, and what each view was matched to; while votes start anew, the
        earlier ones too."""
        tensors = {
            f"head.{k}": v.detach().cpu().clone() for k, v in self._head.state_dict().items()
        }
        tensors["trained"] = torch.from_numpy(self._trained.copy())
        tensors |= {f"views.{k}": torch.from_numpy(v) for k, v in self._views.state().items()}
        if self._relifted is not None:
            tensors |= {f"relifted.{k}": v for k, v in self._relifted.state().items()}
        return tensors | {f"scene.{k}": v for k, v in self._scene.state().items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`."""
        parts: dict[str, dict[str, torch.Tensor]]
        parts = {"head": {}, "scene": {}, "relifted": {}, "views": {}, "trained": {}}
        for key, value in state.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        self._scene.load_state(parts["scene"])
        self._relifted = SceneQueries(*self._scene_size) if parts["relifted"] else None
        if self._relifted is not None:
            self._relifted.load_state(parts["relifted"])
        self._head.load_state_dict(parts["head"])
        self._trained = state["trained"].numpy().astype(np.float32)
        self._views = ViewStore(self._rng)
        self._views.load_state({name: value.numpy() for name, value in parts["views"].items()})


def mask_loss(logits: torch.Tensor, target: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Focal loss (γ = 2, Lin et al. 2017) summed over queries, plus 0.05·dice.

    Args:
        logits: (R, Q).
        target: (R, Q) in [0, 1].
        counts: (R, Q) 0 where nothing is known.
    """
    p = torch.sigmoid(logits)
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(
        logits, target, reduction="none"
    )
    focal = (cross_entropy * (p - target).square() * counts).sum() / len(logits)
    shared = (p * target * counts).sum(dim=0)
    both = ((p + target) * counts).sum(dim=0)
    dice = 1 - (2 * shared + 1) / (both + 1)
    return focal + DICE_WEIGHT * dice.mean()


def _rendered_depth(
    keyframe: Keyframe, quadrature: Quadrature, most: int = 5000
) -> tuple[PixelGrid, Floats]:
    """P pixels and the field's (P,) depth there; NaN where the field is half transparent."""
    frame = keyframe.frame
    grid = sample_pixels(frame.camera, most, frame.ignored)
    origins, directions = world_rays(
        frame.camera, frame.world_from_camera, grid.uv.astype(np.float32)
    )
    unknown = np.full(len(grid.uv), np.nan, np.float32)
    along = quadrature(np.ascontiguousarray(origins), directions, unknown)
    opacity = along.weights.sum(dim=1).cpu().numpy()
    depth_m = along.depth_m.cpu().numpy()
    return grid, np.where(opacity > 0.5, depth_m, np.nan).astype(np.float32)
