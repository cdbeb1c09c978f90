"""Density and colour of every point of the scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from semantic_field_ros import backends
from semantic_field_ros.config import FieldConfig
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.field.rendering import truncated_exp

#: an untrained field stops about a third of a ray that crosses the scene's cube.
INITIAL_EXPONENT = -1.5
#: terms of the spherical harmonics of degree 0 to 2.
HARMONICS = 9


@dataclass(frozen=True)
class FieldSamples:
    """What the field says at N points.

    Attributes:
        density: (N,) f32, 1/m.
        features: (N, G) f32, what the colour is decoded from.
    """

    density: torch.Tensor
    features: torch.Tensor


class RadianceField(nn.Module):
    """A hash grid and two small MLPs.

    Geometry features are composited along the ray and decoded to a colour once per ray, with the
    view direction (deferred shading, Hedman et al. 2021, "Baking Neural Radiance Fields", 3):
    colour then costs one MLP evaluation per ray instead of one per sample.

    Args:
        config: sizes and backend.
        bounds: fixed for the life of the field.
        seed: of the initial weights.
    """

    def __init__(self, config: FieldConfig, bounds: SceneBounds, seed: int = 0) -> None:
        super().__init__()
        self.config, self.bounds = config, bounds
        self.encoder = make_encoder(config.grid, config.backend, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.trunk = _mlp(self.encoder.output_dim, config.hidden, 1 + config.geometry_features)
            self.shade = _mlp(config.geometry_features + HARMONICS, config.hidden, 3)
        self.to(self.device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.encoder.table.device

    def forward(self, points: torch.Tensor) -> FieldSamples:
        """Density and features at (N, 3) f32 world points, metres."""
        unit, shrink = self.bounds.contract(points)
        out = self.trunk(self.encoder(unit))
        exponent = out[:, 0] + INITIAL_EXPONENT
        # Per half side of the scene and per contracted length, so that a scene of any size, and
        # all that is beyond it, starts equally transparent.
        density = truncated_exp(exponent - math.log(self.bounds.half_side_m))
        return FieldSamples(density * shrink[:, 0], out[:, 1:])

    def colour(self, features: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        """(R, 3) in [0, 1] of composited features (R, G) seen along directions (R, 3)."""
        seen = torch.cat([features, spherical_harmonics(directions)], dim=1)
        return torch.sigmoid(self.shade(seen))


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )


def spherical_harmonics(directions: torch.Tensor) -> torch.Tensor:
    """(R, 9) real spherical harmonics of degrees 0..2 of (R, 3) directions of any length.

    Sloan 2013, "Efficient Spherical Harmonic Evaluation", appendix A2.
    """
    x, y, z = functional.normalize(directions, dim=1).unbind(dim=1)
    terms = [
        torch.full_like(x, 0.28209479),
        -0.48860251 * y,
        0.48860251 * z,
        -0.48860251 * x,
        1.09254843 * x * y,
        -1.09254843 * y * z,
        0.31539157 * (3 * z * z - 1),
        -1.09254843 * x * z,
        0.54627422 * (x * x - y * y),
    ]
    return torch.stack(terms, dim=1)


class Exposure(nn.Module):
    """What automatic exposure did to each keyframe: a gain per colour channel.

    Used in training only, so that the map keeps one brightness; rendering leaves it out. The
    gains are pulled to 1, or the field could trade its own brightness for theirs.

    Args:
        slots: how many keyframes the replay memory holds.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros((slots, 3), device=backends.torch_device()))

    def forward(self, colour: torch.Tensor, slot: torch.Tensor) -> torch.Tensor:
        """(R, 3) rendered colours as the keyframe in each (R,) slot would record them."""
        return colour * torch.exp(self.log_gain[slot])

    @torch.no_grad()
    def reset(self, slot: int, log_gain: torch.Tensor | None = None) -> None:
        """Another keyframe lies in this slot, whose (3,) gains are known or, by default, 1."""
        self.log_gain[slot] = 0.0 if log_gain is None else log_gain
