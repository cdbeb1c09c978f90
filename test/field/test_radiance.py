import copy

import numpy as np
import pytest
import torch

from semantic_field_ros.config import FieldConfig, GridConfig
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.pictures import render_image, render_rays
from semantic_field_ros.field.radiance import Exposure, RadianceField, spherical_harmonics
from semantic_field_ros.field.scene import Rays, SceneField
from semantic_field_ros.geometry import look_at
from semantic_field_ros.types import PinholeCamera

BOUNDS = SceneBounds((-2.0, -2.0, -2.0, 2.0, 2.0, 2.0))
CONFIG = FieldConfig(
    grid=GridConfig(levels=3, log2_entries=10), hidden=16, occupancy_resolution=16
)
CAMERA = PinholeCamera(12, 9, 10.0, 10.0, 5.5, 4.0)


def test_an_untrained_field_lets_most_light_through_the_box():
    field = SceneField(CONFIG, BOUNDS, seed=1)
    edges = torch.linspace(0, 4, 9, device=field.device)[None]
    origin, ahead = torch.tensor([[-2.0, 0, 0]]), torch.tensor([[1.0, 0, 0]])
    traced = field.trace(Rays(origin.to(field.device), ahead.to(field.device)), edges)
    # 4 m at exp(-1.5) / 2 m: 1 - exp(-0.446) = 0.36.
    assert float(traced.weights.detach().sum()) == pytest.approx(0.36, abs=0.05)


def test_a_picture():
    field = SceneField(CONFIG, BOUNDS, seed=1)
    seen = render_image(field, CAMERA, look_at(np.array([-2.0, 0, 0]), np.zeros(3)))
    assert seen.rgb.shape == (9, 12, 3)
    assert seen.depth_m.shape == seen.spread_m.shape == seen.opacity.shape == (9, 12)
    assert ((seen.rgb >= 0) & (seen.rgb <= 1)).all()


def test_the_size_of_the_scene_does_not_matter():
    small = RadianceField(CONFIG, SceneBounds((-0.5,) * 3 + (0.5,) * 3), seed=1)
    large = RadianceField(CONFIG, SceneBounds((-50.0,) * 3 + (50.0,) * 3), seed=1)
    at = torch.rand((20, 3), device=small.device) - 0.5
    torch.testing.assert_close(small(at).density, large(at * 100).density * 100)


def test_no_rays():
    field = SceneField(CONFIG, BOUNDS)
    empty = np.empty((0, 3), np.float32)
    assert render_rays(field, empty, empty).rgb.shape == (0, 3)


def test_too_little_memory_means_smaller_chunks(monkeypatch):
    field = SceneField(CONFIG, BOUNDS)
    directions = np.tile(np.array([[1.0, 0.1, 0.2]], np.float32), (3000, 1))
    origins = np.zeros_like(directions)
    whole = render_rays(field, origins, directions)
    trace = SceneField.trace

    def scarce(self, rays, *rest):
        if len(rays) > 700:
            raise torch.OutOfMemoryError("no room")
        return trace(self, rays, *rest)

    monkeypatch.setattr(SceneField, "trace", scarce)
    np.testing.assert_allclose(render_rays(field, origins, directions).rgb, whole.rgb, atol=1e-5)
    monkeypatch.setattr(SceneField, "trace", lambda *a: scarce(a[0], [0] * 701))
    with pytest.raises(torch.OutOfMemoryError):
        render_rays(field, origins, directions)


def test_near_matter_learns_slowly_but_looks_the_same():
    field = SceneField(CONFIG, BOUNDS)
    rays = Rays(torch.zeros((1, 3)), torch.tensor([[0.0, 0.0, 1.0]]))
    edges = torch.tensor([[0.4, 0.6]])  # one sample, at 0.5 m
    plain, calm = (field.trace(rays, edges, calm_m=calm_m) for calm_m in (0.0, 1.0))
    torch.testing.assert_close(calm.weights, plain.weights)
    grads = []
    for traced in (plain, calm):
        field.zero_grad()
        traced.weights.sum().backward()
        grads.append(field.radiance.trunk[2].bias.grad[0].clone())
    torch.testing.assert_close(grads[1], grads[0] * 0.25)


def test_a_frozen_field_does_not_change():
    field = SceneField(CONFIG, BOUNDS)
    frozen = field.frozen()
    before = copy.deepcopy(frozen.state_dict())
    rays = Rays(torch.zeros((4, 3)), torch.rand((4, 3)))
    edges = torch.linspace(0.1, 3, 9).repeat(4, 1)
    field.trace(rays, edges).colour.sum().backward()
    with torch.no_grad():
        for parameter in field.parameters():
            parameter += 1.0
    field.occupancy.update(torch.zeros((1, 3)), torch.tensor([9.0]))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())


def test_harmonics_are_orthonormal():
    directions = torch.randn((200_000, 3), generator=torch.Generator().manual_seed(0))
    terms = spherical_harmonics(directions)
    product = terms.T @ terms / len(terms) * (4 * torch.pi)
    torch.testing.assert_close(product, torch.eye(9), atol=0.03, rtol=0)


def test_exposure_is_a_gain_per_slot_and_channel():
    exposure = Exposure(3)
    with torch.no_grad():
        exposure.log_gain[1] = torch.tensor([0.0, np.log(2.0), 0.0])
    colour = torch.full((2, 3), 0.25, device=exposure.log_gain.device)
    got = exposure(colour, torch.tensor([0, 1], device=colour.device)).detach().cpu()
    torch.testing.assert_close(got, torch.tensor([[0.25, 0.25, 0.25], [0.25, 0.5, 0.25]]))
    exposure.reset(1)
    torch.testing.assert_close(exposure(colour, torch.tensor([0, 1])).detach().cpu(), colour.cpu())
