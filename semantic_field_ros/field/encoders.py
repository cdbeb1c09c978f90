"""Encoders by name."""

from __future__ import annotations

import torch

from semantic_field_ros import backends
from semantic_field_ros.config import GridConfig
from semantic_field_ros.field.base import Encoder
from semantic_field_ros.field.grid_layout import GridLayout
from semantic_field_ros.field.torch_grid import TorchGrid


def make_encoder(config: GridConfig, backend: str = "auto", seed: int = 0) -> Encoder:
    """A fresh encoder, on the device that its backend runs on.

    Args:
        config: the grid.
        backend: "auto", "tcnn", "numba" or "torch".
        seed: of the initial table, which is the same on every backend.

    Raises:
        ValueError: an unknown backend or a grid out of range.
        RuntimeError: the backend is not available here; says how to get it.
    """
    name = backends.encoder_backend(backend)
    if name == "tcnn":
        from semantic_field_ros.field.tcnn_grid import TcnnGrid

        return TcnnGrid(config, seed)
    layout = GridLayout.of(config)
    if name == "numba":
        from semantic_field_ros.field.numba_grid import NumbaGrid

        return NumbaGrid(layout, seed)
    return TorchGrid(layout, seed).to(encoder_device(name))


def encoder_device(backend: str) -> torch.device:
    """Where an encoder of a resolved backend lives: numba on the CPU, others where torch is."""
    return torch.device("cpu") if backend == "numba" else backends.torch_device()
