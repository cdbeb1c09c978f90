"""Adam for tables of which a training step touches a small part."""

from __future__ import annotations

import math

import torch
from torch import nn

from semantic_field_ros import backends


class TableAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) on the rows with a gradient, as tiny-cuda-nn does it.

    Rows that no sample reached keep their values and moments, and cost one look at their
    gradient. The second moment's usual 0.999 is lowered, as Müller et al. 2022 do.

    Args:
        table: (E, F) f32, its gradient is cleared by every step.
        learning_rate: may be changed between steps.
    """

    BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-15

    def __init__(self, table: nn.Parameter, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._table = table
        self._mean = torch.zeros_like(table)
        self._square = torch.zeros_like(table)
        self._steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Moves the touched rows and clears the gradient; nothing to do without one."""
        grad = self._table.grad
        if grad is None:
            return
        self._steps += 1
        rate = self.learning_rate / (1 - self.BETA1**self._steps)
        correction = 1 / math.sqrt(1 - self.BETA2**self._steps)
        compiled = grad.device.type == "cpu" and backends.has_numba()
        (self._compiled if compiled else self._plain)(grad, rate, correction)

    def _compiled(self, grad: torch.Tensor, rate: float, correction: float) -> None:
        import numpy as np

        from semantic_field_ros.field.numba_kernels import sparse_adam

        tensors = (self._table.detach(), grad, self._mean, self._square)
        numbers = (rate, correction, self.BETA1, self.BETA2, self.EPSILON)
        backends.keep_to_budget()
        sparse_adam(*(t.numpy() for t in tensors), *(np.float32(n) for n in numbers))

    def _plain(self, grad: torch.Tensor, rate: float, correction: float) -> None:
        rows = (grad != 0).any(dim=1).nonzero().squeeze(1)
        g = grad[rows]
        mean = self._mean[rows].lerp_(g, 1 - self.BETA1)
        square = self._square[rows].lerp_(g * g, 1 - self.BETA2)
        self._table[rows] -= rate * mean / (square.sqrt() * correction + self.EPSILON)
        self._mean[rows], self._square[rows] = mean, square
        grad.zero_()
