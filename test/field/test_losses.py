import math

import pytest
import torch

from semantic_field_ros.config import TrainingConfig
from semantic_field_ros.field.losses import (
    depth_band,
    depth_losses,
    distortion,
    haze,
    transparency,
)
from semantic_field_ros.field.sampling import RaySamples
from semantic_field_ros.field.scene import Traced

DEPTH = torch.tensor([[0.5, 1.0, 1.5, 1.95, 2.05]])


def traced(weights):
    samples = RaySamples(DEPTH, torch.ones_like(DEPTH), torch.zeros((1, 5, 3)))
    return Traced(samples, torch.zeros_like(DEPTH), torch.tensor([weights]), torch.zeros((1, 3)))


def losses(weights, depth_m=2.0, band_m=0.1):
    values = depth_losses(traced(weights), torch.tensor([depth_m]), torch.tensor([band_m]))
    return {name: float(value) for name, value in values.items()}


def test_a_ray_that_stops_at_the_surface():
    got = losses([0.0, 0.0, 0.0, 0.5, 0.5])
    assert got["depth"] == pytest.approx(0.0, abs=1e-6)
    assert got["empty"] == 0.0
    assert got["surface"] == pytest.approx(-math.log(1.01))


def test_a_ray_that_stops_before_it():
    got = losses([0.0, 0.4, 0.0, 0.0, 0.6])
    # Expected depth 0.4·1 + 0.6·2.05 = 1.63; the error counts for at most the band.
    assert got["depth"] == pytest.approx(0.1)
    assert got["empty"] == pytest.approx(0.4)
    assert got["surface"] == pytest.approx(-math.log(0.61))


def test_a_transparent_ray():
    assert losses([0.0] * 5)["surface"] == pytest.approx(-math.log(0.01))


def test_rays_that_pass_through_are_transparent():
    half, solid = torch.tensor([[0.25, 0.25, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    assert float(transparency(half)) == pytest.approx(-math.log(0.51))
    assert float(transparency(torch.cat([half, solid]))) == pytest.approx(
        -(math.log(0.51) + math.log(1.01)) / 2
    )


def test_haze_is_what_stands_before_the_sample_that_stops_half_of_a_ray():
    alpha = torch.tensor([[0.2, 0.5, 1.0], [0.6, 0.1, 0.9]], dtype=torch.float64)
    # Half of the weight is reached in the second sample of the first ray, in the first of the
    # second.
    weights = torch.tensor([[0.2, 0.4, 0.4], [0.6, 0.04, 0.324]])
    length = torch.tensor([[0.5, 0.1, 1.0], [2.0, 1.0, 0.3]], dtype=torch.float64)
    samples = RaySamples(length, length, torch.zeros((2, 3, 3)))
    density = -torch.log1p(-alpha.clamp(max=1 - 1e-12)) / length
    seen = Traced(samples, density, weights, torch.zeros((2, 3)))
    assert float(haze(seen)) == pytest.approx(0.2 / 2)


def test_the_band_grows_with_distance():
    config = TrainingConfig(depth_noise_per_m=0.002, surface_band_m=0.02, pose_noise_share=0.005)
    band = depth_band(config, torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(band, torch.tensor([0.031, 0.02 + 0.054 + 0.015]))


def test_distortion_by_the_double_sum():
    weights, edges = torch.rand((4, 6)), torch.rand((4, 7)).cumsum(dim=1)
    middle, width = (edges[:, 1:] + edges[:, :-1]) / 2, edges.diff(dim=1)
    apart = (middle[:, :, None] - middle[:, None, :]).abs()
    pairs = (weights[:, :, None] * weights[:, None, :] * apart).sum(dim=(1, 2))
    expected = (pairs + (weights**2 * width).sum(dim=1) / 3).mean()
    torch.testing.assert_close(distortion(weights, edges), expected)
