"""A coarse grid that remembers where matter is, so that rays look there."""

from __future__ import annotations

import torch
from torch import nn

from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.radiance import INITIAL_EXPONENT

#: what is left of a cell's density at a visit that finds less.
DECAY = 0.85


class OccupancyGrid(nn.Module):
    """The highest recent density in each voxel of the contracted unit cube.

    It is fed with the densities that training computes anyway. A voxel rises at once to what is
    found in it and falls slowly, since a thin surface fills little of it; one that was never
    visited keeps the density of an untrained field, so rays go on looking into the unknown.

    Args:
        resolution: voxels per side.
        bounds: of the scene.
    """

    density: torch.Tensor

    def __init__(self, resolution: int, bounds: SceneBounds) -> None:
        super().__init__()
        self.resolution, self.bounds = resolution, bounds
        axis = (torch.arange(resolution) + 0.5) / resolution
        centres = torch.cartesian_prod(axis, axis, axis)
        _, shrink = bounds.contract(bounds.world_from_unit(centres))
        unknown = torch.tensor(INITIAL_EXPONENT).exp() / bounds.half_side_m
        self.register_buffer("density", unknown * shrink[:, 0])

    def cells(self, points: torch.Tensor) -> torch.Tensor:
        """Flat voxel indices (N,) of (N, 3) world points."""
        unit = self.bounds.unit_from_world(points)
        cell = (unit * self.resolution).long().clamp_(0, self.resolution - 1)
        side = self.resolution
        return (cell[:, 0] * side + cell[:, 1]) * side + cell[:, 2]

    def at(self, points: torch.Tensor) -> torch.Tensor:
        """(N,) density of the voxels that (N, 3) world points lie in, 1/m."""
        return self.density[self.cells(points)]

    @torch.no_grad()
    def update(self, points: torch.Tensor, density: torch.Tensor) -> None:
        """Takes in densities (N,) that the field has at world points (N, 3)."""
        cells = self.cells(points)
        self.density[cells] *= DECAY
        self.density.scatter_reduce_(0, cells, density.detach(), "amax")
