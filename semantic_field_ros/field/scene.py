"""Radiance and occupancy together: what can be traced, frozen and saved."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.config import FieldConfig
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.occupancy import OccupancyGrid
from semantic_field_ros.field.radiance import RadianceField
from semantic_field_ros.field.rendering import composite, rendering_weights, scaled_gradient
from semantic_field_ros.field.sampling import RaySamples, denser_where, proposed_edges, samples_in


@dataclass(frozen=True)
class Rays:
    """R rays on the field's device: origin + t·direction, t the depth along the optical axis.

    Attributes:
        origins, directions: (R, 3) f32, world frame; see `RayBatch`.
    """

    origins: torch.Tensor
    directions: torch.Tensor

    @staticmethod
    def on(
        device: torch.device, origins: NDArray[np.float32], directions: NDArray[np.float32]
    ) -> Rays:
        """Rays from (R, 3) f32 arrays."""
        # torch wants memory of its own: contiguous and writeable.
        arrays = (np.require(a, requirements=["C", "W"]) for a in (origins, directions))
        return Rays(*(torch.from_numpy(a).to(device) for a in arrays))

    def __len__(self) -> int:
        return len(self.origins)


@dataclass(frozen=True)
class Traced:
    """Rays with what the field stops of them.

    Attributes:
        samples: where the field was asked.
        density: (R, S) 1/m.
        weights: (R, S) rendering weights.
        colour: (R, 3) in [0, 1] on black, before any exposure.
    """

    samples: RaySamples
    density: torch.Tensor
    weights: torch.Tensor
    colour: torch.Tensor


class SceneField(nn.Module):
    """The geometry and colour of one scene; `state_dict()` is all of it.

    Args:
        config: sizes and backend.
        bounds: fixed for the life of the field.
        seed: of the initial weights.
    """

    def __init__(self, config: FieldConfig, bounds: SceneBounds, seed: int = 0) -> None:
        super().__init__()
        self.config, self.bounds = config, bounds
        self.radiance = RadianceField(config, bounds, seed)
        self.occupancy = OccupancyGrid(config.occupancy_resolution, bounds)
        self.occupancy.to(self.radiance.device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.radiance.device

    def trace(
        self,
        rays: Rays,
        edges: torch.Tensor,
        generator: torch.Generator | None = None,
        calm_m: float = 0.0,
    ) -> Traced:
        """Renders rays from one sample in each interval between (R, S + 1) edges.

        Args:
            rays: R of them.
            edges: increasing depths.
            generator: source of chance, or None.
            calm_m: what density learns nearer than this is damped by (t / calm_m)², metres.
        """
        samples = samples_in(edges, rays.origins, rays.directions, generator)
        count, steps = samples.depth.shape
        said = self.radiance(samples.points.reshape(-1, 3))
        density = said.density.reshape(count, steps)
        if calm_m > 0:
            density = scaled_gradient(density, (samples.depth / calm_m).clamp_max(1.0) ** 2)
        weights = rendering_weights(density * samples.length)
        seen = composite(weights, said.features.reshape(count, steps, said.features.shape[1]))
        colour = self.radiance.colour(seen, rays.directions)
        return Traced(samples, density, weights, colour)

    def look(
        self, rays: Rays, edges: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[RaySamples, torch.Tensor]:
        """Like `trace`, without colour: the samples and their weights (R, S)."""
        samples = samples_in(edges, rays.origins, rays.directions, generator)
        density = self.radiance(samples.points.reshape(-1, 3)).density
        return samples, rendering_weights(density.reshape(samples.depth.shape) * samples.length)

    def propose(
        self, rays: Rays, count: int, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """(R, count + 1) edges where matter is expected."""
        with torch.no_grad():
            return proposed_edges(self.occupancy, rays.origins, rays.directions, count, generator)

    @torch.no_grad()
    def refine(self, rays: Rays, edges: torch.Tensor, count: int) -> torch.Tensor:
        """(R, count + 1) edges where the field itself stops rays, seen at coarser `edges`."""
        _, weights = self.look(rays, edges)
        return denser_where(edges, weights, count, None)

    def frozen(self) -> SceneField:
        """A copy that later training cannot change, without gradients."""
        return copy.deepcopy(self).requires_grad_(False).eval()
