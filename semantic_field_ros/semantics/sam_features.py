"""Imitation of the segmenter's features by a field (SAN, Chen et al. 2023).

F̂ = D(Σ w_i E_sem(x_i)), eq. 6, or D(E_sem(x_s)) with the point x_s where a ray is stopped, eq. 7,
for neighbouring cells at once; the decoder D comes after the quadrature, because features are
wide. Rays go through the centres of the embedding's own cells; cells of padding are never
supervised. The paper encodes images that the field renders, at training poses and between them.
Here captured keyframes are used as they are, and views between them are rendered if the config
leaves them room (camera augmentation, section 4.3).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from semantic_field_ros.config import SamFeaturesConfig
from semantic_field_ros.models.base import EmbeddingLayout
from semantic_field_ros.semantics.base import (
    FrozenMethod,
    Imagining,
    MethodSetup,
    Quadrature,
    SemanticMethod,
)
from semantic_field_ros.semantics.feature_head import (
    REACH_CELLS,
    FeatureHead,
    cross_scale_loss,
)
from semantic_field_ros.semantics.feature_maps import (
    CachedView,
    draw_window,
    ray_map,
    unaffected,
    valid_features,
)
from semantic_field_ros.semantics.optimiser import HeadOptimiser, rate_share, to_device_of
from semantic_field_ros.types import (
    Array,
    FrameFeatures,
    ImaginedView,
    Keyframe,
    PinholeCamera,
    PosedFrame,
)

CACHE_CAPACITY = 256
CACHED_SHARE = 0.75

Floats = NDArray[np.float32]
Layouts = Callable[[tuple[int, int]], tuple[EmbeddingLayout, ...]]


class SamFeatures(SemanticMethod):
    """Trains a `FeatureHead` from a first-in-first-out cache of views.

    Captured and imagined views have their own shares of its room: imagined ones come as long as
    there is time for them, and would push out keyframes that come only once. A captured view goes
    with its keyframe, so that the replay memory bounds what is held of views.
    """

    name = "sam_features"

    def __init__(self, config: SamFeaturesConfig, setup: MethodSetup) -> None:
        imagined = config.imagined_views
        if not 0 <= imagined < CACHE_CAPACITY:
            raise ValueError(f"imagined_views must be in [0, {CACHE_CAPACITY}), got {imagined}")
        self._config, self._setup = config, setup
        self.every = config.every
        self._rng = np.random.default_rng(setup.seed)
        self._captured: dict[int, CachedView] = {}
        self._imagined: deque[CachedView] = deque(maxlen=imagined)
        self._new: deque[CachedView] = deque(maxlen=CACHE_CAPACITY)
        self._channels = [layout.channels for layout in self._layouts((1, 1))]
        self._head = self._new_head()
        self._optimiser = HeadOptimiser(
            self._head.encoder, self._head.others(), config.learning_rate
        )
        self._padding_sum = np.zeros(self._channels[-1], np.float64)
        self._padding_cells = 0
        self._steps = 0
        self._births: dict[int, int] = {}

    def _new_head(self) -> FeatureHead:
        setup = self._setup
        return FeatureHead(
            self._config, setup.unit_from_world, setup.backend, self._channels, setup.seed
        )

    def _layouts(self, image_size: tuple[int, int]) -> tuple[EmbeddingLayout, ...]:
        """Of all scales that are imitated, that of the embedding last."""
        if self._config.pyramid and self._setup.pyramid_layouts is not None:
            return self._setup.pyramid_layouts(image_size)
        return (self._setup.layout(image_size),)

    def observe(self, keyframe: Keyframe) -> None:
        """Adds a view to those not yet trained on, and its padding to the mean padding."""
        self._add(keyframe.frame, _features_of(keyframe), keyframe.id)

    def recall(self, keyframe: Keyframe) -> None:
        """Puts the view back into the cache; its age and its padding are part of the state."""
        view, _ = self._cached(keyframe.frame, _features_of(keyframe), keyframe.id)
        self._hold(keyframe.id, view)

    @property
    def imagining(self) -> Imagining:
        """Embeddings, for ever: later views are rendered from a better map.

        But only beside captured views: a map that was loaded has none of them in its cache before
        they are recalled, and would forget what it knows over the first few imagined ones.
        """
        wanted = self._config.imagined_views and self._captured
        return Imagining.EMBEDDING if wanted else Imagining.NOTHING

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:
        """Like `observe`, while any are wanted; other methods may want some too."""
        if self.imagining is not Imagining.NOTHING:
            self._add(view, features)

    def _add(
        self,
        view: PosedFrame | ImaginedView,
        features: FrameFeatures,
        keyframe_id: int | None = None,
    ) -> None:
        cached, padding = self._cached(view, features, keyframe_id)
        self._new.append(cached)
        self._padding_sum += padding.astype(np.float64).sum(axis=0)
        self._padding_cells += len(padding)

    def _cached(
        self,
        view: PosedFrame | ImaginedView,
        features: FrameFeatures,
        keyframe_id: int | None,
    ) -> tuple[CachedView, NDArray[np.float16]]:
        """What training needs of a view, and the (U, C) features of its padding."""
        camera = view.camera
        layouts = self._layouts((camera.height, camera.width))
        maps = (*features.depths, features.embedding)[-len(layouts) :]
        if len(maps) < len(layouts):
            raise ValueError(f"features must have {len(layouts)} scales, got {len(maps)}")
        valid = [valid_features(at, layout) for at, layout in zip(maps, layouts, strict=True)]
        ignored = None if isinstance(view, ImaginedView) else view.ignored
        per_cell = self._head.per_cell
        rays = [
            ray_map(camera, view.world_from_camera, at, per_cell, view.depth_m, ignored)
            for at in layouts
        ]
        cells = tuple(features for features, _ in valid)
        return CachedView(keyframe_id, tuple(rays), cells), valid[-1][1]

    def forget(self, keyframe_id: int) -> None:
        """The view goes too: what is held of views is bounded by the replay memory, which lets go
        of the most redundant."""
        self._captured.pop(keyframe_id, None)
        self._births.pop(keyframe_id, None)
        kept = [view for view in self._new if view.keyframe_id != keyframe_id]
        self._new = deque(kept, maxlen=CACHE_CAPACITY)

    def poses_changed(self) -> None:
        """Forgets all views, which lie where they no longer are."""
        for views in (self._captured, self._imagined, self._new, self._births):
            views.clear()

    def step(self, quadrature: Quadrature) -> dict[str, float]:
        """MSE to the features of a part of one view, at every scale (eq. 8 and 10), and their
        cross-scale correlation (eq. 11)."""
        view = self._draw()
        if view is None:
            return {}
        self._steps += 1
        self._optimiser.set_rate(self._config.learning_rate * self.rate_share())
        pairs = [self._scale(view, scale, quadrature) for scale in range(len(self._channels))]
        if not all(len(theirs) for _, theirs in pairs):
            return {}  # the window shows ignored pixels alone
        errors = [functional.mse_loss(ours, theirs) for ours, theirs in pairs]
        losses = {"feature_mse": errors[-1]}
        total = torch.stack(errors).sum()
        if len(pairs) > 1:
            ours, theirs = zip(*pairs, strict=True)
            losses["cross_scale"] = cross_scale_loss(ours, theirs)
            total = total + losses["cross_scale"]
        self._optimiser.step(total)
        return {name: loss.item() for name, loss in losses.items()}

    def rate_share(self) -> float:
        """Share of the full learning rate, by the age of captured views: new places lift it."""
        if not self._births:
            return 1.0
        age = self._steps - sum(self._births.values()) / len(self._births)
        return rate_share(age, self._config.settle_steps)

    def _scale(
        self, view: CachedView, scale: int, quadrature: Quadrature
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(W, C) predicted and true features of some neighbouring cells of one scale."""
        whole = view.rays[scale]
        side = math.isqrt(self.rays_of(self._config.window_cells**2))
        window = draw_window(whole.size, side, self._rng)
        rays, at = whole.cells(*window)
        along = quadrature(rays.origins, rays.directions, rays.depth_m)
        rendered = self._head(rays, along, scale).flatten(1).T
        target = torch.from_numpy(view.features[scale][at].astype(np.float32)).to(rendered)
        known = unaffected(window, whole.size, REACH_CELLS) & rays.counts
        clean = torch.from_numpy(known).to(rendered.device)
        return rendered[clean], target[clean]

    def _draw(self) -> CachedView | None:
        """A view from the cache (75 %) or the newest one not yet trained on, which enters it."""
        cached = [*self._captured.values(), *self._imagined]
        if self._new and (not cached or self._rng.random() >= CACHED_SHARE):
            view = self._new.pop()
            self._enter(view)
            return view
        return cached[int(self._rng.integers(len(cached)))] if cached else None

    def _enter(self, view: CachedView) -> None:
        if view.keyframe_id is None:
            self._imagined.append(view)
        else:
            self._births[view.keyframe_id] = self._steps
            self._hold(view.keyframe_id, view)

    def _hold(self, keyframe_id: int, view: CachedView) -> None:
        """Puts a captured view into the cache; the oldest makes room for it."""
        self._captured[keyframe_id] = view
        if len(self._captured) > CACHE_CAPACITY - self._config.imagined_views:
            self.forget(next(iter(self._captured)))

    def surface_features(self, points: Floats) -> Array:
        """(N, K) f16 E_sem at (N, 3) surface points."""
        encoder = self._head.encoder
        with torch.no_grad():
            unit = self._setup.unit_from_world(to_device_of(encoder, torch.from_numpy(points)))
            return encoder(unit).cpu().numpy().astype(np.float16)

    def freeze(self) -> FrozenSamFeatures:
        """A copy that renders embeddings of any view."""
        head = self._new_head()
        head.load_state_dict(self._head.state_dict())
        padding = self._padding_sum / max(self._padding_cells, 1)
        return FrozenSamFeatures(head.eval(), self._layouts, padding.astype(np.float32))

    def state(self) -> dict[str, torch.Tensor]:
        """The head, the mean padding, and how old what it has learnt is."""
        tensors = {k: v.detach().clone() for k, v in self._head.state_dict().items()}
        tensors["padding_sum"] = torch.from_numpy(self._padding_sum.copy())
        tensors["padding_cells"] = torch.tensor(self._padding_cells)
        tensors["steps"] = torch.tensor(self._steps)
        births = torch.tensor([*self._births.items()], dtype=torch.int64)
        tensors["births"] = births.reshape(-1, 2)
        return tensors

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`."""
        own = {"padding_sum", "padding_cells", "steps", "births"}
        width = self._channels[-1]
        if tuple(state["padding_sum"].shape) != (width,):
            got = tuple(state["padding_sum"].shape)
            raise ValueError(f"padding_sum must be {(width,)}, got {got}")
        self._head.load_state_dict({k: v for k, v in state.items() if k not in own})
        self._padding_sum = state["padding_sum"].numpy().astype(np.float64)
        self._padding_cells = int(state["padding_cells"])
        self._steps = int(state["steps"])
        self._births = dict(state["births"].tolist())


def _features_of(keyframe: Keyframe) -> FrameFeatures:
    if keyframe.features is None:
        raise ValueError(f"keyframe {keyframe.id} must have features, got None")
    return keyframe.features


class FrozenSamFeatures(FrozenMethod):
    """Embeddings of any view, without the segmenter's image encoder.

    It knows no words, and what is one thing the segmenter's decoder says, not the features.

    Args:
        head: that nobody trains.
        layouts: of all scales of an image of (height, width), that of the embedding last.
        padding: (C,) features of cells beside the image.
    """

    def __init__(self, head: FeatureHead, layouts: Layouts, padding: Floats) -> None:
        self._head, self._layouts, self._padding = head, layouts, padding

    def render_embedding(
        self, camera: PinholeCamera, world_from_camera: NDArray[np.float64], quadrature: Quadrature
    ) -> NDArray[np.float16]:
        """(C, h, w) f16 as `Segmenter.embed` gives it for an image of this camera and pose."""
        layouts = self._layouts((camera.height, camera.width))
        layout = layouts[-1]
        rays = ray_map(camera, world_from_camera, layout, self._head.per_cell)
        along = quadrature(rays.origins, rays.directions, rays.depth_m)
        with torch.no_grad():
            features = self._head(rays, along, len(layouts) - 1).cpu().numpy()
        rows, columns = layout.valid
        padding = self._padding[:, None, None]
        embedding = np.tile(padding, (1, layout.side, layout.side)).astype(np.float16)
        embedding[:, :rows, :columns] = features
        return embedding
