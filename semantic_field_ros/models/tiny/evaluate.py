"""Held-out figures of the bundled models, for their cards: validation worlds only.

Pictures get the sensor look of training, so that the figures are those of a camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import LanguageModel, Prompts, Segmenter, relevancy
from semantic_field_ros.models.crops import segment_crop
from semantic_field_ros.models.tiny.augment import sensor_look
from semantic_field_ros.models.tiny.data import Pictures, PictureStore, Thing
from semantic_field_ros.models.tiny.prompts import interior_most
from semantic_field_ros.models.tiny.regions import disturb, name_of
from semantic_field_ros.models.tiny.vocabulary import PROBE_PAIRS, UNSEEN
from semantic_field_ros.stream.synthetic import CATEGORIES, COLOURS

LEAST_PX = 400


@dataclass(frozen=True)
class Shot:
    """One picture as a camera would deliver it, with its truth."""

    pictures: Pictures
    rgb: NDArray[np.uint8]
    instance: NDArray[np.int16]

    def objects(self, least_px: int = LEAST_PX) -> list[Thing]:
        """Objects that cover at least so many pixels."""
        ids, counts = np.unique(self.instance, return_counts=True)
        there = [self.pictures.things.get(int(i)) for i in ids[counts >= least_px]]
        return [thing for thing in there if thing is not None and thing.is_object]


def shots(store: PictureStore, views: int, seed: int = 0) -> Iterator[Shot]:
    """The first `views` pictures of every world, in a fixed order and with fixed noise."""
    rng = np.random.default_rng(seed)
    for name in sorted(store.worlds):
        pictures = store.worlds[name]
        for view in range(min(views, len(pictures.rgb))):
            rgb = sensor_look(np.ascontiguousarray(pictures.rgb[view]), rng)
            yield Shot(pictures, rgb, np.asarray(pictures.instance[view]))


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks, 0 where both are empty."""
    return float((first & second).sum() / max((first | second).sum(), 1))


def measure_segmenter(model: Segmenter, store: PictureStore, views: int) -> dict[str, float]:
    """One click on the interior-most pixel of every object, and what proposals find of them."""
    clicked, best, proposed, counts = [], [], [], []
    for shot in shots(store, views):
        things = shot.objects()
        masks = [shot.instance == thing.id for thing in things]
        embedding = model.embed(shot.rgb)
        prompts = [Prompts.click(*interior_most(mask)) for mask in masks]
        for mask, answer in zip(
            masks, model.decode(embedding, mask_size(shot), prompts), strict=True
        ):
            each = [iou(mask, logits > 0) for logits in answer.logits]
            clicked.append(each[0])
            best.append(max(each))
        found = [p.mask() for p in model.propose(embedding, shot.rgb)]
        proposed += [max([iou(mask, other) for other in found], default=0.0) for mask in masks]
        counts.append(len(found))
    return {
        "one_click_iou": _mean(clicked),
        "one_click_share_over_half": _mean([value >= 0.5 for value in clicked]),
        "one_click_best_of_outputs_iou": _mean(best),
        "proposal_iou": _mean(proposed),
        "proposals_per_picture": _mean(counts),
        "objects": float(len(clicked)),
    }


def mask_size(shot: Shot) -> tuple[int, int]:
    """(height, width) of a shot."""
    height, width = shot.instance.shape
    return height, width


def _mean(values: list[float] | list[bool] | list[int]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0


@dataclass(frozen=True)
class Seen:
    """Vectors of N object crops with what they show and whose scene they are from."""

    vectors: NDArray[np.float32]
    names: list[tuple[str, str]]
    scenes: list[Pictures]


def see_crops(
    model: LanguageModel, store: PictureStore, views: int, true_masks: bool = False
) -> Seen:
    """Crops of every object of at least 400 pixels, with masks as a segmenter draws them."""
    rng = np.random.default_rng(1)
    crops, names, scenes = [], [], []
    for shot in shots(store, views):
        for thing in shot.objects():
            true = shot.instance == thing.id
            mask = true if true_masks else disturb(true, ~true & (shot.instance != 0), rng)
            crops.append(segment_crop(shot.rgb, mask, model.crop_px))
            names.append(name_of(thing))
            scenes.append(shot.pictures)
    return Seen(model.encode_crops(crops), names, scenes)


def relevancies(model: LanguageModel, seen: NDArray[np.float32], phrases: list[str]) -> NDArray:
    """(N, P) relevancy of crops and phrases as queries have it, in [0, 1].

    The one beside the canonical negatives, or the one beside a phrase's rivals if that is less.
    """
    calibration = model.calibration
    heat, negatives = calibration.temperature, model.encode_text(list(calibration.negatives))
    scores = np.empty((len(seen), len(phrases)), np.float32)
    for column, phrase in enumerate(phrases):
        asked, *rivals = model.encode_text([phrase, *calibration.rivals(phrase)])
        scores[:, column] = relevancy(seen, asked, negatives, heat)
        if rivals:
            beside = relevancy(seen, asked, np.stack(rivals), heat, calibration.head_start)
            scores[:, column] = np.minimum(scores[:, column], beside)
    return scores


def measure_language(model: LanguageModel, store: PictureStore, views: int) -> dict[str, float]:
    """Crop top-1 among the scene's phrases, and how present and absent phrases separate."""
    seen = see_crops(model, store, views)
    right = named_right(model, see_crops(model, store, views, true_masks=True))
    unseen_right = [value for name, value in right if name in PROBE_PAIRS]
    present, absent, strangers = separation(model, seen)
    threshold = model.calibration.threshold
    return {
        "crop_top1": _mean([value for _, value in right]),
        "crop_top1_disturbed_masks": _mean([value for _, value in named_right(model, seen)]),
        "crop_top1_unseen_pairs": _mean(unseen_right),
        "unseen_pair_crops": float(len(unseen_right)),
        "present_found": _mean((present >= threshold).tolist()),
        "absent_not_found": _mean((absent < threshold).tolist()),
        "unknown_not_found": _mean((strangers < threshold).tolist()),
        "crops": float(len(right)),
    }


def named_right(model: LanguageModel, seen: Seen) -> list[tuple[tuple[str, str], bool]]:
    """For every crop its name, and whether that is the likeliest of its scene's phrases."""
    answers = []
    for vector, name, scene in zip(seen.vectors, seen.names, seen.scenes, strict=True):
        phrases = sorted({" ".join(name_of(t)).strip() for t in scene.things.values()})
        best = phrases[int((model.encode_text(phrases) @ vector).argmax())]
        answers.append((name, best == " ".join(name)))
    return answers


STRANGERS = ("zebra", "purple elephant", "helicopter", "red giraffe", "keyboard", "green piano")


def separation(
    model: LanguageModel, seen: Seen, seed: int = 2
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Relevancy of crops for their own phrase, for near misses of it, and for unknown things."""
    rng = np.random.default_rng(seed)
    own = [" ".join(name) for name in seen.names]
    misses = [" ".join(_miss(name, rng)) for name in seen.names]
    phrases = sorted({*own, *misses, *STRANGERS})
    column = {phrase: index for index, phrase in enumerate(phrases)}
    values = relevancies(model, seen.vectors, phrases)
    rows = np.arange(len(own))
    strange = values[:, [column[s] for s in STRANGERS]].ravel()
    return (
        values[rows, [column[p] for p in own]],
        values[rows, [column[p] for p in misses]],
        strange,
    )


def _miss(name: tuple[str, str], rng: np.random.Generator) -> tuple[str, str]:
    """The same thing in another colour, or another thing in the same colour."""
    while True:
        other = (str(rng.choice(COLOURS)), name[1])
        if rng.random() < 0.5:
            other = (name[0], str(rng.choice(CATEGORIES)))
        if other != name and other not in UNSEEN:
            return other


#: a map has dozens of regions that an absent phrase may find, and one that it may miss.
WRONG_AGAINST_MISSED = 4.0


def best_threshold(present: NDArray[np.float32], absent: NDArray[np.float32]) -> float:
    """The relevancy at which `WRONG_AGAINST_MISSED` times the share of absent that is found is as
    large as the share of present that is missed."""
    candidates = np.linspace(0.05, 0.95, 91)
    missed = (present[None] < candidates[:, None]).mean(1)
    wrong = (absent[None] >= candidates[:, None]).mean(1)
    return round(float(candidates[np.abs(missed - WRONG_AGAINST_MISSED * wrong).argmin()]), 2)
