"""Looking at a field along rays, guided by the sensor's depth where there is any."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import Config
from semantic_field_ros.field.losses import depth_band
from semantic_field_ros.field.rendering import expected_depth, opacity
from semantic_field_ros.field.sampling import NEAR_SHARE, guided_edges
from semantic_field_ros.field.scene import Rays, SceneField
from semantic_field_ros.semantics.base import RayQuadrature

Floats = NDArray[np.float32]

#: rays looked along at once.
CHUNK_RAYS = 1 << 13


class GuidedLook:
    """Sees what a field shows, without gradients and without chance.

    Args:
        field: frozen, or live in the training thread.
        config: numbers of samples and what the sensor's noise is like.
    """

    def __init__(self, field: SceneField, config: Config) -> None:
        self._field, self._config = field, config

    def quadrature(self, origins: Floats, directions: Floats, depth_m: Floats) -> RayQuadrature:
        """See `semantics.base.Quadrature`."""
        points, weights, depths = [], [], []
        with torch.no_grad():
            for rays, edges in self._chunks(origins, directions, depth_m):
                samples, weight = self._field.look(rays, edges)
                points.append(samples.points)
                weights.append(weight)
                depths.append(expected_depth(weight, samples.depth))
        return RayQuadrature(torch.cat(points), torch.cat(weights), torch.cat(depths))

    def render(
        self, origins: Floats, directions: Floats, depth_m: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Colour (R, 3) in [0, 1], expected depth (R,) in metres and opacity (R,) in [0, 1]."""
        parts = []
        with torch.no_grad():
            for rays, edges in self._chunks(origins, directions, depth_m):
                traced = self._field.trace(rays, edges)
                depth = expected_depth(traced.weights, traced.samples.depth)
                seen = (traced.colour, depth, opacity(traced.weights))
                parts.append([tensor.cpu().numpy() for tensor in seen])
        rgb, depth_m, solid = (np.concatenate(column) for column in zip(*parts, strict=True))
        return rgb, depth_m, solid

    def _chunks(
        self, origins: Floats, directions: Floats, depth_m: Floats
    ) -> Iterator[tuple[Rays, torch.Tensor]]:
        for start in range(0, max(len(origins), 1), CHUNK_RAYS):
            part = slice(start, start + CHUNK_RAYS)
            tensors = (
                torch.from_numpy(np.require(array[part], requirements=["C", "W"])).to(
                    self._field.device
                )
                for array in (origins, directions, depth_m)
            )
            o, d, known_m = tensors
            yield Rays(o, d), self._edges(Rays(o, d), known_m)

    def _edges(self, rays: Rays, depth_m: torch.Tensor) -> torch.Tensor:
        """(R, S + 1): around the measured depth, else where the occupancy says."""
        config = self._config.field
        edges = self._field.propose(rays, config.samples_with_depth)
        known = depth_m.isfinite()
        if known.any():
            band = depth_band(self._config.training, depth_m[known])
            near_m = NEAR_SHARE * self._field.bounds.half_side_m
            free = config.samples_in_free_space
            around = config.samples_with_depth - free
            edges[known] = guided_edges(depth_m[known], band, near_m, free, around)
        return edges
