"""Features of Segment Anything's image encoders at several depths."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import Tensor, nn


@runtime_checkable
class PyramidalEncoder(Protocol):
    """An encoder that has maps at several scales of its own."""

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """(1, C_k, h_k, w_k) maps of a (1, 3, H, W) image, coarse ones first, its output last."""


def encode_pyramid(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    """(1, C_k, h_k, w_k) maps of a normalised (1, 3, H, W) image, the embedding last.

    Of a vision transformer these are its blocks with global attention, which close its stages; the
    last block is left out, for the embedding is made of it.
    """
    if isinstance(encoder, PyramidalEncoder):
        return encoder.pyramid(images)
    if isinstance(encoder, ImageEncoderViT):
        return _transformer_pyramid(encoder, images)
    return [encoder(images)]


def _transformer_pyramid(encoder: ImageEncoderViT, images: Tensor) -> list[Tensor]:
    maps: list[Tensor] = []

    def keep(block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        maps.append(output.permute(0, 3, 1, 2))

    stages = [block for block in encoder.blocks[:-1] if block.window_size == 0]
    hooks = [block.register_forward_hook(keep) for block in stages]
    try:
        embedding: Tensor = encoder(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [*maps, embedding]


def pyramid_sizes(encoder: nn.Module, side_px: int) -> list[tuple[int, int]]:
    """(channels, side) of each map of a square image; the encoder runs once."""
    device = next(encoder.parameters()).device
    with torch.inference_mode():
        maps = encode_pyramid(encoder, torch.zeros((1, 3, side_px, side_px), device=device))
    return [(int(at.shape[1]), int(at.shape[2])) for at in maps]
