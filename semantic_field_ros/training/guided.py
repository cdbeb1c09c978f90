"""Looking at a field along rays, guided by the sensor's depth where there is any."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import Config
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.chunks import in_chunks
from semantic_field_ros.field.losses import depth_band
from semantic_field_ros.field.rendering import median_depth, opacity
from semantic_field_ros.field.sampling import NEAR_SHARE, guided_edges
from semantic_field_ros.field.scene import Rays, SceneField
from semantic_field_ros.semantics.base import RayQuadrature

Floats = NDArray[np.float32]

#: rays looked along at once, fewer where memory is short.
CHUNK_RAYS = 1 << 12


class GuidedLook:
    """Sees what a field shows, without gradients and without chance.

    In chunks under a memory budget; one that does not fit is halved.

    Args:
        field: frozen, or live in the training thread.
        config: numbers of samples and what the sensor's noise is like.
    """

    def __init__(self, field: SceneField, config: Config) -> None:
        self._field, self._config = field, config

    def quadrature(self, origins: Floats, directions: Floats, depth_m: Floats) -> RayQuadrature:
        """See `semantics.base.Quadrature`."""
        device, field = self._field.device, self._config.field
        guided = bool(np.isfinite(depth_m).any())
        count = field.samples_with_depth if guided else field.samples_without_depth

        def look(part: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            rays = Rays.on(device, origins[part], directions[part])
            edges = self._edges(rays, torch.tensor(depth_m[part], device=device), count)
            samples, weights = self._field.look(rays, edges)
            return samples.points, weights, median_depth(weights, edges)

        with torch.no_grad():
            parts = in_chunks(look, len(origins), CHUNK_RAYS)
        return RayQuadrature(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def surface(self, origins: Floats, directions: Floats) -> tuple[Floats, Floats]:
        """Median depth (R,) in metres and opacity (R,) in [0, 1], without a sensor's depth."""
        unknown = np.full(len(origins), np.nan, np.float32)
        seen = self.quadrature(origins, directions, unknown)
        return seen.depth_m.cpu().numpy(), opacity(seen.weights).cpu().numpy()

    def _edges(self, rays: Rays, depth_m: torch.Tensor, samples: int) -> torch.Tensor:
        """(R, samples + 1): around the measured depth, else where the occupancy says."""
        known = depth_m.isfinite()
        edges = rays.origins.new_empty((len(rays), samples + 1))
        if known.any():
            edges[known] = sensor_edges(self._config, self._field.bounds, depth_m[known])
        if not known.all():
            rest = Rays(rays.origins[~known], rays.directions[~known])
            edges[~known] = self._field.propose(rest, samples)
        return edges


def sensor_edges(config: Config, bounds: SceneBounds, depth_m: torch.Tensor) -> torch.Tensor:
    """(R, S + 1) edges through free space and across the band around known depths (R,)."""
    free = config.field.samples_in_free_space
    around = config.field.samples_with_depth - free
    near_m = NEAR_SHARE * bounds.half_side_m
    return guided_edges(depth_m, depth_band(config.training, depth_m), near_m, free, around)
