"""Volume rendering: what a ray sees of a density, by quadrature.

Max 1995 and Mildenhall et al. 2020 (equation 3): along a ray cut into intervals of length δ_i
with densities σ_i,

    α_i = 1 - exp(-σ_i δ_i),   T_i = exp(-Σ_{j<i} σ_j δ_j),   w_i = T_i α_i,

and any quantity that the field gives at the samples is seen as Σ_i w_i q_i.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

#: exponents beyond this have a flat gradient, so that one step cannot blow up.
EXPONENT_LIMIT = 15.0


def rendering_weights(optical: torch.Tensor) -> torch.Tensor:
    """w = T·α (R, S) of optical depths σ·δ (R, S)."""
    before = torch.cumsum(optical, dim=1) - optical
    return torch.exp(-before) * (1 - torch.exp(-optical))


def composite(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Σ_i w_i q_i: weights (R, S), values (R, S, K) to (R, K)."""
    return torch.bmm(weights[:, None, :], values)[:, 0, :]


def opacity(weights: torch.Tensor) -> torch.Tensor:
    """Σ_i w_i (R,) in [0, 1]: how much of the ray is stopped."""
    return weights.sum(dim=1)


def expected_depth(weights: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Σ_i w_i t_i / Σ_i w_i (R,), in the unit of `depth` (R, S): where a stopped ray stops."""
    return (weights * depth).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-6)


def median_depth(weights: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """(R,) where half of the ray's weight is reached, in the unit of `edges`.

    A surface that is not quite opaque yet lets some weight through to whatever is far behind it,
    which draws the mean away and leaves the median where it is.

    Args:
        weights: (R, S), each spread evenly over its interval.
        edges: (R, S + 1), increasing.
    """
    reached = torch.cumsum(weights, dim=1)
    half = 0.5 * reached[:, -1:]
    first = (reached < half).sum(dim=1, keepdim=True).clamp_max(weights.shape[1] - 1)
    within, start, end = (
        weights.gather(1, first),
        edges.gather(1, first),
        edges.gather(1, first + 1),
    )
    missing = half - (reached.gather(1, first) - within)
    return (start + (end - start) * (missing / within.clamp_min(1e-9)).clamp(0, 1))[:, 0]


class _TruncatedExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, exponent: torch.Tensor) -> torch.Tensor:
        value = torch.exp(exponent.clamp_max(EXPONENT_LIMIT))
        ctx.save_for_backward(value)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (value,) = ctx.saved_tensors
        return grads[0] * value


def truncated_exp(exponent: torch.Tensor) -> torch.Tensor:
    """exp(min(x, 15)), with a gradient that stays alive beyond (Müller et al. 2022, appendix)."""
    return _TruncatedExp.apply(exponent)


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(scale)
        return values.view_as(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grads[0] * scale, None


def scaled_gradient(values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """`values` as they are, with their gradient multiplied by `scale`.

    Samples crowd near a camera, where each of its rays passes; scaling what they learn by the
    square of their distance keeps matter from condensing there (Philip and Deschaintre 2023,
    "Floaters No More", section 4).
    """
    return _ScaledGradient.apply(values, scale)
