"""What imitates feature maps: one grid, a decoder a scale (SAN, Chen et al. 2023, 4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from semantic_field_ros.config import SamFeaturesConfig
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.field.rendering import composite
from semantic_field_ros.semantics.base import RayQuadrature
from semantic_field_ros.semantics.feature_maps import RayMap

#: of a ray's samples, those that it stops most at; the rest hold next to nothing.
HEAVIEST = 6
#: a cell's features depend on cells up to this many away.
REACH_CELLS = 2
#: a grid's numbers begin at next to nothing and grow by the learning rate; decoders expect one.
GAIN = 10.0
#: vectors of the world that every place has, and how long one of length 1 is, metres.
VECTORS, VECTOR_M = 8, 0.2
#: place in the image and the log of the cell's width.
ASPECT = 3


class ScaleDecoder(nn.Module):
    """Rendered grid features to the features of one scale.

    The paper's decoder is an MLP on each ray. A segmenter's features know their surroundings in
    the image, so the first layers here look at neighbouring rays: two 3 × 3 convolutions.

    Args:
        inputs: channels of what is rendered, and of how it is looked at.
        hidden: width.
        channels: C of the scale.
        per_cell: rays a side of a cell.
    """

    def __init__(self, inputs: int, hidden: int, channels: int, per_cell: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, hidden, 3 * per_cell, stride=per_cell, padding=per_cell)
        self.second = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.third = nn.Conv2d(hidden, hidden, 1)
        self.out = nn.Conv2d(hidden, channels, 1)

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        """(C, rows, columns) of cells from (inputs, rows, columns) of rays."""
        x = functional.relu(self.first(seen[None]))
        x = x + functional.relu(self.second(x))
        x = x + functional.relu(self.third(x))
        return self.out(x)[0]


class FeatureHead(nn.Module):
    """E_sem, shared by all scales, and their decoders.

    A segmenter's features depend on the view: how many cells away the middle of a thing is, and
    in which direction, or where its nearest edge is. What they say of the world does not, so every
    place has some vectors of the world too, which each camera sees turned and in its own cells.
    The paper has none; without them the same place has to be learnt for every view.

    Args:
        config: sizes.
        unit_from_world: (N, 3) world points to where encoders live.
        backend: of the encoder.
        channels: C of each scale.
        seed: of the initial weights.

    Attributes:
        per_cell: rays a side of a cell that it wants.
    """

    def __init__(
        self,
        config: SamFeaturesConfig,
        unit_from_world: Callable[[torch.Tensor], torch.Tensor],
        backend: str,
        channels: Sequence[int],
        seed: int,
    ) -> None:
        super().__init__()
        self.per_cell = config.rays_per_cell
        self.encoder = make_encoder(config.grid, backend, seed)
        width = self.encoder.output_dim
        inputs = width + 3 * VECTORS + ASPECT
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.vectors = nn.Linear(width, 3 * VECTORS, bias=False)
            self.decoders = nn.ModuleList(
                [ScaleDecoder(inputs, config.hidden, count, self.per_cell) for count in channels]
            )
        self._unit_from_world, self._surface = unit_from_world, config.surface
        self.to(self.encoder.table.device)

    def forward(self, rays: RayMap, along: RayQuadrature, scale: int) -> torch.Tensor:
        """(C, rows, columns) features of a rectangle of cells (eq. 6, on a surface eq. 7).

        Args:
            rays: through the cells.
            along: their quadrature.
            scale: position of the decoder.
        """
        along = along.stopped() if self._surface else along.heaviest(HEAVIEST)
        encoded = self.encoder(self._unit_from_world(along.points.reshape(-1, 3)))
        seen = GAIN * composite(along.weights, encoded.reshape(*along.weights.shape, -1))
        cell_m = (along.depth_m * rays.cell_share).clamp_min(1e-4)[:, None]
        turned = self.vectors_in_cells(seen, torch.from_numpy(rays.rotation), cell_m)
        place = torch.from_numpy(rays.place).to(seen)
        shown = torch.cat([seen, turned, place, cell_m.log()], dim=1)
        features: torch.Tensor = self.decoders[scale](shown.T.unflatten(1, rays.grid))
        return features

    def others(self) -> list[nn.Parameter]:
        """All parameters but the table."""
        return [p for p in self.parameters() if p is not self.encoder.table]

    def vectors_in_cells(
        self, seen: torch.Tensor, world_from_camera: torch.Tensor, cell_m: torch.Tensor
    ) -> torch.Tensor:
        """(R, 3 · VECTORS) what a camera sees of the vectors of R rays, in widths of its cells.

        Args:
            seen: (R, K) rendered grid features.
            world_from_camera: (3, 3) rotation.
            cell_m: (R, 1) width of a cell where the ray ends, metres.
        """
        in_world = self.vectors(seen).unflatten(1, (VECTORS, 3))
        in_camera = in_world @ world_from_camera.to(in_world)
        return in_camera.flatten(1) * (VECTOR_M / cell_m)


def cross_scale_loss(
    predicted: Sequence[torch.Tensor], true: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Σ_i Σ_{j>i} MSE(Ŝ_ij, S_ij) with cosine similarities S_ij (s_i, s_j) of cells (eq. 11).

    Args:
        predicted: per scale (s_k, C_k) features of some cells.
        true: the same cells' true features. Scales of different widths C have no cosine, and are
            left out.
    """
    total = predicted[0].new_zeros(())
    for i in range(len(true)):
        for j in range(i + 1, len(true)):
            if true[i].shape[1] == true[j].shape[1]:
                ours, theirs = _cosines(predicted[i], predicted[j]), _cosines(true[i], true[j])
                total = total + functional.mse_loss(ours, theirs)
    return total


def _cosines(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(N, M) of (N, C) and (M, C) features."""
    return functional.normalize(first, dim=1) @ functional.normalize(second, dim=1).T
