"""Bars of single parts: the bundled models, the encoder, the replay memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from semantic_field_ros import backends
from semantic_field_ros.config import Config, GridConfig, KeyframesConfig
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.clicks import LEAST_PIXELS, interior_pixel
from semantic_field_ros.evaluation.ground_truth import FrameTruth, WorldTruth
from semantic_field_ros.evaluation.metrics import iou_2d, mean
from semantic_field_ros.evaluation.streaming import Run, stream_into, wait_until
from semantic_field_ros.evaluation.views import ViewErrors, compare_view
from semantic_field_ros.field.encoders import make_encoder
from semantic_field_ros.models.base import LanguageModel, Prompts, Segmenter
from semantic_field_ros.models.crops import segment_crop
from semantic_field_ros.models.registry import load_language_model, load_segmenter
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.training.image_models import crop_side_px
from semantic_field_ros.types import PosedFrame

#: worlds on which the models are measured, and every how many-th frame.
MODEL_WORLDS = (("table", 931), ("table", 932), ("table", 933), ("room", 934))
MODEL_EVERY = 12
#: encoder: positions looked up, runs of which the fastest counts.
POSITIONS, RUNS = 65_536, 5
#: forgetting: keyframes that are close enough together for a room to have 200, share of the stream
#: that is "the beginning", training after the stream.
FORGET_KEYFRAMES = KeyframesConfig(capacity=40, min_translation_m=0.025, min_rotation_deg=2.5)
FORGET_FRAMES, BEGINNING, SETTLE_S = 400, 0.2, 20.0


def bundled_models() -> dict[str, Any]:
    """One-click 2D IoU of the segmenter and crop top-1 of the language model, on noisy frames."""
    segmenter, language = load_segmenter("tiny"), load_language_model("tiny")
    ious: list[float] = []
    right: list[bool] = []
    for kind, seed in MODEL_WORLDS:
        source = SyntheticSource(kind, seed)  # type: ignore[arg-type]
        truth = WorldTruth(source)
        for index, frame in enumerate(source):
            if index % MODEL_EVERY == 0:
                ious += one_click_ious(segmenter, frame, truth.of(frame), truth)
                right += crops_right(language, frame, truth.of(frame), truth)
    return {
        "click_iou": mean(ious),
        "clicks": len(ious),
        "crop_top1": mean(right),
        "crops": len(right),
    }


def _masks(view: FrameTruth, truth: WorldTruth) -> dict[int, np.ndarray]:
    """The objects that the view shows well enough."""
    masks = {i: view.instance == i for i in truth.things}
    return {i: mask for i, mask in masks.items() if mask.sum() >= LEAST_PIXELS}


def one_click_ious(
    segmenter: Segmenter, frame: PosedFrame, view: FrameTruth, truth: WorldTruth
) -> list[float]:
    """2D IoU of the mask that scores best for one click on each object of a frame."""
    masks = _masks(view, truth)
    prompts = [Prompts.click(*interior_pixel(mask)) for mask in masks.values()]
    decoded = segmenter.decode(segmenter.embed(frame.rgb), frame.rgb.shape[:2], prompts)
    return [
        iou_2d(answer.logits[0] > 0, mask)
        for answer, mask in zip(decoded, masks.values(), strict=True)
    ]


def crops_right(
    language: LanguageModel, frame: PosedFrame, view: FrameTruth, truth: WorldTruth
) -> list[bool]:
    """Whether each object's crop is nearest to its own phrase among those of its world."""
    masks = _masks(view, truth)
    ids = list(truth.things)
    phrases = language.encode_text([truth.things[i].phrase for i in ids])
    side = crop_side_px(language)
    crops = language.encode_crops([segment_crop(frame.rgb, m, side) for m in masks.values()])
    chosen = (crops @ phrases.T).argmax(axis=1)
    return [ids[best] == i for best, i in zip(chosen, masks, strict=True)]


def encoder_speed() -> dict[str, Any]:
    """Seconds of one forward and backward pass of both encoders, and how they compare."""
    backends.set_thread_budget(0)
    seconds = {name: _pass_s(name) for name in ("torch", "numba")}
    return {
        "torch_s": seconds["torch"],
        "numba_s": seconds["numba"],
        "times_faster": seconds["torch"] / seconds["numba"],
    }


def _pass_s(backend: str) -> float:
    """The fastest of some passes; the first one, which compiles, does not count."""
    encoder = make_encoder(GridConfig(log2_entries=15), backend)
    positions = torch.rand((POSITIONS, 3), generator=torch.Generator().manual_seed(0))
    fastest = np.inf
    for run in range(RUNS + 1):
        start = time.perf_counter()
        encoder(positions).sum().backward()
        if run:
            fastest = min(fastest, time.perf_counter() - start)
    return float(fastest)


def forgetting() -> dict[str, Any]:
    """PSNR on held-out views of the beginning of a room, then and at the end."""
    frames = list(SyntheticSource("room", 941, FORGET_FRAMES))
    with SemanticField(Config(keyframes=FORGET_KEYFRAMES)) as field:
        begun = int(len(frames) * BEGINNING)
        run = stream_into(field, frames[:begun], Holdout.one_in(8))
        wait_until(run, run.elapsed_s() + SETTLE_S)
        before = _psnr(field, run)
        rest = stream_into(field, frames[begun:], Holdout.one_in(8))
        wait_until(rest, rest.elapsed_s() + SETTLE_S)
        after = _psnr(field, run)
        keyframes_seen = len(run.kept) + len(rest.kept)
    return {
        "before_db": before,
        "after_db": after,
        "lost_db": before - after,
        "keyframes": keyframes_seen,
    }


def _psnr(field: SemanticField, run: Run) -> float:
    errors = ViewErrors()
    for frame in run.held_out:
        pose = frame.world_from_camera
        rendered = field.render(frame.camera, pose, "rgb").astype(np.float32) / 255
        errors.add(compare_view(frame, rendered, field.render(frame.camera, pose, "depth"), None))
    return float(errors.psnr_db() or 0.0)
