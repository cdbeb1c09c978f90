"""Fast answers to pointing: the masks of the few best views vote in 3D (`decoding.py` makes them).

They vote on the points of the surface at once, without training. What the map has told apart has a
vote too: things that hold the click are to the views one view more, which sees everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import nearest_points
from semantic_field_ros.models.base import Segmenter
from semantic_field_ros.queries.decoding import (
    Candidates,
    ClickView,
    DecodedView,
    WorldPrompts,
    decode_click,
)
from semantic_field_ros.semantics.base import Region
from semantic_field_ros.semantics.components import connected_components

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: rounds in which each view chooses among its masks by what the views agree on.
CONSENSUS_ROUNDS = 2
#: what the map has told apart weighs this much of all views together.
THINGS_SHARE = 1.0
#: a surface point belongs to the answer from this mean membership on.
MEMBER = 0.5


@dataclass(frozen=True)
class Agreement:
    """What several views say together.

    Attributes:
        scores: (N,) membership of surface points in [0, 1].
        chosen: (V,) the mask of each view that agrees best with the others.
        support: (V,) in [0, 1], how well it does: soft IoU.
    """

    scores: Floats
    chosen: tuple[int, ...]
    support: tuple[float, ...]


def click_scores(
    points: Floats,
    prompts: WorldPrompts,
    views: Sequence[ClickView],
    segmenter: Segmenter,
    most: int,
    things: Sequence[Region] = (),
) -> Floats:
    """(N,) membership in [0, 1] of (N, 3) surface points in what was clicked; all 0 = no view.

    Args:
        points: of the surface.
        prompts: the click.
        views: where it may be decoded.
        segmenter: whose decoder is used.
        most: views decoded.
        things: what the map has told apart.
    """
    return agree(
        points, prompts, decode_click(points, prompts, views, segmenter, most), things
    ).scores


def agree(
    points: Floats,
    prompts: WorldPrompts,
    decoded: Sequence[DecodedView],
    things: Sequence[Region] = (),
) -> Agreement:
    """Lets views choose among their masks until they agree; arguments as `click_scores`."""
    if not decoded:
        return Agreement(np.zeros(len(points), np.float32), (), ())
    candidates = [found.candidates for found in decoded]
    sight = sum(found.weight for found in candidates)
    known = _known_things(points, prompts, things, THINGS_SHARE * sight)
    candidates += [] if known is None else [known]
    chosen = [int(np.argmax(c.quality)) for c in candidates]
    votes = _Votes(len(points))
    for found, mask in zip(candidates, chosen, strict=True):
        votes.add(found, mask)
    support = [0.0] * len(candidates)
    for _ in range(CONSENSUS_ROUNDS):
        for i, found in enumerate(candidates):
            votes.add(found, chosen[i], sign=-1)
            chosen[i], support[i] = _choose(found, *votes.at(found.seen))
            votes.add(found, chosen[i])
    scores = votes.at(np.arange(len(points)))[0]
    return Agreement(scores, tuple(chosen[: len(decoded)]), tuple(support[: len(decoded)]))


def _known_things(
    points: Floats, prompts: WorldPrompts, things: Sequence[Region], weight: float
) -> Candidates | None:
    """The things that hold the positive points, as the masks of one more view.

    One that holds a negative point too is more than what is meant, and must not outvote it.
    """
    _, clicked = nearest_points(points, prompts.targets)
    _, refused = nearest_points(points, prompts.refused)
    holding = [
        thing
        for thing in things
        if np.isin(clicked, thing.indices).mean() > 0.5
        and not np.isin(refused, thing.indices).any()
    ]
    if not holding:
        return None
    inside = np.zeros((len(holding), len(points)), np.float32)
    for row, thing in zip(inside, holding, strict=True):
        row[thing.indices] = thing.point_scores
    quality = np.array([thing.score for thing in holding], np.float32)
    return Candidates(np.arange(len(points)), inside, quality, weight)


def clicked_part(points: Floats, scores: Floats, prompts: WorldPrompts, link_m: Floats) -> Ints:
    """Indices of the members that hang together with the positive points; (N,) `link_m`."""
    members = np.flatnonzero(scores > MEMBER)
    if len(members) == 0:
        return members
    labels = connected_components(points[members], link_m[members])
    distance_m, nearest = nearest_points(points[members], prompts.targets)
    near = distance_m <= distance_m.min() + 2 * link_m[members[nearest]]
    return members[np.isin(labels, labels[nearest[near]])]


class _Votes:
    """Memberships of N surface points, summed over views by sight and quality."""

    def __init__(self, count: int) -> None:
        self._inside, self._weight = np.zeros(count, np.float32), np.zeros(count, np.float32)

    def add(self, found: Candidates, mask: int, sign: int = 1) -> None:
        """Counts one mask of a view, or takes it back."""
        weight = sign * found.weight * max(float(found.quality[mask]), 1e-3)
        self._inside[found.seen] += weight * found.inside[mask]
        self._weight[found.seen] += weight

    def at(self, indices: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        """Mean membership at some points, and which of them any view has seen."""
        weight = self._weight[indices]
        known = weight > 1e-5
        return np.where(known, self._inside[indices] / np.maximum(weight, 1e-5), 0), known


def _choose(found: Candidates, others: Floats, known: NDArray[np.bool_]) -> tuple[int, float]:
    """The mask that agrees best with the other views, where they see too, and with its score.

    Its soft IoU with them comes along."""
    inside, others = found.inside[:, known], others[known]
    shared = np.minimum(inside, others).sum(axis=1)
    either = np.maximum(inside, others).sum(axis=1)
    agreement = shared / np.maximum(either, 1e-6)
    best = int(np.argmax(agreement + 0.5 * found.quality))
    return best, float(agreement[best])
