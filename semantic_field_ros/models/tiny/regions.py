"""Crops of true instances as a segmenter would deliver them, for training the language model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.crops import segment_crop
from semantic_field_ros.models.tiny.augment import sensor_look
from semantic_field_ros.models.tiny.data import Pictures, PictureStore, Thing

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """A (S, S, 3) u8 crop of a thing."""

    crop: NDArray[np.uint8]
    thing: Thing


def name_of(thing: Thing) -> tuple[str, str]:
    """(colour, category) of a thing; a surface's material stands where a colour does."""
    if thing.colour or thing.is_object:
        return thing.colour, thing.category
    *material, noun = thing.phrase.split()
    return " ".join(material), noun


def disturb(mask: Mask, others: Mask, rng: np.random.Generator) -> Mask:
    """A segmenter's mask of a region: swollen, eaten, cut, or leaking into what is beside it."""
    kind = rng.choice(["same", "swell", "eat", "cut", "leak"], p=[0.3, 0.2, 0.2, 0.2, 0.1])
    radius = int(rng.integers(1, 4))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    result = mask
    if kind == "swell":
        result = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    elif kind == "eat":
        result = cv2.erode(mask.astype(np.uint8), kernel) > 0
    elif kind == "cut":
        result = _cut(mask, rng)
    elif kind == "leak":
        reach = np.ones((2 * radius + 7, 2 * radius + 7), np.uint8)
        result = mask | ((cv2.dilate(mask.astype(np.uint8), reach) > 0) & others)
    return result if result.sum() > 0.35 * mask.sum() else mask


def _cut(mask: Mask, rng: np.random.Generator) -> Mask:
    """Removes up to half of a mask on one side of a line."""
    v, u = np.nonzero(mask)
    angle = rng.uniform(0, 2 * np.pi)
    along = u * np.cos(angle) + v * np.sin(angle)
    keep = along <= np.quantile(along, rng.uniform(0.5, 0.95))
    result = np.zeros_like(mask)
    result[v[keep], u[keep]] = True
    return result


def piece(mask: Mask, rng: np.random.Generator) -> Mask:
    """What of a mask lies in a random ellipse around one of its pixels.

    A segmenter that finds no edge in a wall or a floor draws such pieces of it.
    """
    v, u = np.nonzero(mask)
    middle = int(rng.integers(len(u)))
    axes = tuple(int(axis) for axis in rng.integers(6, max(mask.shape) // 3, 2))
    ellipse = np.zeros(mask.shape, np.uint8)
    centre = (int(u[middle]), int(v[middle]))
    cv2.ellipse(ellipse, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask & (ellipse > 0)


def regions_of(
    pictures: Pictures,
    view: int,
    size: int,
    rng: np.random.Generator,
    most: int = 8,
    least_px: int = 70,
) -> list[Region]:
    """Up to `most` disturbed crops of one augmented view, surfaces and pieces of them too."""
    rgb = sensor_look(np.ascontiguousarray(pictures.rgb[view]), rng)
    instance = np.asarray(pictures.instance[view])
    ids, counts = np.unique(instance, return_counts=True)
    there = [pictures.things[int(i)] for i in ids[counts >= least_px] if int(i) in pictures.things]
    chosen = [t for t in there if t.is_object or rng.random() < 0.4]
    regions = []
    for thing in rng.permutation(np.array(chosen, object))[:most]:
        true = instance == thing.id
        if not thing.is_object and rng.random() < 0.6:
            true = piece(true, rng)
        mask = disturb(true, ~true & (instance != 0), rng)
        crop = segment_crop(rgb, mask, size, keep_background=rng.random() < 0.25)
        regions.append(Region(crop[:, ::-1] if rng.random() < 0.5 else crop, thing))
    return regions


def region_stream(
    store: PictureStore, size: int, rng: np.random.Generator, mix: int = 400
) -> Iterator[Region]:
    """Endless regions, those of one view far apart from each other."""
    pool: list[Region] = []
    while True:
        while len(pool) < mix:
            pool += regions_of(*store.draw(rng), size, rng)
        index = int(rng.integers(len(pool)))
        pool[index], pool[-1] = pool[-1], pool[index]
        yield pool.pop()
