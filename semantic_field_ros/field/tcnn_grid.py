"""The hash grid on NVIDIA GPUs, by tiny-cuda-nn."""

from __future__ import annotations

import torch
from torch import nn

from semantic_field_ros import backends
from semantic_field_ros.config import GridConfig
from semantic_field_ros.field.base import Encoder, new_table
from semantic_field_ros.field.grid_layout import GridLayout


class TcnnGrid(Encoder):
    """tiny-cuda-nn's `HashGrid`, fed from the same table as the other backends.

    Its flat parameters are the (E, F) table row by row (`encodings/grid.h`: the offset table), so
    the native module runs on a view of ours and checkpoints need no conversion.

    Args:
        config: the grid.
        seed: of the initial table.

    Raises:
        RuntimeError: tiny-cuda-nn or a GPU is missing, or it lays the grid out differently.
    """

    def __init__(self, config: GridConfig, seed: int = 0) -> None:
        layout = GridLayout.of(config)
        super().__init__(layout)
        encoding = backends.tinycudann().Encoding(
            n_input_dims=3, encoding_config=tcnn_config(config), dtype=torch.float32
        )
        expected = layout.entries * layout.features
        if encoding.params.numel() != expected:
            raise RuntimeError(
                f"tiny-cuda-nn allots {encoding.params.numel()} parameters to this grid, "
                f"expected {expected}; use field.backend 'torch'"
            )
        # In a tuple, so that its own parameters are neither trained nor saved.
        self._native = (encoding,)
        self.table = nn.Parameter(new_table(layout, seed).to(encoding.params.device))

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """See `Encoder.forward`."""
        positions = self.check(positions)
        parameters = {"params": self.table.reshape(-1)}
        return torch.func.functional_call(self._native[0], parameters, (positions,)).float()


def tcnn_config(config: GridConfig) -> dict[str, str | int | float]:
    """What tiny-cuda-nn's DOCUMENTATION.md calls this grid."""
    return {
        "otype": "HashGrid",
        "n_levels": config.levels,
        "n_features_per_level": config.features,
        "log2_hashmap_size": config.log2_entries,
        "base_resolution": config.base_resolution,
        "per_level_scale": config.growth,
        "interpolation": "Linear",
    }
