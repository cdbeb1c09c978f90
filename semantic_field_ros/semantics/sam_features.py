"""Imitation of the segmenter's features by a field (SAN, Chen et al. 2023).

F̂(r) = MLP(Σ w_i E_sem(x_i)) along a ray, eq. 6, and F̂ = MLP(E_sem(x_s)) on a surface point,
eq. 7. The MLP comes after the quadrature, because features are wide. Rays go through the centres
of the embedding's own cells; cells of padding are never supervised. The paper encodes images that
the field renders, at training poses and between them. Here captured keyframes are used as they
are, and views between them are rendered (camera augmentation, section 4.3).
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
from semantic_field_ros.field.rendering import composite
from semantic_field_ros.geometry import project, world_rays
from semantic_field_ros.models.base import Calibration, EmbeddingLayout
from semantic_field_ros.semantics.base import (
    FrozenMethod,
    Imagining,
    MethodSetup,
    Quadrature,
    RayQuadrature,
    Region,
    SemanticMethod,
)
from semantic_field_ros.semantics.optimiser import HeadOptimiser, to_device_of
from semantic_field_ros.types import (
    Array,
    FrameFeatures,
    ImaginedView,
    Keyframe,
    PinholeCamera,
    SurfaceCloud,
)

CACHE_CAPACITY = 256
CACHED_SHARE = 0.75
#: numbers that say how a ray looks at what it meets.
ASPECT = 12

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CacheEntry:
    """One view: rays through V valid cells and what the segmenter saw there.

    Attributes:
        imagined: whether the image was rendered instead of captured.
        origins, directions: (V, 3) f32, world frame.
        aspect: (V, K - 1) f32 how the cells are looked at; see `aspect_of`.
        cell_rad: width of a cell as a share of the distance.
        depth_m: (V,) f32 sensor's or rendered depth at the cell centres, NaN unknown.
        features: (V, C) f16.
    """

    imagined: bool
    origins: Floats
    directions: Floats
    aspect: Floats
    cell_rad: float
    depth_m: Floats
    features: NDArray[np.float16]


class FeatureHead(nn.Module):
    """E_sem and the MLP after the quadrature."""

    def __init__(self, config: SamFeaturesConfig, setup: MethodSetup, channels: int) -> None:
        super().__init__()
        self.encoder = make_encoder(config.grid, setup.backend, setup.seed)
        self.mlp = nn.Sequential(
            nn.Linear(self.encoder.output_dim + ASPECT, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, channels),
        )
        self.channels = channels
        self.unit_from_world = setup.unit_from_world

    def rays(self, along: RayQuadrature, aspect: Floats, cell_rad: float) -> torch.Tensor:
        """(R, C) features of rays (eq. 6) that look as `aspect_of` says."""
        encoded = self.encoder(self.unit_from_world(along.points.reshape(-1, 3)))
        samples = encoded.reshape(*along.weights.shape, -1)
        seen = composite(along.weights, samples)
        return self.shown(seen, along.depth_m, aspect, cell_rad)

    def shown(
        self, seen: torch.Tensor, depth_m: torch.Tensor, aspect: Floats, cell_rad: float
    ) -> torch.Tensor:
        """(R, C) features of what (R, L·F) encodes at (R,) depth."""
        cell_m = (depth_m * cell_rad).clamp_min(1e-4)
        how = torch.from_numpy(aspect).to(seen)
        return self.mlp(torch.cat([seen, how, cell_m.log()[:, None]], dim=1))


class SamFeatures(SemanticMethod):
    """Trains a `FeatureHead` from a first-in-first-out cache of views.

    Captured and imagined views have their own shares of its room: imagined ones come as long as
    there is time for them, and would push out keyframes that come only once.
    """

    name = "sam_features"

    def __init__(self, config: SamFeaturesConfig, setup: MethodSetup) -> None:
        self._config, self._setup = config, setup
        self._rng = np.random.default_rng(setup.seed)
        imagined = config.imagined_views
        if not 0 <= imagined < CACHE_CAPACITY:
            raise ValueError(f"imagined_views must be in [0, {CACHE_CAPACITY}), got {imagined}")
        self._captured: deque[CacheEntry] = deque(maxlen=CACHE_CAPACITY - imagined)
        self._imagined: deque[CacheEntry] = deque(maxlen=imagined)
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
        frame = keyframe.frame
        seen = _Seen(frame.camera, frame.world_from_camera, frame.depth_m, imagined=False)
        self._add(seen, keyframe.features.embedding)

    @property
    def imagining(self) -> Imagining:
        """Embeddings, for ever: later views are rendered from a better map."""
        return Imagining.EMBEDDING if self._config.imagined_views else Imagining.NOTHING

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:
        """Like `observe`."""
        if self._config.imagined_views:
            seen = _Seen(view.camera, view.world_from_camera, view.depth_m, imagined=True)
            self._add(seen, features.embedding)

    def _add(self, seen: _Seen, embedding: NDArray[np.float16]) -> None:
        layout = self._setup.layout((seen.camera.height, seen.camera.width))
        expected = (layout.channels, layout.side, layout.side)
        if embedding.shape != expected:
            raise ValueError(f"embedding must be {expected}, got {embedding.shape}")
        self._new.append(_cache_entry(seen, layout, embedding))
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
        rendered = self._head.rays(along, entry.aspect[pick], entry.cell_rad)
        target = torch.from_numpy(entry.features[pick].astype(np.float32)).to(rendered)
        loss = nn.functional.mse_loss(rendered, target)
        self._optimiser.step(loss)
        return {"feature_mse": loss.item()}

    def _draw(self) -> CacheEntry | None:
        """A view from the cache (75 %) or the newest one not yet trained on, which enters it."""
        cached = len(self._captured) + len(self._imagined)
        if self._new and (not cached or self._rng.random() >= CACHED_SHARE):
            entry = self._new.pop()
            (self._imagined if entry.imagined else self._captured).append(entry)
            return entry
        if not cached:
            return None
        number = int(self._rng.integers(cached))
        count = len(self._captured)
        return self._captured[number] if number < count else self._imagined[number - count]

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

    def imitated(
        self,
        surface: SurfaceCloud,
        indices: NDArray[np.int64],
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
    ) -> Floats:
        """(M, C) features of (M,) surface points as a view shows them: MLP(E_sem(x_s)) (eq. 7)."""
        layout = self._setup.layout((camera.height, camera.width))
        pixel, depth_m = project(camera, world_from_camera, surface.points[indices])
        encoded = np.asarray(surface.features[SamFeatures.name][indices], np.float32)
        device = self._head.encoder.table.device
        seen, at_m = (torch.from_numpy(array).to(device) for array in (encoded, depth_m))
        aspect = aspect_of(camera, world_from_camera, pixel)
        with torch.no_grad():
            rows = self._head.shown(seen, at_m, aspect, cell_rad(camera, layout))
            return rows.cpu().numpy()

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
            aspect = aspect_of(camera, world_from_camera, pixel)
            features = self._head.rays(along, aspect, cell_rad(camera, layout)).cpu().numpy()
        side = layout.side
        padding = self._padding[:, None, None]
        embedding = np.tile(padding, (1, side, side)).astype(np.float16)
        embedding[:, :rows, :columns] = features.T.reshape(-1, rows, columns)
        return embedding


def aspect_of(
    camera: PinholeCamera, world_from_camera: NDArray[np.float64], pixel: Floats
) -> Floats:
    """(V, ASPECT - 1) what a segmenter's features depend on beside the place that a ray meets.

    The rotation of the camera, and where in the image the (V, 2) pixels are, in [-1, 1]: what is
    left of a mug in one image is right of it in another, and the border is near or far.
    """
    size = np.array([camera.width, camera.height], np.float32)
    place = (2 * pixel + 1 - size) / size.max()
    turn = np.broadcast_to(world_from_camera[:3, :3].reshape(9), (len(pixel), 9))
    return np.concatenate([turn, place], axis=1).astype(np.float32)


def cell_rad(camera: PinholeCamera, layout: EmbeddingLayout) -> float:
    """Width of a cell as a share of the distance."""
    return max(camera.width, camera.height) / layout.side / camera.fx


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


@dataclass(frozen=True)
class _Seen:
    """Where a view was seen from, with its depth (H, W) in metres or None."""

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    depth_m: Floats | None
    imagined: bool


def _cache_entry(
    seen: _Seen, layout: EmbeddingLayout, embedding: NDArray[np.float16]
) -> CacheEntry:
    pixel = cell_centres(seen.camera, layout)
    origins, directions = world_rays(seen.camera, seen.world_from_camera, pixel)
    depth_m = np.full(len(pixel), np.nan, np.float32)
    if seen.depth_m is not None:
        nearest = np.rint(pixel).astype(np.int64)
        depth_m = seen.depth_m[nearest[:, 1], nearest[:, 0]]
    rows, columns = layout.valid
    features = embedding[:, :rows, :columns].reshape(layout.channels, -1).T
    return CacheEntry(
        seen.imagined,
        np.ascontiguousarray(origins),
        directions,
        aspect_of(seen.camera, seen.world_from_camera, pixel),
        cell_rad(seen.camera, layout),
        depth_m,
        np.ascontiguousarray(features),
    )
