"""The contract of an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from semantic_field_ros.field.grid_layout import GridLayout


class Encoder(nn.Module, ABC):
    """Positions in the unit cube to features, by looking up a trainable table.

    Every backend reads and writes `state_dict()` the same way: one tensor `table` (E, F) f32 in
    the order of `GridLayout`, so a checkpoint is valid on all of them.

    Attributes:
        layout: the index maths.
        table: (E, F) f32, the trainable entries.
    """

    table: nn.Parameter

    #: half width of the uniform distribution that tables start from (Müller et al. 2022, 4).
    INITIAL = 1e-4

    def __init__(self, layout: GridLayout) -> None:
        super().__init__()
        self.layout = layout

    @property
    def output_dim(self) -> int:
        """L·F."""
        return self.layout.output_dim

    @abstractmethod
    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """(N, 3) f32 in [0, 1] to (N, L·F) f32; differentiable in the table and the positions.

        Positions outside are clamped to the border, NaN counts as 0; N may be 0.
        """

    @staticmethod
    def check(positions: torch.Tensor) -> torch.Tensor:
        """Returns (N, 3) float32 positions clamped to [0, 1], for compiled code indexes with them.

        Raises:
            ValueError: another shape or dtype.
        """
        if positions.ndim != 2 or positions.shape[1] != 3 or positions.dtype != torch.float32:
            raise ValueError(
                "positions must be (N, 3) float32, "
                f"got {tuple(positions.shape)} {str(positions.dtype).removeprefix('torch.')}"
            )
        return positions.nan_to_num(0.0).clamp(0.0, 1.0)


def new_table(layout: GridLayout, seed: int) -> torch.Tensor:
    """(E, F) f32 uniform in ±`Encoder.INITIAL`, the same for a seed on every backend."""
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand((layout.entries, layout.features), generator=generator)
    return (uniform * 2 - 1) * Encoder.INITIAL
