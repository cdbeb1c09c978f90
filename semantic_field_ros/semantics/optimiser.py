"""One Adam step for a hash grid and the small networks behind it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.field.base import Encoder
from semantic_field_ros.field.table_adam import TableAdam

#: learning rates do not fall below this share.
FINAL_RATE = 0.05


def rate_share(age_steps: float, settle_steps: int) -> float:
    """Share of the full learning rate: 1 / (1 + age / settle_steps), at least `FINAL_RATE`.

    Args:
        age_steps: mean age of what is learnt from, in steps.
        settle_steps: the age at which a half is left.
    """
    return max(FINAL_RATE, 1 / (1 + age_steps / settle_steps))


class HeadOptimiser:
    """Adam on the touched rows of a grid's table and on all of the other parameters."""

    def __init__(
        self, encoder: Encoder, others: Iterable[nn.Parameter], learning_rate: float
    ) -> None:
        self._table = TableAdam(encoder.table, learning_rate)
        self._others = torch.optim.Adam(list(others), lr=learning_rate, eps=1e-15)

    def set_rate(self, learning_rate: float) -> None:
        """Of all later steps."""
        self._table.learning_rate = learning_rate
        for group in self._others.param_groups:
            group["lr"] = learning_rate

    def forget(self, parameter: nn.Parameter, rows: NDArray[np.int64]) -> None:
        """Rows of one of the other parameters begin anew: earlier gradients move them no more."""
        moments = self._others.state.get(parameter, {})
        for name in ("exp_avg", "exp_avg_sq"):
            if name in moments:
                moments[name][rows] = 0

    def step(self, loss: torch.Tensor) -> None:
        """Goes down the gradient of a scalar loss."""
        self._others.zero_grad(set_to_none=True)
        loss.backward()
        self._others.step()
        self._table.step()


def to_device_of(encoder: Encoder, points: torch.Tensor) -> torch.Tensor:
    """The points where the encoder's table is."""
    return points.to(encoder.table.device)
