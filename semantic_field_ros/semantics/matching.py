"""Matching the masks of one view to scene queries (MaskField's Hungarian matching)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float32]

#: probabilities are kept this far from 0 and 1 inside logarithms.
CLIP = 0.02
DICE_WEIGHT = 0.05
#: a pair whose soft IoU is lower is never a match, whatever its language says.
LEAST_IOU = 0.3


def soft_iou(masks: NDArray[np.bool_], membership: Floats) -> Floats:
    """(M, Q) IoU of (M, P) masks and (Q, P) memberships in [0, 1]: Σ min / Σ max."""
    target = masks.astype(np.float32)
    shared = target @ membership.T
    union = target.sum(1)[:, None] + membership.sum(1)[None] - shared
    return shared / np.maximum(union, 1e-6)


def mask_cost(masks: NDArray[np.bool_], membership: Floats) -> Floats:
    """(M, Q) focal + 0.05·dice of memberships as predictions of masks.

    Focal loss (Lin et al. 2017, γ = 2) is summed over the P samples and divided by the mask's
    size, so that small things are judged as strictly as large ones; dice is
    1 − (2·Σ p·t + 1) / (Σ p + Σ t + 1).
    """
    target = masks.astype(np.float32)
    p = np.clip(membership, CLIP, 1 - CLIP)
    inside, outside = -((1 - p) ** 2) * np.log(p), -(p**2) * np.log(1 - p)
    size = target.sum(1)[:, None]
    focal = (target @ (inside - outside).T + outside.sum(1)[None]) / np.maximum(size, 1)
    shared = target @ membership.T
    dice = 1 - (2 * shared + 1) / (membership.sum(1)[None] + size + 1)
    return (focal + DICE_WEIGHT * dice).astype(np.float32)


def language_cost(masks: Floats, queries: Floats) -> Floats:
    """(M, Q) (1 − cos) + mean absolute difference of (M, D) and (Q, D) unit vectors."""
    cosine = masks @ queries.T
    distance = np.abs(masks[:, None] - queries[None]).mean(axis=2)
    return (1 - cosine + distance).astype(np.float32)


def match(cost: Floats, iou: Floats) -> list[tuple[int, int]]:
    """Pairs (mask, query) of the cheapest assignment among those with enough overlap."""
    if cost.size == 0:
        return []
    allowed = iou >= LEAST_IOU
    forbidden = float(cost.max()) + 1e3
    rows, columns = linear_sum_assignment(np.where(allowed, cost, forbidden))
    return [(int(m), int(q)) for m, q in zip(rows, columns, strict=True) if allowed[m, q]]
