"""OpenCLIP behind the `LanguageModel` contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from PIL import Image as PilImage
from torch import Tensor
from torch.nn import functional

from semantic_field_ros.backends import torch_device
from semantic_field_ros.models.base import Calibration, Image, LanguageModel
from semantic_field_ros.models.batches import filled_up

ARCHITECTURES = tuple(open_clip.list_models())


@dataclass(frozen=True)
class OpenClipParts:
    """What makes an OpenCLIP model usable.

    Attributes:
        model: with weights.
        preprocess: a PIL image to a (3, S, S) f32 tensor.
        tokenize: phrases to (N, context) token ids.
    """

    model: CLIP
    preprocess: Callable[[PilImage.Image], Tensor]
    tokenize: Callable[[Sequence[str]], Tensor]


class OpenClipModel(LanguageModel):
    """Any model that open_clip can build.

    Args:
        parts: model, preparation of images, tokenizer.
        calibration: what its cosines mean; the default is LERF's.
        device: where it runs; None = the accelerator if there is one.
        batch: crops or phrases at a time, which bounds the memory.
    """

    def __init__(
        self,
        parts: OpenClipParts,
        calibration: Calibration | None = None,
        device: torch.device | None = None,
        batch: int = 64,
    ) -> None:
        self.device = device or torch_device()
        self.calibration = calibration or Calibration()
        self.batch = batch
        self._parts = parts
        self._model = parts.model.to(self.device).eval()
        self.crop_px = _side(parts.model.visual.image_size)
        self.dim = self.encode_text(["object"]).shape[1]

    def encode_crops(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(N, D) unit vectors of N square RGB crops (S, S, 3) u8 of any sizes; N may be 0.

        Raises:
            ValueError: an image is not (S, S, 3) u8.
        """
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise ValueError(f"crops must be (S, S, 3) uint8, got {image.shape} {image.dtype}")
        prepare = self._parts.preprocess
        return self._in_batches(
            images,
            lambda some: torch.stack([prepare(PilImage.fromarray(image)) for image in some]),
            self._model.encode_image,
        )

    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit vectors of N non-empty phrases; N may be 0.

        Raises:
            ValueError: a phrase is empty.
        """
        for phrase in phrases:
            if not phrase.strip():
                raise ValueError(f"phrases must not be empty, got {phrase!r}")
        return self._in_batches(
            phrases,
            lambda some: self._parts.tokenize([" ".join(p.split()) for p in some]),
            self._model.encode_text,
        )

    def _in_batches(
        self,
        items: Sequence,
        prepare: Callable[[Sequence], Tensor],
        encode: Callable[[Tensor], Tensor],
    ) -> NDArray[np.float32]:
        """Unit vectors of all items."""
        parts = []
        with torch.inference_mode():
            for start in range(0, len(items), self.batch):
                some = items[start : start + self.batch]
                inputs = prepare(filled_up(some)).to(self.device)
                vectors = functional.normalize(encode(inputs).float(), dim=1).cpu().numpy()
                parts.append(vectors[: len(some)])
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)


def _side(image_size: int | tuple[int, int]) -> int:
    return int(image_size if isinstance(image_size, int) else image_size[0])


def load_open_clip(architecture: str, pretrained: str) -> OpenClipModel:
    """An OpenCLIP model by architecture name, with a checkpoint file or a pretrained tag.

    Args:
        architecture: as in `open_clip.list_models()`, e.g. "ViT-B-16".
        pretrained: path of a checkpoint, or a tag such as "laion2b_s34b_b88k", which open_clip
            downloads.

    Raises:
        ValueError: unknown architecture, or neither a file nor a tag of it.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"language architecture must be one of open_clip.list_models(), got {architecture!r}"
        )
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    file = Path(pretrained).expanduser()
    if not file.is_file() and pretrained not in tags:
        raise ValueError(
            f"no checkpoint file {pretrained!r}, and {architecture} has the tags {tags}"
        )
    # open_clip only warns where a tag's weights were trained with another activation.
    tag = open_clip.get_pretrained_cfg(architecture, pretrained)
    model, _, preprocess = open_clip.create_model_and_transforms(
        architecture,
        pretrained=str(file) if file.is_file() else pretrained,
        force_quick_gelu=tag.get("quick_gelu", False),
    )
    return OpenClipModel(OpenClipParts(model, preprocess, open_clip.get_tokenizer(architecture)))
