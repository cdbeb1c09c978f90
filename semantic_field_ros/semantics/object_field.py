"""An object field: noisy 2D masks of several views into one consistent 3D answer.

The mask aggregator of SANeRF-HQ (Liu et al. 2024, section 3.3). Every point has a vector of N
object identities, rendered along a ray like a colour (eq. 7) and trained by cross-entropy against
the masks (eq. 8); after a warm-up the ray-pair RGB loss (`ray_pairs.py`) sharpens what the masks
leave open. It stands on frozen geometry, whose density features its MLP is given too, and it is
made for one question and thrown away with its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.config import ObjectFieldConfig
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.field.rendering import composite
from semantic_field_ros.semantics.object_rays import (
    CHUNK_RAYS,
    DecodedMasks,
    FrozenGeometry,
    LitRays,
    ViewRays,
)
from semantic_field_ros.semantics.optimiser import HeadOptimiser
from semantic_field_ros.semantics.ray_pairs import (
    ErrorMaps,
    Pixels,
    identity_distance,
    ray_pair_loss,
)

Floats = NDArray[np.float32]

#: steps between refreshes of all error maps.
REFRESH_EVERY = 200
#: rays of a patch, and how many of them are references.
PATCH_RAYS, REFERENCES = 32, 20
#: sides of patches in pixels.
PATCH_SIDES_PX = (8, 16)
#: views that show a patch, the one in which its error was found included.
PATCH_VIEWS = 4
#: rays around the masks reach this share of a mask's box beyond it.
WINDOW_MARGIN = 0.5


class ObjectHead(nn.Module):
    """o(x): a hash grid, and an MLP that is also fed with the features of the density field."""

    def __init__(
        self, config: ObjectFieldConfig, geometry: FrozenGeometry, identities: int, seed: int
    ) -> None:
        super().__init__()
        self.identities = identities
        field = geometry.field
        self.encoder = make_encoder(config.grid, field.config.backend, seed)
        self._unit_from_world = field.bounds.unit_from_world
        self._with_density = config.density_features
        inputs = self.encoder.output_dim
        inputs += field.config.geometry_features if config.density_features else 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.mlp = nn.Sequential(
                nn.Linear(inputs, config.hidden), nn.ReLU(), nn.Linear(config.hidden, identities)
            )
        self.to(self.encoder.table.device)

    def forward(self, points: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(M, N) logits at (M, 3) world points where density has (M, G) features."""
        encoded = self.encoder(self._unit_from_world(points))
        if self._with_density:
            encoded = torch.cat([encoded, features], dim=1)
        return self.mlp(encoded)

    def rays(self, light: LitRays) -> torch.Tensor:
        """(R, N) rendered logits, eq. 7."""
        logits = self(light.points.reshape(-1, 3), light.features.flatten(0, 1))
        return composite(light.weights, logits.reshape(*light.weights.shape, -1))


class ObjectField:
    """Trained on decoded views, then asked about points.

    Args:
        config: how to train.
        geometry: frozen.
        objects: N - 1; identity 0 is everything else.
        seed: of every random choice.
    """

    def __init__(
        self, config: ObjectFieldConfig, geometry: FrozenGeometry, objects: int, seed: int = 0
    ) -> None:
        self._config, self._geometry = config, geometry
        self._head = ObjectHead(config, geometry, objects + 1, seed)
        self._rng = np.random.default_rng(seed)

    def train(self, views: Sequence[DecodedMasks], progress: Callable[[float], None]) -> None:
        """Fits the masks.

        Args:
            views: with their masks.
            progress: told the share that is done, in [0, 1], after every step; what it raises
                ends the training.

        Raises:
            ValueError: there is no view.
        """
        if not views:
            raise ValueError("an object field needs at least one decoded view, got none")
        fit = _Fit(self._config, self._head, ViewRays(views, self._geometry), self._rng)
        for step in range(self._config.steps):
            fit.step(step)
            progress((step + 1) / self._config.steps)

    @torch.no_grad()
    def identities(self, points: Floats) -> Floats:
        """(M, N) probabilities of (M, 3) world points."""
        parts = []
        for start in range(0, len(points), CHUNK_RAYS):
            at = torch.from_numpy(points[start : start + CHUNK_RAYS])
            at = at.to(self._head.encoder.table.device)
            parts.append(torch.softmax(self._head(at, self._geometry.features(at)), dim=1).cpu())
        return torch.cat(parts).numpy()


class _Fit:
    """One training of a head."""

    def __init__(
        self,
        config: ObjectFieldConfig,
        head: ObjectHead,
        rays: ViewRays,
        rng: np.random.Generator,
    ) -> None:
        self._config, self._head, self._rays, self._rng = config, head, rays, rng
        self._optimiser = HeadOptimiser(head.encoder, head.mlp.parameters(), config.learning_rate)
        self._sizes = np.array([view.depth_m.shape for view in rays.views])
        self._windows = _windows(rays.views)
        self._errors = ErrorMaps([view.depth_m.shape for view in rays.views])
        self._decoded = np.zeros((len(rays.views), head.identities), np.bool_)
        for decoded, view in zip(self._decoded, rays.views, strict=True):
            decoded[[0, *view.objects]] = True
        self._weight = np.array([view.weight for view in rays.views], np.float32)

    def step(self, number: int) -> None:
        """Cross-entropy on rays of all views and, after the warm-up, the ray-pair loss."""
        config = self._config
        pairing = config.pair_weight > 0
        if pairing and number > 0 and number % REFRESH_EVERY == 0:
            self._refresh()
        pixels = self._draw(config.rays)
        light = self._rays.light(pixels)
        logits = self._head.rays(light)
        weight = self._weight[pixels.view] * self._rays.trusted(pixels, light.depth_m)
        loss = self._cross_entropy(logits, pixels, weight)
        if pairing:
            self._note_errors(logits.detach(), pixels)
            if number >= config.warm_up_steps:
                loss = loss + config.pair_weight * self._pair_loss()
        self._optimiser.step(loss)

    def _draw(self, count: int) -> Pixels:
        """Half of the pixels anywhere in any view, half around its masks."""
        view = self._rng.integers(len(self._sizes), size=count)
        anywhere = np.zeros((count, 4), np.int64)
        anywhere[:, 2:] = self._sizes[view]
        box = np.where((np.arange(count) % 2)[:, None] == 0, anywhere, self._windows[view])
        v, u = (box[:, :2] + self._rng.random((count, 2)) * (box[:, 2:] - box[:, :2])).T
        return Pixels(view, u.astype(np.int64), v.astype(np.int64))

    def _cross_entropy(self, logits: torch.Tensor, pixels: Pixels, weight: Floats) -> torch.Tensor:
        return mask_loss(
            logits,
            torch.from_numpy(self._rays.targets(pixels, self._head.identities)).to(logits),
            torch.from_numpy(self._decoded[pixels.view]).to(logits.device),
            torch.from_numpy(weight).to(logits),
        )

    def _note_errors(self, logits: torch.Tensor, pixels: Pixels) -> None:
        """Eq. 12: the distance of the rendered from the decoded identity."""
        target = torch.from_numpy(self._rays.targets(pixels, self._head.identities)).to(logits)
        one_hot = nn.functional.one_hot(target.argmax(dim=1), self._head.identities).to(logits)
        error = identity_distance(one_hot, torch.softmax(logits, dim=1))
        self._errors.update(pixels, error.cpu().numpy())

    @torch.no_grad()
    def _refresh(self) -> None:
        cells = self._errors.all_cells()
        for start in range(0, len(cells), CHUNK_RAYS):
            part = slice(start, start + CHUNK_RAYS)
            pixels = Pixels(cells.view[part], cells.u[part], cells.v[part])
            self._note_errors(self._head.rays(self._rays.light(pixels)), pixels)

    def _pair_loss(self) -> torch.Tensor:
        """Mean of the ray-pair loss around some badly explained pixels."""
        patches = [
            self._patches(p) for p in _each(self._errors.draw(self._rng, self._config.patches))
        ]
        light = self._rays.light(_joined(patches))
        identity = torch.softmax(self._head.rays(light), dim=1)
        sizes = [len(pixels) for pixels in patches]
        losses = [
            ray_pair_loss(
                m, colour, REFERENCES * len(m) // PATCH_RAYS, self._config.similar_colour
            )
            for m, colour in zip(identity.split(sizes), light.colour.split(sizes), strict=True)
        ]
        return torch.stack(losses).mean()

    def _patches(self, worst: Pixels) -> Pixels:
        """R(p), eq. 13: rays around one pixel, and around where other views show its point."""
        depth_m = self._rays.light(worst).depth_m
        home, u, v = int(worst.view[0]), int(worst.u[0]), int(worst.v[0])
        shown = [(home, u, v)]
        point = self._rays.point(worst, depth_m)
        for view in self._rng.permutation(len(self._sizes)):
            if len(shown) == PATCH_VIEWS:
                break
            pixel = self._rays.visible_at(point, int(view)) if view != home else None
            if pixel is not None:
                shown.append((int(view), *pixel))
        side = int(self._rng.choice(PATCH_SIDES_PX))
        centre = np.repeat(np.array(shown), PATCH_RAYS, axis=0)
        self._rng.shuffle(centre)  # references come from all of the views
        offset = self._rng.integers(side, size=(len(centre), 2)) - side // 2
        last = self._sizes[centre[:, 0]] - 1
        return Pixels(
            centre[:, 0],
            np.clip(centre[:, 1] + offset[:, 0], 0, last[:, 1]),
            np.clip(centre[:, 2] + offset[:, 1], 0, last[:, 0]),
        )


def mask_loss(
    logits: torch.Tensor, target: torch.Tensor, decoded: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Weighted mean cross-entropy (eq. 8), where "none of the objects" can be undecided.

    A view without a mask of some object cannot tell it from the background: what it calls
    background is explained by the background and by all objects that it did not decode.

    Args:
        logits: (R, N) rendered.
        target: (R, N) probabilities, 0 for what was not decoded.
        decoded: (R, N) bool, which objects the ray's view has masks of.
        weight: (R,) of the ray's view.
    """
    none = logits.masked_fill(decoded, -torch.inf)
    none = torch.cat([logits[:, :1], none[:, 1:]], dim=1).logsumexp(dim=1, keepdim=True)
    explained = torch.cat([none, logits[:, 1:]], dim=1) - logits.logsumexp(dim=1, keepdim=True)
    loss = -(target * explained).sum(dim=1)
    return (loss * weight).sum() / weight.sum().clamp_min(1e-6)


def _windows(views: Sequence[DecodedMasks]) -> NDArray[np.int64]:
    """(V, 4) row and column of the first, and behind the last, pixel around a view's masks."""
    windows = []
    for view in views:
        size = np.array(view.depth_m.shape)
        at = np.argwhere((view.logits > 0).any(axis=0))
        low, high = (at.min(axis=0), at.max(axis=0) + 1) if len(at) else (0 * size, size)
        margin = np.ceil(WINDOW_MARGIN * (high - low)).astype(np.int64)
        windows.append([*np.maximum(low - margin, 0), *np.minimum(high + margin, size)])
    return np.array(windows, np.int64)


def _each(pixels: Pixels) -> list[Pixels]:
    return [Pixels(pixels.view[[i]], pixels.u[[i]], pixels.v[[i]]) for i in range(len(pixels))]


def _joined(parts: Sequence[Pixels]) -> Pixels:
    return Pixels(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("view", "u", "v"))
    )
