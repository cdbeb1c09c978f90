"""Imitation of the segmenter's features by a field (SAN, Chen et al. 2023).

F̂(r) = MLP(Σ w_i E_sem(x_i)) along a ray, eq. 6, and F̂ = MLP(E_sem(x_s)) on a surface point,
eq. 7. The MLP comes after the quadrature, because features are wide. Rays go through the centres
of the embedding's own cells; cells of padding are never supervised. Where the paper encodes images
that the field renders, the encoder here saw the captured keyframes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.config import SamFeaturesConfig
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.geometry import world_rays
from semantic_field_ros.models.base import Calibration, EmbeddingLayout
from semantic_field_ros.semantics.base import (
    FrozenMethod,
    MethodSetup,
    Quadrature,
    Region,
    SemanticMethod,
)
from semantic_field_ros.semantics.optimiser import HeadOptimiser, to_device_of
from semantic_field_ros.types import Array, Keyframe, PinholeCamera, SurfaceCloud

CACHE_CAPACITY = 256
CACHED_SHARE = 0.75

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CacheEntry:
    """One view: rays through V valid cells and what the segmenter saw there.

    Attributes:
        keyframe_id: of the captured image.
        origins, directions: (V, 3) f32, world frame.
        depth_m: (V,) f32 sensor depth at the cell centres, NaN unknown.
        features: (V, C) f16.
    """

    keyframe_id: int
    origins: Floats
    directions: Floats
    depth_m: Floats
    features: NDArray[np.float16]


class FeatureHead(nn.Module):
    """E_sem and the MLP after the quadrature."""

    def __init__(self, config: SamFeaturesConfig, setup: MethodSetup, channels: int) -> None:
        super().__init__()
        self.encoder = make_encoder(config.grid, setup.backend, setup.seed)
        self.mlp = nn.Sequential(
            nn.Linear(self.encoder.output_dim, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, channels),
        )
        self.channels = channels
        self.unit_from_world = setup.unit_from_world

    def rays(self, points: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """(R, C) features of rays with (R, S, 3) points and (R, S) weights (eq. 6)."""
        encoded = self.encoder(self.unit_from_world(points.reshape(-1, 3)))
        along = encoded.reshape(*points.shape[:2], -1)
        return self.mlp((along * weights[..., None]).sum(dim=1))


class SamFeatures(SemanticMethod):
    """Trains a `FeatureHead` from a first-in-first-out cache of views."""

    name = "sam_features"

    def __init__(self, config: SamFeaturesConfig, setup: MethodSetup) -> None:
        self._config, self._setup = config, setup
        self._rng = np.random.default_rng(setup.seed)
        self._cache: deque[CacheEntry] = deque(maxlen=CACHE_CAPACITY)
        self._new: deque[CacheEntry] = deque(maxlen=CACHE_CAPACITY)
        self._channels = setup.layout((1, 1)).channels
        self._head = FeatureHead(config, setup, self._channels)
        self._head.to(self._head.encoder.table.device)
        self._optimiser = HeadOptimiser(
            self._head.encoder, self._head.mlp.parameters(), config.learning_rate
        )
        self._padding_sum = np.zeros(self._channels, np.float64)
        self._padding_cells = 0

    def observe(self, keyframe: Keyframe) -> None:
        """Adds a view to those not yet trained on, and its padding to the mean padding."""
        if keyframe.features is None:
            raise ValueError(f"keyframe {keyframe.id} must have features, got None")
        camera = keyframe.frame.camera
        layout = self._setup.layout((camera.height, camera.width))
        embedding = keyframe.features.embedding
        expected = (layout.channels, layout.side, layout.side)
        if embedding.shape != expected:
            raise ValueError(f"embedding must be {expected}, got {embedding.shape}")
        self._new.append(_cache_entry(keyframe, layout, embedding))
        padding = np.ones(expected[1:], np.bool_)
        padding[: layout.valid[0], : layout.valid[1]] = False
        self._padding_sum += embedding[:, padding].astype(np.float64).sum(axis=1)
        self._padding_cells += int(padding.sum())

    def forget(self, keyframe_id: int) -> None:
        """Nothing: the cache is bounded by itself, and old views keep old places in mind."""

    def step(self, quadrature: Quadrature) -> dict[str, float]:
        """MSE to the embedding (eq. 8) on rays of one view."""
        entry = self._draw()
        if entry is None:
            return {}
        pick = self._rng.integers(len(entry.features), size=self._config.rays)
        along = quadrature(entry.origins[pick], entry.directions[pick], entry.depth_m[pick])
        rendered = self._head.rays(along.points, along.weights)
        target = torch.from_numpy(entry.features[pick].astype(np.float32)).to(rendered)
        loss = nn.functional.mse_loss(rendered, target)
        self._optimiser.step(loss)
        return {"feature_mse": loss.item()}

    def _draw(self) -> CacheEntry | None:
        """A view from the cache (75 %) or the newest one not yet trained on, which enters it."""
        if self._new and (not self._cache or self._rng.random() >= CACHED_SHARE):
            self._cache.append(self._new.pop())
            return self._cache[-1]
        if not self._cache:
            return None
        return self._cache[int(self._rng.integers(len(self._cache)))]

    def surface_features(self, points: Floats) -> Array:
        """(N, K) f16 E_sem at (N, 3) surface points; `imitated` makes the C channels of them."""
        encoder = self._head.encoder
        with torch.no_grad():
            unit = self._setup.unit_from_world(to_device_of(encoder, torch.from_numpy(points)))
            return encoder(unit).cpu().numpy().astype(np.float16)

    def freeze(self) -> FrozenSamFeatures:
        """A copy that renders embeddings of any view."""
        head = FeatureHead(self._config, self._setup, self._channels)
        head.to(self._head.encoder.table.device).load_state_dict(self._head.state_dict())
        padding = self._padding_sum / max(self._padding_cells, 1)
        return FrozenSamFeatures(head.eval(), self._setup, padding.astype(np.float32))

    def state(self) -> dict[str, torch.Tensor]:
        """The head and the mean padding."""
        tensors = {k: v.detach().clone() for k, v in self._head.state_dict().items()}
        tensors["padding_sum"] = torch.from_numpy(self._padding_sum.copy())
        tensors["padding_cells"] = torch.tensor(self._padding_cells)
        return tensors

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`."""
        own = {"padding_sum", "padding_cells"}
        if tuple(state["padding_sum"].shape) != (self._channels,):
            got = tuple(state["padding_sum"].shape)
            raise ValueError(f"padding_sum must be {(self._channels,)}, got {got}")
        self._head.load_state_dict({k: v for k, v in state.items() if k not in own})
        self._padding_sum = state["padding_sum"].numpy().astype(np.float64)
        self._padding_cells = int(state["padding_cells"])


class FrozenSamFeatures(FrozenMethod):
    """Embeddings of any view, without the segmenter's image encoder."""

    def __init__(self, head: FeatureHead, setup: MethodSetup, padding: Floats) -> None:
        self._head, self._setup, self._padding = head, setup, padding

    def instances(self, surface: SurfaceCloud) -> list[Region]:
        """Empty: features do not say what is one thing; the segmenter's decoder does."""
        return []

    def text_regions(
        self,
        surface: SurfaceCloud,
        phrase: Floats,
        negatives: Floats,
        calibration: Calibration,
    ) -> list[Region]:
        """Empty: the segmenter knows no words."""
        return []

    def imitated(self, surface: SurfaceCloud, indices: NDArray[np.int64]) -> Floats:
        """(M, C) features of (M,) surface points: F̂ = MLP(E_sem(x_s)) (eq. 7)."""
        encoded = np.asarray(surface.features[SamFeatures.name][indices], np.float32)
        with torch.no_grad():
            at = torch.from_numpy(encoded).to(self._head.encoder.table.device)
            return self._head.mlp(at).cpu().numpy()

    def render_embedding(
        self, camera: PinholeCamera, world_from_camera: NDArray[np.float64], quadrature: Quadrature
    ) -> NDArray[np.float16]:
        """(C, h, w) f16 as `Segmenter.embed` gives it for an image of this camera and pose."""
        layout = self._setup.layout((camera.height, camera.width))
        rows, columns = layout.valid
        pixel = cell_centres(camera, layout)
        origins, directions = world_rays(camera, world_from_camera, pixel)
        unknown = np.full(len(pixel), np.nan, np.float32)
        along = quadrature(np.ascontiguousarray(origins), directions, unknown)
        with torch.no_grad():
            features = self._head.rays(along.points, along.weights).cpu().numpy()
        side = layout.side
        padding = self._padding[:, None, None]
        embedding = np.tile(padding, (1, side, side)).astype(np.float16)
        embedding[:, :rows, :columns] = features.T.reshape(-1, rows, columns)
        return embedding


def cell_centres(camera: PinholeCamera, layout: EmbeddingLayout) -> Floats:
    """(V, 2) pixels (u, v) at the centres of the valid cells, row by row.

    The longer side of the image fills all cells of the embedding, so one cell is
    max(H, W) / side pixels wide.
    """
    cell_px = max(camera.width, camera.height) / layout.side
    rows, columns = layout.valid
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    centres = (np.stack([u.ravel(), v.ravel()], axis=1) + 0.5) * cell_px - 0.5
    return np.minimum(centres, (camera.width - 1, camera.height - 1)).astype(np.float32)


def _cache_entry(
    keyframe: Keyframe, layout: EmbeddingLayout, embedding: NDArray[np.float16]
) -> CacheEntry:
    frame = keyframe.frame
    pixel = cell_centres(frame.camera, layout)
    origins, directions = world_rays(frame.camera, frame.world_from_camera, pixel)
    depth_m = np.full(len(pixel), np.nan, np.float32)
    if frame.depth_m is not None:
        nearest = np.rint(pixel).astype(np.int64)
        depth_m = frame.depth_m[nearest[:, 1], nearest[:, 0]]
    rows, columns = layout.valid
    features = embedding[:, :rows, :columns].reshape(layout.channels, -1).T
    return CacheEntry(
        keyframe.id,
        np.ascontiguousarray(origins),
        directions,
        depth_m,
        np.ascontiguousarray(features),
    )
