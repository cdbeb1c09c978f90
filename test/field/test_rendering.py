import math

import torch

from semantic_field_ros.field.rendering import (
    composite,
    expected_depth,
    median_depth,
    opacity,
    rendering_weights,
    scaled_gradient,
    truncated_exp,
)

LN2 = math.log(2)
#: optical depths ln 2, 0, 2·ln 2: half stopped, nothing, three quarters of the rest.
DENSITY = torch.tensor([[2 * LN2, 0.0, LN2]])
LENGTH = torch.tensor([[0.5, 1.0, 2.0]])
WEIGHTS = torch.tensor([[0.5, 0.0, 0.375]])


def test_weights():
    torch.testing.assert_close(rendering_weights(DENSITY * LENGTH), WEIGHTS)


def test_what_is_seen():
    values = torch.tensor([[[1.0, 0.0], [9.0, 9.0], [0.0, 1.0]]])
    torch.testing.assert_close(composite(WEIGHTS, values), torch.tensor([[0.5, 0.375]]))
    torch.testing.assert_close(opacity(WEIGHTS), torch.tensor([0.875]))


def test_depths():
    at = torch.tensor([[1.0, 2.0, 3.0]])
    # (0.5·1 + 0.375·3) / 0.875
    torch.testing.assert_close(expected_depth(WEIGHTS, at), torch.tensor([1.625 / 0.875]))


def test_the_median_is_where_half_of_the_weight_is_reached():
    edges = torch.tensor([[1.0, 2.0, 3.0, 5.0]])
    # Half of 0.875 is 0.4375, of the first interval's 0.5.
    torch.testing.assert_close(median_depth(WEIGHTS, edges), torch.tensor([1.875]))
    # Half of 0.8 is 0.4: 0.2 before the last interval and a third of its 0.6.
    leaky = torch.tensor([[0.1, 0.1, 0.6]])
    torch.testing.assert_close(median_depth(leaky, edges), torch.tensor([3 + 2 / 3]))


def test_a_wall_hides_what_is_behind_it():
    weights = rendering_weights(torch.tensor([[1e4, 5.0]]))
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0.0]]))


def test_an_empty_ray():
    weights = rendering_weights(torch.zeros((1, 3)))
    assert opacity(weights).tolist() == [0.0]
    assert expected_depth(weights, LENGTH).isfinite().all()
    assert median_depth(weights, torch.tensor([[0.0, 1.0, 2.0, 3.0]])).isfinite().all()


def test_gradients_of_weights_are_right():
    optical = (DENSITY * LENGTH).double().requires_grad_()
    assert torch.autograd.gradcheck(rendering_weights, (optical,))


def test_truncated_exponential():
    exponent = torch.tensor([0.0, 1.0, 40.0], requires_grad=True)
    value = truncated_exp(exponent)
    torch.testing.assert_close(value, torch.tensor([1.0, math.e, math.exp(15)]))
    value.sum().backward()
    torch.testing.assert_close(exponent.grad, value.detach())


def test_a_scaled_gradient_leaves_values_alone():
    values = torch.tensor([2.0, 3.0], requires_grad=True)
    scaled = scaled_gradient(values, torch.tensor([0.25, 1.0]))
    assert scaled.tolist() == [2.0, 3.0]
    (scaled * torch.tensor([4.0, 5.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 5.0]
