"""Language vectors in a field, and what two methods share in training and reading it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.config import GridConfig
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.semantics.base import MethodSetup
from semantic_field_ros.semantics.optimiser import to_device_of
from semantic_field_ros.types import Array

Floats = NDArray[np.float32]

#: points looked at at once.
CHUNK = 1 << 15
#: samples of a ray that are looked at; the rest hardly weighs anything on a solid surface.
SAMPLES = 4
_PREFIX = "head."


@dataclass(frozen=True)
class HeadShape:
    """Sizes of a language head.

    Attributes:
        grid: the hash grid.
        hidden: width of the MLPs.
        scaled: whether a vector depends on the scale at which one looks.
    """

    grid: GridConfig
    hidden: int
    scaled: bool


class LanguageHead(nn.Module):
    """A hash grid with an MLP for language and, where there is a dense model, one for that.

    Both read the same grid, so that what looks alike to the dense model gets alike language
    (LERF, Kerr et al. 2023, section 3.3).
    """

    def __init__(self, shape: HeadShape, setup: MethodSetup) -> None:
        super().__init__()
        self.shape = shape
        self.unit_from_world = setup.unit_from_world
        self.encoder = make_encoder(shape.grid, setup.backend, setup.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            inputs, hidden = self.encoder.output_dim, shape.hidden
            self.language = _mlp(inputs + shape.scaled, hidden, setup.language_dim)
            self.dense = _mlp(inputs, hidden, setup.dense_dim) if setup.dense_dim else None
        self.to(self.encoder.table.device)

    def encode(self, points: torch.Tensor) -> torch.Tensor:
        """(N, E) what the grid holds at (N, 3) world points."""
        return self.encoder(self.unit_from_world(points))

    def vectors(
        self, encoded: torch.Tensor, log2_scale: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(N, D) unit vectors of (N, E) encoded points, at (N,) log2 of metres if scaled."""
        if log2_scale is not None:
            encoded = torch.cat([encoded, log2_scale[:, None]], dim=1)
        return nn.functional.normalize(self.language(encoded), dim=1)

    def others(self) -> list[nn.Parameter]:
        """All parameters but the table."""
        return [p for p in self.parameters() if p is not self.encoder.table]

    def frozen(self) -> LanguageHead:
        """A copy that training cannot change."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def named_state(self) -> dict[str, torch.Tensor]:
        """All parameters, for a checkpoint."""
        return {_PREFIX + k: v.detach().cpu().clone() for k, v in self.state_dict().items()}

    def load_named_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `named_state`; other tensors are left alone."""
        own = {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}
        self.load_state_dict(own)


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    )


def rendered(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(R, D) sums Σ w_i F_i of (R·S, D) values along rays with (R, S) weights (eq. 3)."""
    along = values.reshape(*weights.shape, -1)
    return (along * weights[..., None]).sum(dim=1)


def surface_features(head: LanguageHead, points: Floats) -> Array:
    """(N, E) f16 what the grid holds at (N, 3) surface points."""
    with torch.no_grad():
        parts = [
            head.encode(to_device_of(head.encoder, torch.from_numpy(part))).cpu().half()
            for part in np.split(points, range(CHUNK, len(points), CHUNK))
        ]
    return torch.cat(parts).numpy()


def language_at(head: LanguageHead, encoded: Array, log2_scale: float | None = None) -> Floats:
    """(N, D) unit vectors of (N, E) surface features, at one scale if the head is scaled."""
    device = head.encoder.table.device
    parts = []
    with torch.no_grad():
        for part in np.split(encoded, range(CHUNK, len(encoded), CHUNK)):
            at = torch.from_numpy(np.asarray(part, np.float32)).to(device)
            scale = None if log2_scale is None else at.new_full((len(at),), log2_scale)
            parts.append(head.vectors(at, scale).cpu())
    return np.asarray(torch.cat(parts).numpy(), np.float32)
