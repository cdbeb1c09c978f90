"""Fast answers to pointing: the masks of the few best views vote in 3D (`decoding.py` makes them).

They vote on the points of the surface at once, without training. What the map has told apart has a
vote too, the more it is what the views say: it knows the sides that they do not see. But where the
map takes a thing for a part of another, the views must not follow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from semantic_field_ros.semantics.outlines import UNKNOWN

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: rounds in which each view chooses among its masks by what the views agree on.
CONSENSUS_ROUNDS = 2
#: a mask's predicted IoU counts this much beside its agreement with others.
QUALITY_SHARE = 0.5


@dataclass(frozen=True)
class Agreement:
    """What several views say together.

    Attributes:
        scores: (N,) membership of surface points in [0, 1], at least `UNKNOWN` where no view
            looked: that the map gives a point to no thing does not say much.
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

    It is `UNKNOWN` where neither a view nor the map says anything.

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
    """Lets views choose among their masks until they agree; arguments as `click_scores`.

    They start from their best masks, and once more from each thing of the map that holds the
    click; what fits best together is the answer. The thing most like it joins the views, as heavy
    as all of them times the square of the likeness: alike by a third should hardly count.
    """
    if not decoded:
        return Agreement(np.zeros(len(points), np.float32), (), ())
    views = [found.candidates for found in decoded]
    known = _known_things(points, prompts, things)
    readings = [_read(len(points), views, known, start) for start in _starts(views, known)]
    best = max(readings, key=lambda reading: reading.harmony)
    everything = np.arange(len(points))
    _, looked_at = best.votes.at(everything)
    if known is not None:
        sight = sum(view.weight for view in views)
        best.votes.add(replace(known, weight=sight * best.likeness**2), best.thing)
    scores, _ = best.votes.at(everything)
    scores[~looked_at] = np.maximum(scores[~looked_at], UNKNOWN)
    return Agreement(scores, tuple(best.chosen), tuple(best.support))


def raw_scores(points: Floats, decoded: Sequence[DecodedView]) -> Floats:
    """(N,) membership in [0, 1] of (N, 3) surface points: each view's best mask as it is, voting.

    What agreement adds is measured against it.
    """
    votes = _Votes(len(points))
    for found in decoded:
        votes.add(found.candidates, int(np.argmax(found.candidates.quality)))
    scores, looked_at = votes.at(np.arange(len(points)))
    return np.where(looked_at, scores, np.float32(UNKNOWN if decoded else 0.0))


@dataclass(frozen=True)
class _Reading:
    """One way to understand a click.

    Attributes:
        votes: of the views.
        chosen, support: see `Agreement`.
        thing, likeness: of the map, most like what the views say, and its soft IoU with that.
        harmony: how well all of it fits together; the thing is one voice among the views'.
    """

    votes: _Votes
    chosen: list[int]
    support: list[float]
    thing: int
    likeness: float
    harmony: float


def _starts(views: Sequence[Candidates], known: Candidates | None) -> list[tuple[int, ...]]:
    """The best mask of each view, and for each thing the masks most like it; none twice."""
    starts = [tuple(int(np.argmax(view.quality)) for view in views)]
    for thing in () if known is None else known.inside:
        like = (_choose(v, thing[v.seen], np.ones(len(v.seen), np.bool_))[0] for v in views)
        starts.append(tuple(like))
    return list(dict.fromkeys(starts))


def _read(
    count: int, views: Sequence[Candidates], known: Candidates | None, start: tuple[int, ...]
) -> _Reading:
    """Where V views end that start from these (V,) masks, on N = `count` surface points."""
    votes, chosen, support = _Votes(count), list(start), [0.0] * len(views)
    for view, mask in zip(views, chosen, strict=True):
        votes.add(view, mask)
    for _ in range(CONSENSUS_ROUNDS):
        for i, view in enumerate(views):
            votes.add(view, chosen[i], sign=-1)
            chosen[i], support[i] = _choose(view, *votes.at(view.seen))
            votes.add(view, chosen[i])
    quality = np.mean([view.quality[mask] for view, mask in zip(views, chosen, strict=True)])
    thing, likeness = (0, 0.0) if known is None else _choose(known, *votes.at(known.seen))
    harmony = float(np.mean([*support, likeness]) + QUALITY_SHARE * quality)
    return _Reading(votes, chosen, support, thing, likeness, harmony)


def _known_things(
    points: Floats, prompts: WorldPrompts, things: Sequence[Region]
) -> Candidates | None:
    """The things that hold the positive points, as the masks of a view that sees everything.

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
    return Candidates(np.arange(len(points)), inside, quality, weight=1.0)


def clicked_part(points: Floats, members: Ints, prompts: WorldPrompts, link_m: Floats) -> Ints:
    """Those of (M,) members of the surface that hang together with the positive points.

    Args:
        points: (N, 3) of the surface.
        members: indices of points.
        prompts: the click.
        link_m: (N,) how far each point reaches, metres.
    """
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
        """Mean membership at some points, 0 where no view has seen them, and where one has."""
        weight = self._weight[indices]
        known = weight > 1e-5
        return np.where(known, self._inside[indices] / np.maximum(weight, 1e-5), 0), known


def _choose(found: Candidates, others: Floats, known: NDArray[np.bool_]) -> tuple[int, float]:
    """The mask that agrees best with the other views, where they see too, and with its score.

    Its soft IoU with them comes along, 1 where no other view says anything.
    """
    if not known.any():
        return int(np.argmax(found.quality)), 1.0
    shared = np.minimum(found.inside, others).sum(axis=1)  # others are 0 where nobody sees
    either = found.inside @ known.astype(np.float32) + others.sum() - shared
    agreement = shared / np.maximum(either, 1e-6)
    best = int(np.argmax(agreement + QUALITY_SHARE * found.quality))
    return best, float(agreement[best])
