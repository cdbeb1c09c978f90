"""The reference hash grid: plain torch, any device, slow."""

from __future__ import annotations

import torch
from torch import nn

from semantic_field_ros.field.base import Encoder, new_table
from semantic_field_ros.field.grid_layout import PRIMES, GridLayout


class TorchGrid(Encoder):
    """Trilinear interpolation of hashed grid points, written to be read.

    Args:
        layout: the index maths.
        seed: of the initial table.
    """

    def __init__(self, layout: GridLayout, seed: int = 0) -> None:
        super().__init__(layout)
        self.table = nn.Parameter(new_table(layout, seed))

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """See `Encoder.forward`."""
        positions = self.check(positions)
        levels = [self._level(positions, level) for level in range(self.layout.levels)]
        return torch.cat(levels, dim=1)

    def _level(self, positions: torch.Tensor, level: int) -> torch.Tensor:
        at = positions * float(self.layout.scale[level]) + 0.5
        cell = at.detach().floor()
        fraction = at - cell
        summed = positions.new_zeros((len(positions), self.layout.features))
        for corner in range(8):
            bits = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2 & 1]).to(cell)
            weight = torch.where(bits > 0, fraction, 1 - fraction).prod(dim=1, keepdim=True)
            index = self._index((cell + bits).long(), level)
            summed = summed + weight * self.table[index]
        return summed

    def _index(self, corner: torch.Tensor, level: int) -> torch.Tensor:
        """Table rows (N,) of (N, 3) grid points."""
        layout = self.layout
        first, size = int(layout.offset[level]), int(layout.offset[level + 1])
        size -= first
        i, j, k = corner.unbind(dim=1)
        if layout.dense[level]:
            side = int(layout.resolution[level])
            index = i + j * side + k * side * side
        else:
            index = (i * PRIMES[0]) ^ (j * PRIMES[1]) ^ (k * PRIMES[2])
        return (index & 0xFFFFFFFF) % size + first
