"""The hash grid on the CPU, compiled by numba and wrapped as an autograd function."""

from __future__ import annotations

from typing import Any

import numba
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from semantic_field_ros import backends
from semantic_field_ros.field import numba_kernels as kernels
from semantic_field_ros.field.base import Encoder, new_table
from semantic_field_ros.field.grid_layout import GridLayout


class NumbaGrid(Encoder):
    """Same values and gradients as `TorchGrid`; on the CPU only.

    The backward pass adds to `table.grad` in place: a fresh table of zeros for every step would
    cost as much as the rest of it.

    Args:
        layout: the index maths.
        seed: of the initial table.
    """

    def __init__(self, layout: GridLayout, seed: int = 0) -> None:
        super().__init__(layout)
        self.table = nn.Parameter(new_table(layout, seed))

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """See `Encoder.forward`."""
        return _Lookup.apply(self.check(positions).contiguous(), self.table, self.layout)


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, positions: torch.Tensor, table: nn.Parameter, layout: GridLayout
    ) -> torch.Tensor:
        backends.keep_to_budget()
        out = torch.empty((len(positions), layout.output_dim))
        kernels.gather(
            positions.detach().numpy(), table.detach().numpy(), *_levels(layout), out.numpy()
        )
        ctx.save_for_backward(positions)
        ctx.table, ctx.layout = table, layout
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        backends.keep_to_budget()
        (positions,) = ctx.saved_tensors
        at, grad = positions.detach().numpy(), grads[0].contiguous().numpy()
        table: nn.Parameter = ctx.table
        levels = _levels(ctx.layout)
        if table.requires_grad:
            if table.grad is None:
                table.grad = torch.zeros_like(table)
            workers = min(numba.get_num_threads(), ctx.layout.levels)
            kernels.scatter(at, grad, *levels, workers, table.grad.numpy())
        if not ctx.needs_input_grad[0]:
            return None, None, None
        slope = torch.empty_like(positions)
        kernels.slope(at, table.detach().numpy(), grad, *levels, slope.numpy())
        return slope, None, None


def _levels(layout: GridLayout) -> tuple[Any, ...]:
    return layout.scale, layout.resolution, layout.offset, layout.dense
