"""Prompts for training and measuring a segmenter, drawn from true instances."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Instance = NDArray[np.int32]


@dataclass(frozen=True)
class PromptBatch:
    """K prompts of one kind on one image.

    Attributes:
        ids: (K,) i64 instance that each prompt means.
        points_px: (K, N, 2) f32 (u, v).
        labels: (K, N) f32; 1 inside, 0 outside, -1 no point.
        boxes_px: (K, 4) f32 (u_min, v_min, u_max, v_max) or None.
        weight: (K,) f32 share in the loss.
    """

    ids: NDArray[np.int64]
    points_px: NDArray[np.float32]
    labels: NDArray[np.float32]
    boxes_px: NDArray[np.float32] | None
    weight: NDArray[np.float32]


def inner_distance_px(instance: Instance) -> NDArray[np.float32]:
    """(H, W) f32 distance of each pixel to the nearest one of another instance or the border."""
    same = np.ones(instance.shape, np.uint8)
    for axis in (0, 1):
        edge = np.diff(instance, axis=axis) != 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        same[tuple(before)][edge] = 0
        same[tuple(after)][edge] = 0
    same[[0, -1]], same[:, [0, -1]] = 0, 0
    return np.asarray(cv2.distanceTransform(same, cv2.DIST_L2, 3), np.float32)


def interior_most(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(u, v) of the pixel of a non-empty mask that is farthest from its outside."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    v, u = np.unravel_index(int(distance.argmax()), mask.shape)
    return int(u), int(v)


class PromptSampler:
    """Draws prompts on one picture.

    Args:
        instance: (H, W) i32, 0 = nothing.
        objects: ids that are objects; the others are surfaces and count less.
        rng: source of chance.
        least_px: instances with fewer pixels are not asked for.
    """

    def __init__(
        self,
        instance: Instance,
        objects: frozenset[int],
        rng: np.random.Generator,
        least_px: int = 150,
    ) -> None:
        self.rng = rng
        self.width = instance.shape[1]
        self.flat = instance.ravel()
        self.inner = inner_distance_px(instance).ravel()
        self.order = np.argsort(self.flat, kind="stable")
        ids, self.start, self.count = np.unique(
            self.flat[self.order], return_index=True, return_counts=True
        )
        self.choices = np.flatnonzero((self.count >= least_px) & (ids != 0))
        self.ids = ids.astype(np.int64)
        self.importance = np.where(np.isin(ids, list(objects)), 1.0, 0.35).astype(np.float32)

    def pixels(self, index: int) -> NDArray[np.int64]:
        """Flat pixel indices of the instance at `index`."""
        return self.order[self.start[index] : self.start[index] + self.count[index]]

    def point(self, index: int) -> tuple[float, float]:
        """A pixel of an instance, often one that lies deep inside."""
        pixels = self.pixels(index)
        candidates = pixels[self.rng.integers(len(pixels), size=16)]
        if self.rng.random() < 0.4:
            chosen = pixels[self.inner[pixels].argmax()]
        elif self.rng.random() < 0.6:
            chosen = candidates[self.inner[candidates].argmax()]
        else:
            chosen = candidates[0]
        v, u = divmod(int(chosen), self.width)
        return float(u), float(v)

    def outside_point(self, index: int) -> tuple[float, float] | None:
        """A pixel of something else, the nearest of a few; None if there is nothing else."""
        u0, v0 = self.point(index)
        elsewhere = len(self.flat) - self.count[index]
        if elsewhere == 0:
            return None
        place = self.rng.integers(elsewhere, size=16)
        place = np.where(place >= self.start[index], place + self.count[index], place)
        v, u = np.divmod(self.order[place], self.width)
        nearest = int(np.hypot(u - u0, v - v0).argmin())
        return float(u[nearest]), float(v[nearest])

    def box(self, index: int) -> list[float]:
        """The instance's box, its corners moved by up to a tenth of its size."""
        v, u = np.divmod(self.pixels(index), self.width)
        box = np.array([u.min(), v.min(), u.max(), v.max()], np.float32)
        reach = np.tile([box[2] - box[0], box[3] - box[1]], 2) * 0.1
        return (box + self.rng.uniform(-1, 1, 4) * np.minimum(reach, 8)).tolist()

    def draw(self, count: int, kind: str) -> PromptBatch | None:
        """`count` prompts of one kind: "click", "corrected" or "box"; None on an empty picture."""
        if len(self.choices) == 0:
            return None
        weights = self.importance[self.choices] / self.importance[self.choices].sum()
        chosen = self.rng.choice(self.choices, count, p=weights)
        points = [[self.point(index)] for index in chosen]
        labels = np.ones((count, 1), np.float32)
        if kind == "corrected":
            labels = np.ones((count, 3), np.float32)
            labels[:, 1:] = self.rng.choice([-1.0, 0.0, 1.0], (count, 2), p=[0.2, 0.5, 0.3])
            for row, index in enumerate(chosen):
                for column in (1, 2):
                    draw = self.outside_point if labels[row, column] == 0 else self.point
                    point = draw(int(index))
                    labels[row, column] = -1.0 if point is None else labels[row, column]
                    points[row].append(point or (0.0, 0.0))
        boxes = [self.box(int(i)) for i in chosen] if kind == "box" else None
        return PromptBatch(
            self.ids[chosen],
            np.array(points, np.float32),
            labels,
            None if boxes is None else np.array(boxes, np.float32),
            self.importance[chosen],
        )
