import numpy as np
import pytest
import torch

from semantic_field_ros import backends
from semantic_field_ros.config import GridConfig
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.field.grid_layout import GridLayout
from semantic_field_ros.field.tcnn_grid import tcnn_config

GRIDS = {
    "dense and hashed": GridConfig(levels=5, features=4, log2_entries=10, base_resolution=4),
    "pairs": GridConfig(levels=6, features=2, log2_entries=8, base_resolution=8, growth=2.0),
    "wide": GridConfig(levels=3, features=8, log2_entries=12, base_resolution=5, growth=1.3),
}
OTHERS = [
    pytest.param(
        "numba", marks=pytest.mark.skipif(not backends.has_numba(), reason="numba is not here")
    ),
    pytest.param(
        "tcnn",
        marks=pytest.mark.skipif(not backends.has_tinycudann(), reason="tinycudann is not here"),
    ),
]


def pair(config, backend):
    """The reference and another backend, with the same lively table."""
    reference, other = make_encoder(config, "torch"), make_encoder(config, backend)
    generator = torch.Generator().manual_seed(5)
    table = torch.randn(reference.table.shape, generator=generator)
    for encoder in (reference, other):
        encoder.load_state_dict({"table": table})
    return reference, other


def points(count=700):
    corners = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0.5], [0.5, 0.5, 0.5]])
    generator = torch.Generator().manual_seed(3)
    return torch.cat([corners, torch.rand((count, 3), generator=generator)])


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_values_equal_the_reference(grid, backend):
    reference, other = pair(grid, backend)
    at = points().to(other.table.device)
    expected = reference(at.to(reference.table.device)).to(at.device)
    torch.testing.assert_close(other(at), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", OTHERS)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_gradients_equal_the_reference(grid, backend):
    gradients = []
    for encoder in pair(grid, backend):
        at = points().to(encoder.table.device).requires_grad_()
        weight = torch.linspace(-1, 1, encoder.output_dim, device=at.device)
        # Twice, so that gradients have to add up.
        for _ in range(2):
            (encoder(at) * weight).sin().sum().backward()
        gradients.append((encoder.table.grad.cpu(), at.grad.cpu()))
    (table, at), (other_table, other_at) = gradients
    torch.testing.assert_close(other_table, table, atol=1e-3, rtol=1e-3)
    # On a cell's border the slope has two values and rounding picks one, so corners are left out.
    torch.testing.assert_close(other_at[4:], at[4:], atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize("backend", ["torch", *OTHERS])
def test_a_frozen_table_gets_no_gradient(backend):
    encoder = make_encoder(GRIDS["pairs"], backend)
    encoder.table.requires_grad_(False)
    at = points().to(encoder.table.device).requires_grad_()
    encoder(at).sum().backward()
    assert encoder.table.grad is None
    assert at.grad is not None


@pytest.mark.parametrize("backend", ["torch", *OTHERS])
def test_no_points_and_points_outside(backend):
    encoder = make_encoder(GRIDS["wide"], backend)
    device = encoder.table.device
    assert encoder(torch.empty((0, 3), device=device)).shape == (0, 24)
    outside = encoder(torch.tensor([[-3.0, 0.2, 9.0]], device=device))
    torch.testing.assert_close(outside, encoder(torch.tensor([[0.0, 0.2, 1.0]], device=device)))


@pytest.mark.parametrize("backend", ["torch", *OTHERS])
def test_a_position_that_is_none_counts_as_zero(backend):
    encoder = make_encoder(GRIDS["dense and hashed"], backend)
    nowhere = torch.tensor([[torch.nan, 0.2, torch.inf]] * 300, device=encoder.table.device)
    at = nowhere.requires_grad_()
    corner = torch.tensor([[0.0, 0.2, 1.0]], device=encoder.table.device)
    torch.testing.assert_close(encoder(at)[:1], encoder(corner))
    encoder(at).sum().backward()
    assert encoder.table.grad.isfinite().all() and at.grad.isfinite().all()


@pytest.mark.parametrize("backend", ["torch", *OTHERS])
def test_wrong_shapes_are_refused(backend):
    encoder = make_encoder(GRIDS["wide"], backend)
    with pytest.raises(ValueError, match=r"\(N, 3\) float32, got \(3,\) float32"):
        encoder(torch.zeros(3))
    with pytest.raises(ValueError, match=r"got \(2, 3\) float64"):
        encoder(torch.zeros((2, 3), dtype=torch.float64))


def test_a_dense_level_interpolates_between_its_grid_points():
    encoder = make_encoder(GridConfig(levels=1, features=2, log2_entries=10, base_resolution=4))
    layout = encoder.layout
    # scale = 4 - 1 = 3, resolution = 4, 64 entries, all of them grid points.
    assert layout.scale.tolist() == [3.0]
    assert layout.resolution.tolist() == [4]
    assert layout.offset.tolist() == [0, 64]
    table = torch.zeros((64, 2))
    table[1 + 2 * 4 + 0 * 16, 0] = 8.0  # grid point (1, 2, 0)
    encoder.load_state_dict({"table": table})
    # Position x·3 + 0.5: (1.25, 2.0, 0.5) is a quarter off in x and half off in z.
    at = torch.tensor([[0.75 / 3, 1.5 / 3, 0.0]], device=encoder.table.device)
    torch.testing.assert_close(
        encoder(at).cpu(), torch.tensor([[8.0 * 0.75 * 0.5, 0.0]]), atol=1e-5, rtol=0
    )


def test_layout_follows_tiny_cuda_nn():
    layout = GridLayout.of(
        GridConfig(levels=4, features=2, log2_entries=9, base_resolution=3, growth=2.0)
    )
    # scales 2^l·3 - 1 = 2, 5, 11, 23; one more grid point than cells; 27 and 216 round up to 32
    # and 216; 1728 and 13824 do not fit into 512 and are hashed.
    assert layout.scale.tolist() == [2, 5, 11, 23]
    assert layout.resolution.tolist() == [3, 6, 12, 24]
    assert np.diff(layout.offset).tolist() == [32, 216, 512, 512]
    assert layout.dense.tolist() == [True, True, False, False]
    assert layout.entries == 1272
    assert layout.output_dim == 8


def test_hash_of_a_grid_point():
    # (2 XOR 3·2654435761 XOR 5·805459861) mod 2^32 mod 512, worked out by hand.
    expected = (2 ^ (3 * 2654435761 % 2**32) ^ (5 * 805459861 % 2**32)) % 512
    config = GridConfig(levels=1, features=2, log2_entries=9, base_resolution=24)
    encoder = make_encoder(config)
    table = torch.zeros((512, 2))
    table[expected] = 1.0
    encoder.load_state_dict({"table": table})
    at = (torch.tensor([[2.0, 3.0, 5.0]]) - 0.5 + 1e-4) / 23
    assert encoder(at.to(encoder.table.device))[0, 0] > 0.99


@pytest.mark.parametrize(
    "change", [{"features": 3}, {"levels": 0}, {"log2_entries": 30}, {"growth": 0.5}]
)
def test_numbers_out_of_range_are_refused(change):
    with pytest.raises(ValueError, match="got"):
        make_encoder(GridConfig(**change), "torch")


def test_the_same_seed_gives_the_same_table():
    first, second, third = (make_encoder(GRIDS["pairs"], "torch", seed) for seed in (1, 1, 2))
    assert torch.equal(first.table, second.table)
    assert not torch.equal(first.table, third.table)


def test_tiny_cuda_nn_is_told_the_same_grid():
    assert tcnn_config(GRIDS["pairs"]) == {
        "otype": "HashGrid",
        "n_levels": 6,
        "n_features_per_level": 2,
        "log2_hashmap_size": 8,
        "base_resolution": 8,
        "per_level_scale": 2.0,
        "interpolation": "Linear",
    }
