"""Rays of decoded views through frozen geometry, ready for an object field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.field.rendering import composite
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.geometry import inside_image, project, unproject, world_rays
from semantic_field_ros.semantics.base import Quadrature
from semantic_field_ros.semantics.ray_pairs import Pixels
from semantic_field_ros.types import PinholeCamera

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: samples of a ray that are kept, heaviest first; they hold nearly all of its light.
SAMPLES = 4
#: a point whose rendered depth differs by more than this share is hidden.
HIDDEN_SHARE = 0.03
#: a ray is trusted where rendered and measured depth differ by less than this, metres, plus a
#: share of the depth.
TRUST_M, TRUST_SHARE = 0.01, 0.005
#: rays traced at once.
CHUNK_RAYS = 1 << 14


@dataclass(frozen=True)
class DecodedMasks:
    """What the segmenter's decoder made of some of the objects in one view.

    Attributes:
        camera, world_from_camera: where it looks from.
        depth_m: (H, W) f32 measured depth along the optical axis, NaN unknown.
        objects: (K,) i64 identities that were decoded here, each > 0.
        logits: (K, H, W) f16, their masks.
        weight: how much the view counts, [0, 1].
        ignored: (H, W) bool pixels that count for nothing; None = none.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    depth_m: Floats
    objects: Ints
    logits: NDArray[np.float16]
    weight: float = 1.0
    ignored: NDArray[np.bool_] | None = None

    @property
    def has_depth(self) -> bool:
        """Whether anything was measured."""
        return bool(np.isfinite(self.depth_m).any())

    def targets(self, u: Ints, v: Ints, identities: int) -> Floats:
        """(R, N) probabilities of the identities at R pixels: softmax, with logit 0 for none."""
        target = np.zeros((len(u), identities), np.float32)
        logits = self.logits[:, v, u].astype(np.float32)
        exponent = np.concatenate([np.zeros((1, len(u)), np.float32), logits])
        likelihood = np.exp(exponent - exponent.max(axis=0))
        target[:, [0, *self.objects]] = (likelihood / likelihood.sum(axis=0)).T
        return target


@dataclass(frozen=True)
class LitRays:
    """R rays by their S heaviest samples.

    Attributes:
        points: (R, S, 3) f32, world frame, metres.
        weights: (R, S) rendering weights.
        features: (R, S, G) of the density field at the points.
        colour: (R, 3) rendered, in [0, 1].
        depth_m: (R,) rendered depth along the optical axis.
    """

    points: torch.Tensor
    weights: torch.Tensor
    features: torch.Tensor
    colour: torch.Tensor
    depth_m: torch.Tensor


class FrozenGeometry:
    """What an object field stands on; nothing here is ever trained.

    Args:
        field: frozen density and colour.
        quadrature: where it puts the light of rays.
    """

    def __init__(self, field: SceneField, quadrature: Quadrature) -> None:
        self.field, self._quadrature = field, quadrature

    @torch.no_grad()
    def light(self, origins: Floats, directions: Floats, depth_m: Floats) -> LitRays:
        """Traces (R, 3) origins and directions with (R,) measured depths, NaN where unknown."""
        along = self._quadrature(origins, directions, depth_m).heaviest(SAMPLES)
        points, weights = along.points, along.weights
        features = self.features(points.reshape(-1, 3)).reshape(*weights.shape, -1)
        towards = torch.from_numpy(directions).to(weights)
        colour = self.field.radiance.colour(composite(weights, features), towards)
        return LitRays(points, weights, features, colour, along.depth_m)

    @torch.no_grad()
    def features(self, points: torch.Tensor) -> torch.Tensor:
        """(N, G) what density knows of (N, 3) world points."""
        return self.field.radiance(points).features


class ViewRays:
    """Rays through the pixels of decoded views.

    Args:
        views: at least one.
        geometry: what the rays go through.
    """

    def __init__(self, views: Sequence[DecodedMasks], geometry: FrozenGeometry) -> None:
        self.views, self._geometry = views, geometry

    def light(self, pixels: Pixels) -> LitRays:
        """Traces R pixels."""
        origins = np.empty((len(pixels), 3), np.float32)
        directions, depth_m = np.empty_like(origins), np.empty(len(pixels), np.float32)
        for view, rows in self._by_view(pixels):
            u, v = pixels.u[rows], pixels.v[rows]
            uv = np.stack([u, v], axis=1).astype(np.float32)
            origins[rows], directions[rows] = world_rays(view.camera, view.world_from_camera, uv)
            depth_m[rows] = view.depth_m[v, u]
        return self._geometry.light(origins, directions, depth_m)

    def trusted(self, pixels: Pixels, rendered_m: torch.Tensor) -> NDArray[np.bool_]:
        """(R,) whether rays count and end where the sensor says; without a sensor all do.

        At the outline of a thing, where sensor and pose are off, a ray may end on what is behind.
        """
        trusted = np.ones(len(pixels), np.bool_)
        rendered = rendered_m.cpu().numpy()
        for view, rows in self._by_view(pixels):
            measured_m = view.depth_m[pixels.v[rows], pixels.u[rows]]
            tolerance = TRUST_M + TRUST_SHARE * measured_m
            with np.errstate(invalid="ignore"):
                agrees = np.abs(measured_m - rendered[rows]) < tolerance
            trusted[rows] = agrees | (not view.has_depth)
            if view.ignored is not None:
                trusted[rows] &= ~view.ignored[pixels.v[rows], pixels.u[rows]]
        return trusted

    def targets(self, pixels: Pixels, identities: int) -> Floats:
        """(R, N) what the masks say of R pixels."""
        target = np.empty((len(pixels), identities), np.float32)
        for view, rows in self._by_view(pixels):
            target[rows] = view.targets(pixels.u[rows], pixels.v[rows], identities)
        return target

    def point(self, pixel: Pixels, depth_m: torch.Tensor) -> Floats:
        """(3,) world point that one pixel shows at its rendered depth (1,), eq. 6."""
        view = self.views[int(pixel.view[0])]
        uv = np.array([[pixel.u[0], pixel.v[0]]], np.float32)
        return unproject(view.camera, view.world_from_camera, uv, depth_m.cpu().numpy())[0]

    def visible_at(self, point: Floats, view: int) -> tuple[int, int] | None:
        """The pixel of a view that shows a (3,) world point; None where it is hidden."""
        seen = self.views[view]
        pixel, depth_m = project(seen.camera, seen.world_from_camera, point[None])
        if not inside_image(seen.camera, pixel, depth_m)[0]:
            return None
        u, v = (int(round(float(x))) for x in pixel[0])
        rendered_m = float(self.light(Pixels(*np.array([[view], [u], [v]]))).depth_m)
        hidden = abs(rendered_m - depth_m[0]) > HIDDEN_SHARE * depth_m[0]
        return None if hidden else (u, v)

    def _by_view(self, pixels: Pixels) -> list[tuple[DecodedMasks, Ints]]:
        return [(self.views[i], np.flatnonzero(pixels.view == i)) for i in np.unique(pixels.view)]
