"""The bundled models, ready to use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from open_clip.transform import image_transform_v2
from torch import Tensor

from semantic_field_ros.models.base import Calibration
from semantic_field_ros.models.openclip import OpenClipModel, OpenClipParts
from semantic_field_ros.models.proposals import ProposalOptions
from semantic_field_ros.models.segment_anything import SamSegmenter
from semantic_field_ros.models.tiny.clip import (
    PrunedTokenizer,
    TinyClipConfig,
    build_tiny_clip,
    preprocess_config,
)
from semantic_field_ros.models.tiny.sam import build_tiny_sam
from semantic_field_ros.models.tiny.weights_io import WEIGHTS, card_path, load_weights, read_card

SAM_WEIGHTS = WEIGHTS / "tiny_sam.safetensors"
CLIP_WEIGHTS = WEIGHTS / "tiny_clip.safetensors"

#: what is computed of so many stays in a core's cache: a sixth less time than all at once.
PROMPTS_PER_BATCH = 8
#: Chosen on validation worlds: a small model is less sure of itself than a large one, and on a CPU
#: many rounds of few prompts cost no more than few of many, and ask less where all is known.
PROPOSALS = ProposalOptions(rounds=6, points=PROMPTS_PER_BATCH, least_iou=0.4, least_stability=0.5)


class TinySegmenter(SamSegmenter):
    """The bundled segmenter, whose decoder need not draw what nobody will look at."""

    def _best(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return self.model.mask_decoder.predict_best(**inputs)


def load_tiny_sam(
    weights: Path = SAM_WEIGHTS, device: torch.device | None = None
) -> TinySegmenter:
    """The bundled segmenter.

    Raises:
        ValueError: there are no weights at the path.
    """
    model = build_tiny_sam()
    model.load_state_dict(load_weights(weights))
    model.image_encoder.to(memory_format=torch.channels_last)
    return TinySegmenter(
        model,
        device,
        skip_padding=True,
        prompts_per_batch=PROMPTS_PER_BATCH,
        proposals=PROPOSALS,
    )


def load_tiny_clip(
    weights: Path = CLIP_WEIGHTS, device: torch.device | None = None
) -> OpenClipModel:
    """The bundled language model, calibrated as its card says.

    Raises:
        ValueError: there are no weights at the path.
    """
    config = TinyClipConfig()
    state = load_weights(weights)
    tokenizer = PrunedTokenizer(state.pop("vocabulary").numpy(), config.context)
    model = build_tiny_clip(config, tokenizer.size)
    model.load_state_dict(state)
    calibration = Calibration()
    if card_path(weights).is_file():
        stored = read_card(weights)["calibration"]
        calibration = Calibration(
            tuple(stored["negatives"]),
            stored["temperature"],
            stored["threshold"],
            tuple(tuple(group) for group in stored["groups"]),
            stored["head_start"],
        )
    preprocess = image_transform_v2(preprocess_config(config), is_train=False)
    return OpenClipModel(OpenClipParts(model, preprocess, tokenizer), calibration, device)
