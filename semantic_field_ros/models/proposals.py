"""Finding everything in an image by prompting where nothing has been found yet.

Segment Anything's own generator prompts a fixed grid of 1024 points. Most of them fall into
regions that an earlier point has found; here each round prompts only what is not covered yet,
which finds the same regions with a few dozen prompts. Small things on large ones are covered from
the start; they are looked for where the picture differs from its surroundings in the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semantic_field_ros.models.base import Image, Prompts
from semantic_field_ros.models.details import unexplained_spots
from semantic_field_ros.types import MaskProposal


@dataclass(frozen=True)
class ProposalOptions:
    """How `propose` searches; the thresholds suit the official models.

    Attributes:
        rounds: of prompting.
        points: prompts in one round.
        details: prompts after that, on small things that lie on what was found.
        least_iou: predicted IoU under which a mask is dropped.
        least_stability: IoU of the masks at logit thresholds +margin and -margin under which a
            mask is dropped (Kirillov et al. 2023, section 4 "stability score").
        stability_margin: that margin.
        overlap: IoU from which two masks are the same.
        least_area: share of the image under which a mask is dropped.
        seed: of the jitter; the same image gives the same proposals.
    """

    rounds: int = 3
    points: int = 24
    details: int = 12
    least_iou: float = 0.86
    least_stability: float = 0.9
    stability_margin: float = 1.0
    overlap: float = 0.7
    least_area: float = 0.001
    seed: int = 0


class LowDecoder(Protocol):
    """What proposing needs of a segmenter."""

    def decode_best(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> tuple[Tensor, Tensor]:
        """(P, h, w) logits and (P,) predicted IoU."""

    def upscale(self, low: Tensor, image_size: tuple[int, int]) -> Tensor:
        """(P, K, H, W) logits."""


def propose_masks(
    segmenter: LowDecoder,
    embedding: NDArray[np.floating],
    image: Image,
    options: ProposalOptions,
) -> tuple[MaskProposal, ...]:
    """Regions of an (H, W, 3) u8 RGB image; deduplicated, best first."""
    rng = np.random.default_rng(options.seed)
    search = _Search(segmenter, embedding, image.shape[:2], options)
    for _ in range(options.rounds):
        points = uncovered_points(search.covered | search.asked, options.points, rng)
        if len(points) == 0:
            break
        search.ask(points)
    spots = unexplained_spots(image, search.masks, search.asked, options.details)
    if len(spots):
        search.ask(spots)
    kept = suppress(search.masks, search.scores, options.overlap)
    return tuple(MaskProposal.from_mask(search.masks[i], search.scores[i]) for i in kept)


class _Search:
    """What has been found so far, and where."""

    def __init__(
        self,
        segmenter: LowDecoder,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        options: ProposalOptions,
    ) -> None:
        self._segmenter, self._embedding, self._options = segmenter, embedding, options
        self.masks: list[NDArray[np.bool_]] = []
        self.scores: list[float] = []
        self.covered, self.asked = np.zeros(image_size, bool), np.zeros(image_size, bool)

    def ask(self, points: NDArray[np.float32]) -> None:
        """Prompts (N >= 1, 2) (u, v) pixels."""
        size = self.asked.shape
        prompts = [Prompts.click(float(u), float(v)) for u, v in points]
        masks, scores = _decode(self._segmenter, self._embedding, size, prompts, self._options)
        self.masks += masks
        self.scores += scores
        for mask in masks:
            self.covered |= mask
        self.asked |= _disks(points, size)


def uncovered_points(
    covered: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(N <= count, 2) (u, v) spread over the pixels that are not covered, away from edges.

    One point per cell of a jittered grid, fine enough to give `count` of them: the cell's
    uncovered pixel that is farthest from anything covered.
    """
    free = ~covered
    if free.sum() < 0.002 * covered.size:
        return np.empty((0, 2), np.float32)
    depth = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, 3)
    cell = max(4.0, float(np.sqrt(free.sum() / count)))
    shift = rng.uniform(0, cell, 2)
    v, u = np.nonzero(free)
    key = ((v + shift[0]) // cell).astype(np.int64) * 4096 + ((u + shift[1]) // cell).astype(int)
    worth = depth[v, u] + rng.uniform(0, 0.5 * cell, len(u)).astype(np.float32)
    order = np.lexsort((-worth, key))
    first = order[np.unique(key[order], return_index=True)[1]]
    best = first[np.argsort(-depth[v[first], u[first]], kind="stable")][:count]
    return np.stack([u[best], v[best]], axis=1).astype(np.float32)


def _disks(points: NDArray[np.float32], image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Small surroundings of what was asked already."""
    canvas = np.zeros(image_size, np.uint8)
    radius = max(2, min(image_size) // 60)
    for u, v in points.astype(int).tolist():
        cv2.circle(canvas, (u, v), radius, 1, -1)
    return canvas > 0


def _decode(
    segmenter: LowDecoder,
    embedding: NDArray[np.floating],
    image_size: tuple[int, int],
    prompts: list[Prompts],
    options: ProposalOptions,
) -> tuple[list[NDArray[np.bool_]], list[float]]:
    """The best mask of each prompt where it is good enough."""
    low, score = segmenter.decode_best(embedding, image_size, prompts)
    high = (low > options.stability_margin).sum((1, 2)).float()
    wide = (low > -options.stability_margin).sum((1, 2)).float()
    good = (score >= options.least_iou) & (high / wide.clamp(min=1) >= options.least_stability)
    kept = torch.nonzero(good)[:, 0]
    if len(kept) == 0:
        return [], []
    masks = (segmenter.upscale(low[kept][:, None], image_size)[:, 0] > 0).cpu().numpy()
    large = masks.reshape(len(masks), -1).sum(1) >= options.least_area * masks[0].size
    return list(masks[large]), score[kept].cpu().numpy()[large].tolist()


def suppress(
    masks: Sequence[NDArray[np.bool_]], scores: Sequence[float], overlap: float
) -> list[int]:
    """Indices of the masks that no better one equals by an IoU of `overlap`, best first."""
    order = np.argsort(-np.asarray(scores), kind="stable").tolist()
    if not order:
        return []
    flat = np.stack([masks[i].ravel() for i in order]).astype(np.float32)
    shared = flat @ flat.T
    areas = shared.diagonal()
    iou = shared / np.maximum(areas[:, None] + areas[None] - shared, 1)
    kept: list[int] = []
    for row in range(len(order)):
        if not kept or iou[row, kept].max() < overlap:
            kept.append(row)
    return [order[row] for row in kept]
