"""Half-precision safetensors with a card beside them, written atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS = Path(__file__).parent / "weights"


def save_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    """Writes a state dict with floating-point tensors as f16."""
    half = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in state.items()
    }
    partial = path.with_suffix(".partial")
    save_file(half, partial)
    partial.chmod(0o644)
    os.replace(partial, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """The state dict at `path`, floating-point tensors as f32.

    Raises:
        ValueError: if there is no such file.
    """
    if not path.is_file():
        raise ValueError(
            f"no weights at {path}; train them as semantic_field_ros.models.tiny says"
        )
    state = load_file(path)
    return {
        name: value.float() if value.dtype == torch.float16 else value
        for name, value in state.items()
    }


def card_path(weights: Path) -> Path:
    """Where the card of a weights file lies."""
    return weights.with_name(weights.stem + ".card.json")


def read_card(weights: Path) -> dict[str, Any]:
    """The card beside a weights file."""
    return json.loads(card_path(weights).read_text())


def write_card(weights: Path, card: Mapping[str, Any]) -> None:
    """Writes the card beside a weights file, atomically."""
    partial = weights.with_suffix(".card.partial")
    partial.write_text(json.dumps(card, indent=2) + "\n")
    os.replace(partial, card_path(weights))
