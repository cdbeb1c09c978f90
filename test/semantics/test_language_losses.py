import math

import pytest
import torch

from semantic_field_ros.semantics.language_losses import (
    ALIKE_WEIGHT,
    UNLIKE_WEIGHT,
    alignment_loss,
    jensen_shannon,
    language_loss,
)


def test_language_loss_is_half_the_square_below_delta_and_linear_above():
    seen = torch.tensor([[0.6, 0.8], [0.0, 3.0]])
    target = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    # (0.36 + 0.04) / 2 = 0.2; 1.25·(2 − 1.25/2) = 1.71875
    assert language_loss(seen, target).item() == pytest.approx((0.2 + 1.71875) / 2)


def test_jensen_shannon_of_two_certainties_is_log_two():
    divergence = jensen_shannon(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))
    # of (1, 0) and (1/2, 1/2): H(3/4, 1/4) − log(2)/2 = 0.56234 − 0.34657
    expected = [
        [0, math.log(2), 0.21576],
        [math.log(2), 0, 0.21576],
        [0.21576, 0.21576, 0],
    ]
    assert torch.allclose(divergence, torch.tensor(expected), atol=1e-5)


def test_alike_rays_pay_for_different_classes_and_unlike_ones_are_paid():
    features = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    by_look = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    against = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    # likeness less its row's mean is ±1/2: alike pairs never differ, unlike ones always do
    assert alignment_loss(features, by_look).item() == pytest.approx(-UNLIKE_WEIGHT * math.log(2))
    # half of the alike pairs (the other is the ray itself) and half of the unlike ones differ
    expected = (ALIKE_WEIGHT - UNLIKE_WEIGHT) * math.log(2) / 2
    assert alignment_loss(features, against).item() == pytest.approx(expected)
