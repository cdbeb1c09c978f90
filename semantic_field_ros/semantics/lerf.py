"""A scale-conditioned language field (LERF, Kerr et al. 2023) with a panoptic prior (Ji et al.
2024).

F(x, s) is a unit vector at a place and a physical scale, φ̂ = Σ w_i F(x_i, s_i) along a ray
(eq. 3) with s_i = side · t_i / f for a tile of `side` pixels. The target is the pyramid of the
keyframe at a random scale; the prior comes in when the pyramid is built (`models/pyramid.py`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import LerfConfig
from semantic_field_ros.semantics.base import MethodSetup, Quadrature, SemanticMethod
from semantic_field_ros.semantics.frozen_lerf import FrozenLerf
from semantic_field_ros.semantics.language_field import (
    SAMPLES,
    HeadShape,
    LanguageHead,
    rendered,
    surface_features,
)
from semantic_field_ros.semantics.language_losses import dense_losses, language_loss
from semantic_field_ros.semantics.language_views import LanguageView, language_view
from semantic_field_ros.semantics.optimiser import HeadOptimiser
from semantic_field_ros.semantics.tile_lookup import lookup
from semantic_field_ros.types import Array, Keyframe

Floats = NDArray[np.float32]

#: share of the trained scales that is left out of queries at either end.
RARE = 0.05
#: weight of the newest step in the running bounds of the trained scales.
SMOOTHING = 0.05


class Lerf(SemanticMethod):
    """Trains a scaled `LanguageHead` on the pyramids of the keyframes."""

    name = "lerf"

    def __init__(self, config: LerfConfig, setup: MethodSetup) -> None:
        self._config = config
        self.every = config.every
        self._rng = np.random.default_rng(setup.seed)
        self._head = LanguageHead(HeadShape(config.grid, config.hidden, scaled=True), setup)
        self._optimiser = HeadOptimiser(
            self._head.encoder, self._head.others(), config.learning_rate
        )
        self._views: dict[int, LanguageView] = {}
        self._scales = np.full(2, np.nan, np.float32)  # log2 of metres, lowest and highest

    def observe(self, keyframe: Keyframe) -> None:
        """Trains on the pyramid of a keyframe from now on."""
        self._views[keyframe.id] = language_view(keyframe)

    def forget(self, keyframe_id: int) -> None:
        """No longer trains on the view."""
        self._views.pop(keyframe_id, None)

    def poses_changed(self) -> None:
        """Forgets all views, which lie where they no longer are."""
        self._views.clear()

    def step(self, quadrature: Quadrature) -> dict[str, float]:
        """Huber loss to the pyramid at random pixels and scales of a random view."""
        if not self._views:
            return {}
        view = self._views[int(self._rng.choice(list(self._views)))]
        pick = view.draw(self.rays_of(self._config.rays), self._rng)
        sides = [level.side_px for level in view.pyramid.levels]
        side_px = self._rng.uniform(sides[0], sides[-1], len(pick)).astype(np.float32)
        target = lookup(view.pyramid, view.uv[pick], side_px)
        along = view.look(pick, quadrature).heaviest(SAMPLES)
        scale = self._scale(view, along.points, side_px)
        encoded = self._head.encode(along.points.reshape(-1, 3))
        seen = rendered(along.weights, self._head.vectors(encoded, scale.reshape(-1)))
        losses = {"language": language_loss(seen, torch.from_numpy(target).to(seen))}
        dense = dense_losses(self._head, encoded, along.weights, None, view, pick)
        losses |= {name: self._config.dense_weight * loss for name, loss in dense.items()}
        self._optimiser.step(torch.stack(list(losses.values())).sum())
        return {name: loss.item() for name, loss in losses.items()}

    def _scale(self, view: LanguageView, points: torch.Tensor, side_px: Floats) -> torch.Tensor:
        """(R, S) log2 of the metres that a tile spans at (R, S, 3) points; bounds are noted."""
        pose = torch.from_numpy(view.world_from_camera).to(points)
        depth_m = (points - pose[:3, 3]) @ pose[:3, 2]
        side = torch.from_numpy(side_px).to(points)
        scale = torch.log2(side[:, None] * depth_m.clamp(min=1e-3) / view.camera.fx)
        low, high = np.quantile(scale.cpu().numpy(), (RARE, 1 - RARE))
        newest = np.array([low, high], np.float32)
        old = np.where(np.isfinite(self._scales), self._scales, newest)
        self._scales = old + np.float32(SMOOTHING) * (newest - old)
        return scale

    def surface_features(self, points: Floats) -> Array:
        """(N, E) f16 what the grid holds at (N, 3) surface points."""
        return surface_features(self._head, points)

    def freeze(self) -> FrozenLerf:
        """A copy that answers at any scale that training has seen."""
        trained = np.isfinite(self._scales).all()
        count = self._config.scales if trained else 0
        scales = np.linspace(self._scales[0], self._scales[1], count)
        return FrozenLerf(self.name, self._head.frozen(), scales.astype(np.float32))

    def state(self) -> dict[str, torch.Tensor]:
        """The head and the bounds of its scales, once a step has told them."""
        state = self._head.named_state()
        if np.isfinite(self._scales).all():
            state["scales"] = torch.from_numpy(self._scales.copy())
        return state

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`."""
        self._head.load_named_state(state)
        if "scales" in state:
            self._scales = state["scales"].numpy().astype(np.float32)
