"""Draws ray batches from stored frames, fast enough to be no part of a training step."""

from __future__ import annotations

import numpy as np

from semantic_field_ros.keyframes.store import FrameStore, Slots
from semantic_field_ros.types import RayBatch

#: how often a ray through an ignored pixel is drawn anew.
REDRAWS = 8


def draw_slots(
    used: Slots, recent: Slots, count: int, recent_share: float, rng: np.random.Generator
) -> Slots:
    """(count,) slots: a share from the recent ones, the rest evenly from all.

    Args:
        used: every slot that may be drawn, at least one.
        recent: the newest few of them.
        count: how many rays.
        recent_share: [0, 1].
        rng: source of chance.
    """
    from_recent = round(count * recent_share) if len(recent) < len(used) else 0
    new = recent[rng.integers(0, max(len(recent), 1), from_recent)]
    old = used[rng.integers(0, len(used), count - from_recent)]
    return np.concatenate([new, old])


def draw_rays(store: FrameStore, slots: Slots, rng: np.random.Generator) -> RayBatch:
    """One ray through a random pixel of the frame in each of the (R,) slots.

    Ignored pixels are drawn anew; where that fails time after time, in a frame of which hardly
    anything counts, the ray is left out.
    """
    u, v = _random_pixels(store.sizes[slots], rng)
    ignored = np.flatnonzero(store.ignored_at(slots, u, v))
    for _ in range(REDRAWS):
        if not len(ignored):
            return gather_rays(store, slots, u, v)
        u[ignored], v[ignored] = _random_pixels(store.sizes[slots[ignored]], rng)
        ignored = ignored[store.ignored_at(slots[ignored], u[ignored], v[ignored])]
    slots, u, v = (np.delete(numbers, ignored) for numbers in (slots, u, v))
    return gather_rays(store, slots, u, v)


def _random_pixels(size: Slots, rng: np.random.Generator) -> tuple[Slots, Slots]:
    """A pixel in each image of (R, 2) sizes."""
    u = (rng.random(len(size), np.float32) * size[:, 0]).astype(np.int64)
    v = (rng.random(len(size), np.float32) * size[:, 1]).astype(np.int64)
    # f32 may round the product up to the size itself.
    return np.minimum(u, size[:, 0] - 1), np.minimum(v, size[:, 1] - 1)


def gather_rays(store: FrameStore, slots: Slots, u: Slots, v: Slots) -> RayBatch:
    """The rays through integer pixels (u, v) of the frames in the (R,) slots."""
    rgb = np.empty((len(slots), 3), np.uint8)
    depth_m = np.full(len(slots), np.nan, np.float32)
    for size, block in store.blocks.items():
        here: Slots | slice = slice(None)
        if len(store.blocks) > 1:
            here = np.flatnonzero((store.sizes[slots] == size).all(axis=1))
        rgb[here] = block.rgb[slots[here], v[here], u[here]]
        if block.depth_m is not None:
            depth_m[here] = block.depth_m[slots[here], v[here], u[here]]
    pixel = np.stack([u, v], axis=1).astype(np.float32)
    fx, fy, cx, cy = store.intrinsics[slots].T
    in_camera = np.stack([(pixel[:, 0] - cx) / fx, (pixel[:, 1] - cy) / fy], axis=1)
    turn = store.rotations[slots]
    directions = (
        turn[:, :, 0] * in_camera[:, :1] + turn[:, :, 1] * in_camera[:, 1:] + turn[:, :, 2]
    )
    colour = rgb.astype(np.float32) / np.float32(255)
    return RayBatch(store.origins[slots], directions, colour, depth_m, slots, pixel)
