"""What training compares, and how."""

from __future__ import annotations

import torch

from semantic_field_ros.config import TrainingConfig
from semantic_field_ros.field.rendering import expected_depth, opacity
from semantic_field_ros.field.scene import Traced


def depth_band(config: TrainingConfig, depth_m: torch.Tensor) -> torch.Tensor:
    """(R,) half width of where the surface may be around a measured depth (R,), metres."""
    sensor = 3 * config.depth_noise_per_m * depth_m**2
    return config.surface_band_m + sensor + config.pose_noise_share * depth_m


def depth_losses(
    traced: Traced, depth_m: torch.Tensor, band_m: torch.Tensor
) -> dict[str, torch.Tensor]:
    """How far rays are from stopping where the sensor says.

    Args:
        traced: rays whose samples reach past the band.
        depth_m: (R,) measured.
        band_m: (R,) from `depth_band`.

    Returns:
        "depth", mean |D(r) - depth|, metres, each at most the band; "empty", mean weight before
        the band; "surface", mean -log of the weight in the band, the likelihood of what the
        sensor measured (Deng et al. 2022, "Depth-supervised NeRF", section 3.2).
    """
    weights, depth = traced.weights, traced.samples.depth
    in_band = depth >= (depth_m - band_m)[:, None]
    inside = (weights * in_band).sum(dim=1)
    before = (weights * ~in_band).sum(dim=1)
    error = (expected_depth(weights, depth) - depth_m).abs()
    return {
        "depth": torch.minimum(error, band_m).mean(),
        "empty": before.mean(),
        "surface": -torch.log(inside + 1e-2).mean(),
    }


def transparency(weights: torch.Tensor) -> torch.Tensor:
    """Mean -log of how much of each ray is stopped, for weights (R, S); 0 or less when all is.

    Every ray of a camera ends somewhere, be it beyond the box. Colour alone does not say so:
    features are shaded after they are composited, so matter that is half transparent can look
    right, and then has no surface.
    """
    return -torch.log(opacity(weights) + 1e-2).mean()


def haze(traced: Traced) -> torch.Tensor:
    """Mean over rays of Σ α_i of the samples before the one that stops the middle of the ray.

    What is far away and seen from few sides can be painted as well on a veil before it, which is
    what training makes first. A veil has to be worth its while: behind it things are free.
    """
    alpha = 1 - torch.exp(-traced.density * traced.samples.length)
    weights = traced.weights.detach()
    before = torch.cumsum(weights, dim=1) <= weights.sum(dim=1, keepdim=True) / 2
    return (alpha * before).sum(dim=1).mean()


def distortion(weights: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Mean over rays of Σ_ij w_i w_j |m_i - m_j| + ⅓ Σ_i w_i² δ_i, in the unit of `edges`.

    Barron et al. 2022, equation 15: small when a ray stops in one place. The double sum is
    computed in one pass, 2 Σ_i w_i (m_i Σ_{j<i} w_j - Σ_{j<i} w_j m_j) (Sun et al. 2022).

    Args:
        weights: (R, S).
        edges: (R, S + 1), increasing.
    """
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    width = edges[:, 1:] - edges[:, :-1]
    moment = weights * middle
    before = torch.cumsum(weights, dim=1) - weights
    moment_before = torch.cumsum(moment, dim=1) - moment
    apart = 2 * (weights * (middle * before - moment_before)).sum(dim=1)
    return (apart + (weights**2 * width).sum(dim=1) / 3).mean()
