"""Masks as a realistic segmenter would give them, made from ground truth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: unlabelled pieces of an image smaller than this share of it are no region of their own.
LEAST_BACKGROUND = 0.005
#: distance between the independent wobbles of a boundary, pixels.
WOBBLE_PX = 12
BACKGROUND_ID = 0


@dataclass(frozen=True)
class Faults:
    """How the label-driven models err; frozen, because figures made with them are compared.

    Attributes:
        boundary_px: boundaries wobble by up to this much, inwards and outwards.
        dropped: share of the masks that are missing in a view.
        split: share that come in two pieces.
        merged: share that have swallowed the object nearest to them.
        vector_noise: length of the noise on unit language vectors.
    """

    boundary_px: float = 2.0
    dropped: float = 0.10
    split: float = 0.10
    merged: float = 0.05
    vector_noise: float = 0.75


NO_FAULTS = Faults(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Region:
    """One (H, W) mask and the instance it mostly shows; `BACKGROUND_ID` for the rest."""

    mask: Mask
    id: int


def regions_of(
    instance: NDArray[np.int32], named: Collection[int], faults: Faults, rng: np.random.Generator
) -> list[Region]:
    """The regions of one image: its named objects with faults, then connected background.

    Args:
        instance: (H, W) true ids.
        named: ids that are objects; all others are background.
        faults: how to err.
        rng: decides where; a view's faults are fixed once, as a real segmenter's are.
    """
    whole = {i: instance == i for i in np.unique(instance).tolist() if i in named}
    kept = {i: mask for i, mask in whole.items() if rng.random() >= faults.dropped}
    objects = [Region(mask, i) for i, mask in _merge(kept, faults.merged, rng).items()]
    objects = [piece for region in objects for piece in _split(region, faults.split, rng)]
    objects = [Region(wobble(r.mask, faults.boundary_px, rng), r.id) for r in objects]
    objects = [region for region in objects if region.mask.any()]
    return objects + _background(instance.shape, objects)


def _merge(masks: dict[int, Mask], share: float, rng: np.random.Generator) -> dict[int, Mask]:
    """Some masks swallow their nearest neighbour, which is then gone."""
    merged = dict(masks)
    for instance in list(masks):
        if instance not in merged or len(merged) < 2 or rng.random() >= share:
            continue
        others = [i for i in merged if i != instance]
        gaps = [_gap_px(merged[instance], merged[other]) for other in others]
        victim = others[int(np.argmin(gaps))]
        merged[instance] = merged[instance] | merged.pop(victim)
    return merged


def _gap_px(a: Mask, b: Mask) -> float:
    distance = cv2.distanceTransform((~a).astype(np.uint8), cv2.DIST_L2, 3)
    return float(distance[b].min())


def _split(region: Region, share: float, rng: np.random.Generator) -> list[Region]:
    """Cuts some masks in two along a random line through the middle."""
    if rng.random() >= share:
        return [region]
    rows, columns = np.nonzero(region.mask)
    angle = rng.uniform(0, np.pi)
    v, u = np.indices(region.mask.shape)
    side = (u - columns.mean()) * np.cos(angle) + (v - rows.mean()) * np.sin(angle) > 0
    halves = [region.mask & side, region.mask & ~side]
    return [Region(half, region.id) for half in halves if half.any()]


def wobble(mask: Mask, amplitude_px: float, rng: np.random.Generator) -> Mask:
    """The mask with its boundary moved in and out by up to `amplitude_px`, smoothly along it."""
    if amplitude_px <= 0:
        return mask
    height, width = mask.shape
    coarse = (height // WOBBLE_PX + 2, width // WOBBLE_PX + 2)
    nodes = rng.uniform(-amplitude_px, amplitude_px, coarse).astype(np.float32)
    offset = cv2.resize(nodes, (width, height), interpolation=cv2.INTER_LINEAR)
    return signed_distance(mask) + offset > 0


def signed_distance(mask: Mask) -> NDArray[np.float32]:
    """(H, W) pixels to the boundary, positive inside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = np.where(mask, inside - 0.5, 0.5 - outside)
    return distance.astype(np.float32)


def _background(shape: tuple[int, ...], objects: list[Region]) -> list[Region]:
    """What no object covers, in connected pieces, without crumbs."""
    free = np.ones(shape, np.uint8)
    for region in objects:
        free[region.mask] = 0
    count, labels = cv2.connectedComponents(free, connectivity=4)
    pieces = [labels == label for label in range(1, count)]
    least = LEAST_BACKGROUND * free.size
    return [Region(piece, BACKGROUND_ID) for piece in pieces if piece.sum() >= least]
