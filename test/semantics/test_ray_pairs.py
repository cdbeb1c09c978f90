"""The ray-pair RGB loss by hand, and error maps."""

import math

import numpy as np
import pytest
import torch

from semantic_field_ros.semantics.ray_pairs import (
    ErrorMaps,
    Pixels,
    identity_distance,
    ray_pair_loss,
)

GREY, GREYER, RED = [0.5, 0.5, 0.5], [0.55, 0.5, 0.5], [0.9, 0.1, 0.1]


def pixels(*rows: tuple[int, int, int]) -> Pixels:
    """From (view, u, v)."""
    return Pixels(*np.array(rows).T)


def test_the_distance_falls_from_one_at_right_angles_to_exp_minus_ten() -> None:
    reference = torch.tensor([1.0, 0.0])
    others = torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.6, 0.8]])
    expected = torch.tensor([1.0, math.exp(-10), math.exp(-6)])
    torch.testing.assert_close(identity_distance(reference, others), expected)


def test_a_reference_is_compared_with_the_others_of_its_colour_alone() -> None:
    # S_0 = {1}: cos = 0.8, and S_1 = {0}: the argmax of (0.6, 0.8) is 1, cos((0, 1), (1, 0)) = 0.
    identity = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    colour = torch.tensor([GREY, GREYER, RED])
    loss = ray_pair_loss(identity, colour, references=1, largest_difference=0.1)
    assert loss.item() == pytest.approx(math.exp(-8))
    identity = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    both = ray_pair_loss(identity, colour, references=2, largest_difference=0.1)
    assert both.item() == pytest.approx((math.exp(-6) + 1.0) / 2)


def test_references_without_a_similar_ray_say_nothing() -> None:
    identity = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    colour = torch.tensor([RED, GREY, GREYER])
    # the red reference has nobody; that of grey sees cos((0, 1), (0.8, 0.6)) = 0.6
    loss = ray_pair_loss(identity, colour, references=2, largest_difference=0.1)
    assert loss.item() == pytest.approx(math.exp(-6))
    assert ray_pair_loss(identity, colour, 1, 0.1).item() == 0.0


def test_gradients_flow_through_the_other_ray_alone() -> None:
    identity = torch.tensor([[0.9, 0.1], [0.5, 0.5]], requires_grad=True)
    ray_pair_loss(identity, torch.tensor([GREY, GREYER]), 1, 0.1).backward()
    assert identity.grad is not None
    assert identity.grad[0].tolist() == [0.0, 0.0]
    assert identity.grad[1, 0] < 0 < identity.grad[1, 1]


def test_an_error_is_a_tenth_of_the_old_and_nine_of_the_new() -> None:
    errors = ErrorMaps([(8, 8), (6, 9)])
    at = pixels((1, 8, 5))
    errors.update(at, np.array([1.0], np.float32))
    errors.update(at, np.array([0.5], np.float32))
    neighbours = pixels((1, 8, 4), (1, 7, 5), (0, 7, 5))
    np.testing.assert_allclose(errors.at(neighbours), [0.54, 0.0, 0.0], rtol=1e-6)


def test_pixels_are_drawn_where_the_error_is() -> None:
    errors = ErrorMaps([(8, 8), (6, 9)])
    errors.update(pixels((1, 8, 5), (0, 4, 0)), np.array([0.3, 0.1], np.float32))
    drawn = errors.draw(np.random.default_rng(0), 400)
    second = drawn.view == 1
    assert 0.65 < second.mean() < 0.85
    assert set(drawn.u[second]) == {8} and set(drawn.v[second]) == {4, 5}
    assert set(drawn.u[~second]) == {4, 5, 6, 7} and set(drawn.v[~second]) == {0, 1, 2, 3}


def test_every_cell_is_visited_inside_its_view() -> None:
    cells = ErrorMaps([(8, 8), (6, 9)]).all_cells()
    assert list(zip(cells.view, cells.u, cells.v, strict=True)) == [
        *[(0, u, v) for v in (2, 6) for u in (2, 6)],
        *[(1, u, v) for v in (2, 5) for u in (2, 6, 8)],
    ]
