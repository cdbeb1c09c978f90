"""Where along a ray the field is asked.

Depth t is measured along the optical axis: rays are origin + t·direction, with directions as in
`RayBatch`. A ray is cut into intervals and sampled once in each, so that interval lengths are
exact whatever the sample positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.occupancy import OccupancyGrid
from semantic_field_ros.field.rendering import rendering_weights

#: nothing is nearer to a camera than this share of the scene's half side, unless a sensor says so.
NEAR_SHARE = 0.01
#: without depth, matter nearer to a camera than this share of the half side is learned slowly.
CALM_SHARE = 0.7
#: rays are followed to this many half sides beyond the box.
FAR_SIDES = 30.0
#: coarse intervals inside the box and beyond it by which the grid is asked.
COARSE_INSIDE, COARSE_BEYOND = 64, 16
#: a voxel of the grid stops at most this share of a ray, which may just miss what is in it.
VOXEL_OPACITY = 0.3
#: share of the fine intervals spread evenly over the coarse ones, against blind spots.
EVEN_SHARE = 0.1


@dataclass(frozen=True)
class RaySamples:
    """S samples on each of R rays.

    Attributes:
        depth: (R, S) f32, increasing along the ray, metres along the optical axis.
        length: (R, S) f32, length of each sample's interval along the ray, metres.
        points: (R, S, 3) f32, world frame.
    """

    depth: torch.Tensor
    length: torch.Tensor
    points: torch.Tensor


def samples_in(
    edges: torch.Tensor,
    origins: torch.Tensor,
    directions: torch.Tensor,
    generator: torch.Generator | None,
) -> RaySamples:
    """One sample in each interval between (R, S + 1) edges: random, or the middle without chance.

    Args:
        edges: increasing depths.
        origins, directions: (R, 3) f32.
        generator: source of chance on the same device, or None.
    """
    width = edges[:, 1:] - edges[:, :-1]
    at = 0.5 if generator is None else _uniform(width.shape, generator, width)
    depth = edges[:, :-1] + width * at
    length = width * directions.norm(dim=1, keepdim=True)
    points = origins[:, None] + depth[..., None] * directions[:, None]
    return RaySamples(depth, length, points)


def guided_edges(
    depth_m: torch.Tensor, band_m: torch.Tensor, near_m: float, free: int, band: int
) -> torch.Tensor:
    """(R, free + band + 1) edges: `free` even ones up to the sensor's band, `band` across it.

    Args:
        depth_m: (R,) sensor depth, known.
        band_m: (R,) half width of where the surface may be, metres.
        near_m: where rays start; half-way to surfaces that are nearer than twice that.
        free, band: numbers of intervals.
    """
    device = depth_m.device
    near = (depth_m / 2).clamp_max(near_m)[:, None]
    start = (depth_m - band_m)[:, None].maximum(near + 1e-4)
    end = (depth_m + band_m)[:, None].maximum(near + 2e-4)
    before = near + (start - near) * torch.linspace(0, 1, free + 1, device=device)[:-1]
    across = start + (end - start) * torch.linspace(0, 1, band + 1, device=device)
    return torch.cat([before, across], dim=1)


def proposed_edges(
    grid: OccupancyGrid,
    origins: torch.Tensor,
    directions: torch.Tensor,
    count: int,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """(R, count + 1) edges that lie dense where the grid says that the ray will stop.

    The grid's densities at coarse intervals give rendering weights, blurred to both neighbours
    and mixed with an even share (Barron et al. 2022, sections 3 and D); edges are quantiles of
    the piecewise constant distribution that they make. What the grid calls full is taken as half
    transparent, so that rays which pass close by an object still look behind it.

    Args:
        grid: where matter is.
        origins, directions: (R, 3) f32.
        count: fine intervals.
        generator: source of chance, or None for fixed quantiles.
    """
    coarse = coarse_edges(grid.bounds, origins, directions)
    middle = samples_in(coarse, origins, directions, generator)
    density = grid.at(middle.points.reshape(-1, 3)).reshape(middle.depth.shape)
    limit = -math.log(1 - VOXEL_OPACITY)
    weights = rendering_weights((density * middle.length).clamp_max(limit))
    return denser_where(coarse, weights, count, generator)


def denser_where(
    edges: torch.Tensor, weights: torch.Tensor, count: int, generator: torch.Generator | None
) -> torch.Tensor:
    """(R, count + 1) edges, dense where weights (R, B) between (R, B + 1) edges are large.

    Weights are spread to their neighbours and mixed with an even share.
    """
    return _quantiles(edges, _blurred(weights), count, generator)


def coarse_edges(
    bounds: SceneBounds, origins: torch.Tensor, directions: torch.Tensor
) -> torch.Tensor:
    """(R, COARSE_INSIDE + COARSE_BEYOND + 1) edges: even to the box's end, then even in 1/t."""
    near = NEAR_SHARE * bounds.half_side_m
    leave = box_exit(bounds, origins, directions).clamp_min(20 * near)[:, None]
    steps = torch.linspace(0, 1, COARSE_INSIDE + 1, device=origins.device)
    inside = near + (leave - near) * steps
    far = leave + FAR_SIDES * bounds.half_side_m
    steps = torch.linspace(0, 1, COARSE_BEYOND + 1, device=origins.device)[1:]
    beyond = 1 / (1 / leave + (1 / far - 1 / leave) * steps)
    return torch.cat([inside, beyond], dim=1)


def box_exit(bounds: SceneBounds, origins: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """(R,) depth at which rays leave the box for good; negative or 0 if they never meet it."""
    safe = torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
    low = (origins.new_tensor(bounds.minimum) - origins) / safe
    high = (origins.new_tensor(bounds.maximum) - origins) / safe
    enter = torch.minimum(low, high).amax(dim=1)
    leave = torch.maximum(low, high).amin(dim=1)
    return torch.where(leave > enter, leave, torch.zeros_like(leave))


def _blurred(weights: torch.Tensor) -> torch.Tensor:
    """Each weight at least as large as half of its neighbours; rows sum to 1, all positive."""
    padded = torch.nn.functional.pad(weights, (1, 1))
    peaks = torch.maximum(padded[:, 1:], padded[:, :-1])
    spread = (peaks[:, 1:] + peaks[:, :-1]) / 2
    spread = spread / spread.sum(dim=1, keepdim=True).clamp_min(1e-6)
    even = 1.0 / weights.shape[1]
    share = (1 - EVEN_SHARE) * spread + EVEN_SHARE * even
    return share / share.sum(dim=1, keepdim=True)


def _quantiles(
    edges: torch.Tensor, share: torch.Tensor, count: int, generator: torch.Generator | None
) -> torch.Tensor:
    """(R, count + 1) edges at even quantiles of (R, B) shares between (R, B + 1) edges."""
    reached = torch.nn.functional.pad(torch.cumsum(share, dim=1), (1, 0))
    shift = 0.5 if generator is None else _uniform((len(edges), 1), generator, edges)
    wanted = (torch.arange(1, count, device=edges.device) - 0.5 + shift) / count
    wanted = wanted.expand(len(edges), -1).contiguous()
    above = torch.searchsorted(reached, wanted).clamp(1, edges.shape[1] - 1)
    low, high = reached.gather(1, above - 1), reached.gather(1, above)
    part = ((wanted - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
    start, end = edges.gather(1, above - 1), edges.gather(1, above)
    return torch.cat([edges[:, :1], start + part * (end - start), edges[:, -1:]], dim=1)


def _uniform(
    shape: torch.Size | tuple[int, ...], generator: torch.Generator, like: torch.Tensor
) -> torch.Tensor:
    return torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
