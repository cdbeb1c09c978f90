"""What a language field is trained with."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.semantics.language_field import LanguageHead, rendered
from semantic_field_ros.semantics.language_views import PixelView
from semantic_field_ros.semantics.tile_lookup import cells_at

Ints = NDArray[np.int64]

#: where Huber's loss turns linear (LERF).
HUBER_DELTA = 1.25
#: weights of alike and of unlike pairs in the feature-distribution alignment (ours).
ALIKE_WEIGHT, UNLIKE_WEIGHT = 1.0, 0.1


def language_loss(seen: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Huber loss of (R, D) vectors, summed over D and averaged over R."""
    loss = nn.functional.huber_loss(seen, target, reduction="none", delta=HUBER_DELTA)
    return loss.sum(dim=1).mean()


def dense_losses(
    head: LanguageHead,
    encoded: torch.Tensor,
    weights: torch.Tensor,
    logits: torch.Tensor | None,
    view: PixelView,
    pick: Ints,
) -> dict[str, torch.Tensor]:
    """What the dense model teaches; nothing where there is none.

    Args:
        head: of which R rays with S samples were rendered.
        encoded: (R·S, E) of the samples.
        weights: (R, S).
        logits: (R, C) class logits of the rays to align, or None.
        view, pick: the (R,) pixels of a view.
    """
    if head.dense is None or view.dense is None:
        return {}
    size = (view.camera.height, view.camera.width)
    target = torch.from_numpy(cells_at(view.dense, view.uv[pick], size)).to(encoded)
    seen = rendered(weights, head.dense(encoded))
    losses = {"dense": nn.functional.mse_loss(seen, target)}
    if logits is not None:
        losses["alignment"] = alignment_loss(target, logits.softmax(dim=1))
    return losses


def alignment_loss(features: torch.Tensor, chances: torch.Tensor) -> torch.Tensor:
    """Feature-distribution alignment: what looks alike gets alike classes (Liu et al. 2023, FDA).

    With F_ij the cosine of two rays' features less the mean of row i, and J_ij the Jensen-Shannon
    divergence of their classes, alike pairs (F > 0) pay J weighted by F and unlike pairs are paid
    for it. The paper at hand names the loss without writing it out; the weights are ours.

    Args:
        features: (R, K) of a dense model.
        chances: (R, C) class probabilities.
    """
    unit = nn.functional.normalize(features, dim=1)
    likeness = unit @ unit.T
    likeness = likeness - likeness.mean(dim=1, keepdim=True)
    divergence = jensen_shannon(chances)
    alike, unlike = likeness.clamp(min=0), (-likeness).clamp(min=0)
    pull = (alike * divergence).sum() / alike.sum().clamp(min=1e-6)
    push = (unlike * divergence).sum() / unlike.sum().clamp(min=1e-6)
    return ALIKE_WEIGHT * pull - UNLIKE_WEIGHT * push


def jensen_shannon(chances: torch.Tensor) -> torch.Tensor:
    """(R, R) divergences of (R, C) distributions, nats: H((p + q) / 2) − (H(p) + H(q)) / 2."""

    def entropy(p: torch.Tensor) -> torch.Tensor:
        return -(p * p.clamp(min=1e-9).log()).sum(dim=-1)

    own = entropy(chances)
    return entropy((chances[:, None] + chances[None]) / 2) - (own[:, None] + own[None]) / 2
