"""Losses of the bundled segmenter, and the cheap head that pretrains its encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from semantic_field_ros.models.tiny.sam import SharedMaskDecoder
from semantic_field_ros.models.tiny.votes import VOTE_PX


def soft_targets(instance: Tensor, ids: Tensor) -> Tensor:
    """(K, H / 2, W / 2) f32 share of each 2 x 2 block of (H, W) ids that is instance k of (K,)."""
    masks = (instance[None] == ids[:, None, None]).float()
    return functional.avg_pool2d(masks[:, None], 2)[:, 0]


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """1 - Dice over the last axis (Milletari et al. 2016)."""
    overlap = 2 * (probability * target).sum(-1)
    return 1 - (overlap + 1) / (probability.sum(-1) + target.sum(-1) + 1)


def balanced_cross_entropy(logits: Tensor, target: Tensor, power: float) -> Tensor:
    """Cross-entropy over the last axis, with what is outside scaled by (inside / outside)^power.

    With power 1 both sides weigh the same, which starts learning but swells masks; 0 is plain.
    """
    inside = target.sum(-1, keepdim=True).clamp(min=1)
    outside = (target.shape[-1] - inside).clamp(min=1)
    weight = target + (1 - target) * (inside / outside).clamp(max=1) ** power
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * weight).sum(-1) / weight.sum(-1)


def mask_loss(logits: Tensor, target: Tensor, power: float) -> Tensor:
    """(...,) cross-entropy plus Dice of (..., P) logits against targets in [0, 1]."""
    return balanced_cross_entropy(logits, target, power) + dice_loss(logits.sigmoid(), target)


def soft_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU over the last axis of logits > 0 against targets in [0, 1]."""
    inside = (logits > 0).float()
    overlap = (inside * target).sum(-1)
    return overlap / (inside.sum(-1) + target.sum(-1) - overlap).clamp(min=1e-6)


class ClickProbe(nn.Module):
    """Turns clicks into masks by the decoder as it would be if it looked exactly at the click.

    A mask decoder learns only once the encoder tells instances apart; this head asks exactly that
    of the encoder, for many clicks at a small part of the decoder's price. It borrows the
    decoder's last reading, first hypernetwork, upscaling and votes, which so are ready when the
    transformer's turn comes. Training only.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.shape = nn.Linear(dim, 2)

    def forward(
        self, decoder: SharedMaskDecoder, embedding: Tensor, votes: Tensor, points_px: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks of K clicks on one (C, h, w) embedding.

        Args:
            decoder: whose upscaling, first hypernetwork and votes are used.
            embedding: of one image.
            votes: (4h, 4w, 2) of that embedding.
            points_px: (K, 2) (u, v), input pixels.

        Returns:
            (K, 4h, 4w) logits, and (K, C) what the decoder's mask tokens should be for them.
        """
        height, width = embedding.shape[-2:]
        centre = (points_px + 0.5) / points_px.new_tensor([8.0 * width, 8.0 * height]) * 2 - 1
        cells = embedding.flatten(1).T[None]
        for layer in decoder.transformer.layers:
            cells = layer.norm4(cells)
        clicked = functional.grid_sample(
            cells[0].T.unflatten(1, (height, width))[None],
            centre[None, None],
            align_corners=False,
            padding_mode="border",
        )[0, :, 0].T
        reading = decoder.transformer.final_attn_token_to_image
        state = decoder.transformer.norm_final_attn(reading.out_proj(reading.v_proj(clicked)))
        weights = decoder.output_hypernetworks_mlps[0](state)
        logits = decoder.masks(weights[None], decoder.upscale(cells), (height, width))[0]
        u, v = (points_px / VOTE_PX).long().unbind(1)
        alike = decoder.votes.agreement(votes, votes[v, u])
        logits = logits + decoder.belongs(state[:, None], alike)[:, 0]
        offset, falloff = self.shape(clicked).unbind(1)
        far = functional.softplus(falloff)[:, None, None] * self._distance(points_px, logits)
        return logits + offset[:, None, None] - far, state

    @staticmethod
    def _distance(points_px: Tensor, like: Tensor) -> Tensor:
        """(K, 4h, 4w) squared distance to each click in units of 32 pixels."""
        v = torch.arange(like.shape[1], device=like.device) * 2 + 0.5
        u = torch.arange(like.shape[2], device=like.device) * 2 + 0.5
        du = (u[None] - points_px[:, :1]) / 32
        dv = (v[None] - points_px[:, 1:]) / 32
        return dv[:, :, None] ** 2 + du[:, None, :] ** 2
