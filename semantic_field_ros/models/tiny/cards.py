"""Measures and calibrates the bundled models on validation worlds, and writes their cards.

    python -m semantic_field_ros.models.tiny.cards --data DATA --weights FOLDER

Run it after every training; `best_threshold` says where the language model's threshold comes from.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from semantic_field_ros.models.base import Calibration
from semantic_field_ros.models.openclip import OpenClipModel
from semantic_field_ros.models.tiny.clip import TinyClipConfig
from semantic_field_ros.models.tiny.data import (
    CAMERA,
    FIRST_TRAIN_SEED,
    FIRST_VALIDATION_SEED,
    PictureStore,
)
from semantic_field_ros.models.tiny.evaluate import (
    best_threshold,
    measure_language,
    measure_segmenter,
    see_crops,
    separation,
)
from semantic_field_ros.models.tiny.load import load_tiny_clip, load_tiny_sam
from semantic_field_ros.models.tiny.phrases import GENERIC
from semantic_field_ros.models.tiny.sam import TinySamConfig
from semantic_field_ros.models.tiny.train_clip import ClipRecipe
from semantic_field_ros.models.tiny.train_sam import SamRecipe
from semantic_field_ros.models.tiny.vocabulary import PROBE_PAIRS
from semantic_field_ros.models.tiny.weights_io import load_weights, write_card
from semantic_field_ros.stream.synthetic import CATEGORIES, COLOURS

logger = logging.getLogger(__name__)

SCOPE = "Made for the built-in world of this package; use real checkpoints for real scenes."


def data_note(store: PictureStore) -> dict[str, Any]:
    """Where the pictures come from."""
    return {
        "world": "semantic_field_ros.stream.synthetic, sensor look by tiny/augment.py",
        "picture": [CAMERA.width, CAMERA.height],
        "train_seeds": f">= {FIRST_TRAIN_SEED}",
        "validation_seeds": f"{FIRST_VALIDATION_SEED}.., {len(store.worlds)} worlds",
        "test_seeds": "0..999, never seen",
    }


#: log odds of a phrase over its rivals, chosen on maps of validation worlds.
HEAD_START = 2.0


def calibrate(model: OpenClipModel, scale: float, store: PictureStore, views: int) -> Calibration:
    """Temperature from training, rivals from its words, threshold from validation crops."""
    groups = (tuple(COLOURS), tuple(CATEGORIES))
    model.calibration = Calibration(GENERIC, round(scale, 3), 0.5, groups, HEAD_START)
    present, absent, _ = separation(model, see_crops(model, store, views))
    return replace(model.calibration, threshold=best_threshold(present, absent))


def card_of_language_model(
    weights: Path, store: PictureStore, views: int, note: str
) -> dict[str, Any]:
    """Measures and describes a tiny CLIP."""
    model = load_tiny_clip(weights)
    scale = float(load_weights(weights)["logit_scale"].exp())
    model.calibration = calibrate(model, scale, store, views)
    return {
        "name": "tiny CLIP",
        "scope": SCOPE,
        "architecture": TinyClipConfig().to_dict(),
        "recipe": {**asdict(ClipRecipe()), "note": note},
        "data": data_note(store),
        "left_out_of_training": sorted(" ".join(pair) for pair in PROBE_PAIRS),
        "validation": measure_language(model, store, views),
        "calibration": asdict(model.calibration),
    }


def card_of_segmenter(weights: Path, store: PictureStore, views: int, note: str) -> dict[str, Any]:
    """Measures and describes a tiny SAM."""
    model = load_tiny_sam(weights)
    return {
        "name": "tiny SAM",
        "scope": SCOPE,
        "architecture": TinySamConfig().to_dict(),
        "recipe": {**asdict(SamRecipe()), "note": note},
        "data": data_note(store),
        "validation": measure_segmenter(model, store, views),
        "proposals": asdict(model.proposals),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="what tiny.data wrote")
    parser.add_argument("--weights", type=Path, required=True, help="folder of the safetensors")
    parser.add_argument("--views", type=int, default=2, help="per validation world")
    parser.add_argument("--sam-note", default="", help="how this training differed")
    parser.add_argument("--clip-note", default="", help="how this training differed")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    store = PictureStore(options.data / "validation")
    makers = (
        ("tiny_sam", card_of_segmenter, options.sam_note),
        ("tiny_clip", card_of_language_model, options.clip_note),
    )
    for name, make, note in makers:
        weights = options.weights / f"{name}.safetensors"
        card = make(weights, store, options.views, note)
        write_card(weights, card)
        logger.info("%s: %s", name, card["validation"])


if __name__ == "__main__":
    main()
