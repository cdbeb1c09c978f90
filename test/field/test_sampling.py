import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.occupancy import OccupancyGrid
from semantic_field_ros.field.sampling import (
    box_exit,
    coarse_edges,
    guided_edges,
    proposed_edges,
    samples_in,
)

BOUNDS = SceneBounds((-2.0, -2.0, -2.0, 2.0, 2.0, 2.0))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def rays(*directions, origin=(0.0, 0.0, 0.0)):
    d = torch.tensor(directions)
    return torch.tensor([origin] * len(directions)), d


def test_the_middle_of_each_interval():
    # A direction of length 2: depth counts along the optical axis, lengths along the ray.
    origins, directions = rays((2.0, 0.0, 0.0), origin=(0.0, 1.0, 0.0))
    samples = samples_in(torch.tensor([[1.0, 2.0, 4.0]]), origins, directions, None)
    assert samples.depth.tolist() == [[1.5, 3.0]]
    assert samples.length.tolist() == [[2.0, 4.0]]
    assert samples.points.tolist() == [[[3.0, 1.0, 0.0], [6.0, 1.0, 0.0]]]


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_random_samples_stay_in_their_interval(seed):
    edges = torch.tensor([[0.5, 1.0, 4.0, 4.5]])
    depth = samples_in(edges, *rays((0.0, 0.0, 1.0)), chance(seed)).depth
    assert ((depth >= edges[:, :-1]) & (depth <= edges[:, 1:])).all()


def test_guided_edges():
    edges = guided_edges(torch.tensor([2.0]), torch.tensor([0.1]), 0.1, 3, 2)
    expected = [[0.1, 0.7, 1.3, 1.9, 2.0, 2.1]]
    torch.testing.assert_close(edges, torch.tensor(expected))


def test_guided_edges_lie_around_a_surface_that_is_nearer_than_rays_start():
    edges = guided_edges(torch.tensor([0.3, 2.0]), torch.tensor([0.1, 0.1]), 0.5, 1, 2)
    expected = [[0.15, 0.2, 0.3, 0.4], [0.5, 1.9, 2.0, 2.1]]
    torch.testing.assert_close(edges, torch.tensor(expected))


def test_guided_edges_increase_for_a_surface_at_the_lens():
    edges = guided_edges(torch.tensor([0.02]), torch.tensor([0.05]), 0.1, 3, 4)
    assert (edges.diff(dim=1) > 0).all()


def test_box_exit():
    origins, directions = rays((1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.0, -4.0, 0.0))
    assert box_exit(BOUNDS, origins, directions).tolist() == [2.0, 4.0, 0.5]
    outside = rays((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0), origin=(5.0, 0.0, 0.0))
    assert box_exit(BOUNDS, *outside).tolist() == [0.0, 7.0]


def test_coarse_edges_reach_beyond_the_box():
    edges = coarse_edges(BOUNDS, *rays((1.0, 0.0, 0.0), (0.0, 0.6, 0.8)))
    assert (edges.diff(dim=1) > 0).all()
    assert (edges[:, -1] >= 30).all()


def test_samples_gather_where_the_grid_is_dense():
    grid = OccupancyGrid(64, BOUNDS)
    grid.density.zero_()
    wall = torch.rand((20000, 3), generator=chance()) * 0.1
    wall = wall * torch.tensor([1.0, 40, 40]) + torch.tensor([1.0, -2, -2])
    grid.update(wall, torch.full((len(wall),), 500.0))
    origins, directions = rays((1.0, 0.0, 0.0), (1.0, 0.3, -0.2))
    for generator in (None, chance()):
        edges = proposed_edges(grid, origins, directions, 32, generator)
        assert edges.shape == (2, 33)
        assert (edges.diff(dim=1) >= 0).all()
        near_wall = ((edges > 0.9) & (edges < 1.2)).float().mean(dim=1)
        assert (near_wall > 0.7).all()


def test_an_empty_grid_spreads_samples_over_the_whole_ray():
    grid = OccupancyGrid(16, BOUNDS)
    grid.density.zero_()
    edges = proposed_edges(grid, *rays((1.0, 0.0, 0.0)), 24, None)
    inside = edges[edges < 2]
    assert 15 < len(inside) < 24
    assert inside.diff().max() < 0.2


def test_occupancy_rises_at_once_and_falls_slowly():
    grid = OccupancyGrid(8, BOUNDS)
    at = torch.tensor([[0.1, 0.1, 0.1], [0.11, 0.1, 0.1], [1.5, 0.1, 0.1]])
    unknown = float(grid.at(at)[2])
    assert 0 < unknown < 1
    grid.update(at[:2], torch.tensor([3.0, 7.0]))
    np.testing.assert_allclose(grid.at(at), [7.0, 7.0, unknown])
    grid.update(at[:2], torch.tensor([0.0, 1.0]))
    np.testing.assert_allclose(grid.at(at), [5.95, 5.95, unknown], rtol=1e-6)
