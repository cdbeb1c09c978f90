"""Where each pixel believes the middle of its thing to be, for telling alike neighbours apart.

An embedding learns soon what a pixel looks like and late which of two red mugs it belongs to.
Voting for the middle of one's thing (Neven et al. 2019, "Instance Segmentation by Jointly
Optimizing Spatial Embeddings") is learnt from every pixel at once, and two pixels belong together
if they vote for the same place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

#: votes and distances are counted in units of this many input pixels.
UNIT_PX = 32.0
#: input pixels between votes, and between cells of the embedding.
VOTE_PX, CELL_PX = 2, 8
#: radii within which votes agree, input pixels.
RADII_PX = (4.0, 8.0, 20.0)
#: what agrees less does not agree; a CPU is twenty times slower where powers vanish in rounding.
LEAST_EXPONENT = -60.0
#: votes reach no farther than this, in units.
LONGEST = 4.0
#: how sharply a prompt's position picks the cell under it.
SHARPNESS = 24.0


class CentreVotes(nn.Module):
    """Votes read from an embedding, and how well they agree with the one at a prompt.

    Args:
        dim: channels of the embedding.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        votes = (CELL_PX // VOTE_PX) ** 2
        last = nn.Linear(dim, 2 * votes)
        nn.init.normal_(last.weight, std=0.01)
        self.offsets = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), last)

    @property
    def channels(self) -> int:
        """Of `agreement`."""
        return len(RADII_PX) + 1

    def forward(self, embedding: Tensor) -> Tensor:
        """(4h, 4w, 2) voted (u, v) of an f32 (C, h, w) embedding, in units from the corner."""
        side = CELL_PX // VOTE_PX
        height, width = embedding.shape[-2:]
        offsets = self.offsets(embedding.flatten(1).T).unflatten(1, (side, side, 2))
        offsets = offsets.unflatten(0, (height, width)).permute(0, 2, 1, 3, 4)
        return positions(height * side, width * side, embedding.device) + offsets.reshape(
            height * side, width * side, 2
        )

    def agreement(self, votes: Tensor, at: Tensor) -> Tensor:
        """(P, 4, 4h, 4w) Gaussians of the distance between votes and those at P prompts.

        Args:
            votes: (4h, 4w, 2).
            at: (P, 2) the vote at each prompt.

        The last channel is constant.
        """
        squared = (votes[None] - at[:, None, None]).square().sum(-1)
        radii = squared.new_tensor(RADII_PX) / UNIT_PX
        exponent = -0.5 * squared[:, None] / radii[:, None, None].square()
        near = torch.exp(exponent.clamp(min=LEAST_EXPONENT))
        return torch.cat([near, torch.ones_like(near[:, :1])], dim=1)

    @staticmethod
    def at_prompts(votes: Tensor, sparse: Tensor, cells: Tensor) -> Tensor:
        """(P, 2) votes of the cells under the first of each prompt's points.

        Args:
            votes: (4h, 4w, 2).
            sparse: (P, N, C) prompts; random Fourier features of their places, plus their kind.
            cells: (C, h, w) the same features of the cells.
        """
        side = CELL_PX // VOTE_PX
        mean = functional.avg_pool2d(votes.permute(2, 0, 1)[None], side)[0]
        likeness = sparse[:, 0].float() @ cells.float().flatten(1) / (0.5 * cells.shape[0])
        return (SHARPNESS * likeness).softmax(-1) @ mean.flatten(1).T


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """(height, width, 2) middles (u, v) of vote pixels, in units."""
    scale = VOTE_PX / UNIT_PX
    v, u = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return (torch.stack([u, v], dim=-1) + 0.5) * scale


def vote_loss(votes: Tensor, instance: Tensor, objects: Tensor) -> Tensor:
    """Huber loss of the votes against the mean place of each instance's visible pixels.

    An object counts by the root of its size, lest the large ones rule; what is none counts little.

    Args:
        votes: (H / 2, W / 2, 2) in units.
        instance: (H, W) i32; 0 is not supervised.
        objects: (O,) ids that are objects.
    """
    ids, index = torch.unique(instance[::VOTE_PX, ::VOTE_PX], return_inverse=True)
    where = positions(index.shape[0], index.shape[1], votes.device)
    index = index.flatten()
    count = torch.bincount(index, minlength=len(ids)).clamp(min=1)
    middle = where.new_zeros(len(ids), 2).index_add_(0, index, where.flatten(0, 1))
    offset = (middle / count[:, None])[index] - where.flatten(0, 1)
    wanted = where.flatten(0, 1) + offset.clamp(-LONGEST, LONGEST)
    importance = torch.where(torch.isin(ids, objects), 1.0, 0.1) * (ids != 0)
    weight = (importance / count.sqrt())[index]
    loss = functional.smooth_l1_loss(votes.flatten(0, 1), wanted, beta=0.1, reduction="none")
    return (loss.sum(1) * weight).sum() / weight.sum().clamp(min=1e-6)
