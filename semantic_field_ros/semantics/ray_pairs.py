"""The ray-pair RGB loss of SANeRF-HQ (Liu et al. 2024, section 3.3.2), and where it is applied.

Rays of similar colour near a badly explained pixel should belong to the same object. The paper's
text lost its formulas; the distance, its factor 10 and the memory of 0.1 come from the authors'
published settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Ints = NDArray[np.int64]

#: factor on the cosine in the distance of two identities.
STEEPNESS = 10.0
#: what stays of an error when a new one comes in.
MEMORY = 0.1
#: pixels per side of a cell of an error map.
CELL_PX = 4


def identity_distance(reference: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """d = exp(-10·cos(m_i, m_j)) (...,) of broadcastable non-negative vectors (..., N), eq. 11."""
    return torch.exp(-STEEPNESS * functional.cosine_similarity(reference, other, dim=-1))


def ray_pair_loss(
    identity: torch.Tensor, colour: torch.Tensor, references: int, largest_difference: float
) -> torch.Tensor:
    """Mean over references i of the mean over j in S_i of d(m_i, m_j), eq. 9.

    S_i holds the other rays whose rendered colour is nearer than `largest_difference` to that of
    i; m_i is the one-hot of its argmax, so that gradients flow through m_j alone. References
    without such a ray say nothing.

    Args:
        identity: (R, N) rendered probabilities m.
        colour: (R, 3) rendered colours in [0, 1].
        references: the first so many rays are the references.
        largest_difference: τ, Euclidean.
    """
    difference = torch.cdist(colour[:references], colour)
    similar = difference < largest_difference
    similar &= ~torch.eye(len(colour), dtype=torch.bool, device=colour.device)[:references]
    one_hot = functional.one_hot(identity[:references].argmax(dim=1), identity.shape[1])
    distance = identity_distance(one_hot.to(identity)[:, None], identity[None])
    pairs = similar.sum(dim=1)
    mean = (distance * similar).sum(dim=1) / pairs.clamp_min(1)
    return mean.sum() / (pairs > 0).sum().clamp_min(1)


@dataclass(frozen=True)
class Pixels:
    """P pixels of several views.

    Attributes:
        view: (P,) i64, position of the view.
        u, v: (P,) i64 column and row.
    """

    view: Ints
    u: Ints
    v: Ints

    def __len__(self) -> int:
        return len(self.view)


class ErrorMaps:
    """How badly each view's mask is explained, at a quarter of its resolution.

    Args:
        sizes: (height, width) of each view in pixels.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self._size = np.array(sizes, np.int64).reshape(-1, 2)
        self._cells = -(-self._size // CELL_PX)
        self._start = np.concatenate([[0], np.cumsum(self._cells.prod(axis=1))])
        self._error = np.zeros(self._start[-1], np.float32)

    def update(self, pixels: Pixels, error: NDArray[np.float32]) -> None:
        """Takes (P,) new errors in as 0.1·old + 0.9·new; the last one of a cell counts."""
        cell = self._cell(pixels)
        self._error[cell] = MEMORY * self._error[cell] + (1 - MEMORY) * error

    def at(self, pixels: Pixels) -> NDArray[np.float32]:
        """(P,) errors of the cells that pixels lie in."""
        return self._error[self._cell(pixels)]

    def all_cells(self) -> Pixels:
        """The pixel in the middle of every cell."""
        return self._pixels(np.arange(len(self._error)), CELL_PX // 2, CELL_PX // 2)

    def draw(self, rng: np.random.Generator, count: int) -> Pixels:
        """Pixels with a probability proportional to their cell's error."""
        reached = np.cumsum(self._error, dtype=np.float64)
        if reached[-1] <= 0:
            cell = rng.integers(len(reached), size=count)
        else:
            cell = np.searchsorted(reached, rng.random(count) * reached[-1], side="right")
        inside = rng.integers(CELL_PX, size=(2, count))
        return self._pixels(cell, *inside)

    def _cell(self, pixels: Pixels) -> Ints:
        columns = self._cells[pixels.view, 1]
        within: Ints = pixels.v // CELL_PX * columns + pixels.u // CELL_PX
        return self._start[pixels.view] + within

    def _pixels(self, cell: Ints, right: Ints | int, down: Ints | int) -> Pixels:
        view = np.searchsorted(self._start, cell, side="right") - 1
        row, column = np.divmod(cell - self._start[view], self._cells[view, 1])
        last = self._size[view] - 1
        u = np.minimum(column * CELL_PX + right, last[:, 1])
        v = np.minimum(row * CELL_PX + down, last[:, 0])
        return Pixels(view, u, v)
