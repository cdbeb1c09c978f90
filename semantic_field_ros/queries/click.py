"""Answers to pointing: the segmenter's decoder on the few best views, and a vote in 3D.

Prompt lifting, the visibility filter and the view filter are those of SANeRF-HQ (section 3.2): a
click becomes world points, these are projected into other views, dropped where they are hidden,
and each view's decoder turns what is left into a 2D mask. Here the masks vote on the points of the
surface at once, without training. What the map has told apart already has a vote too: things that
hold the click are to the views one view more, which sees everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.models.base import Prompts, Segmenter
from semantic_field_ros.queries.components import connected_components
from semantic_field_ros.queries.visibility import visible_points
from semantic_field_ros.semantics.base import Region
from semantic_field_ros.types import PinholeCamera

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: a point farther than this from the surface points at nothing, in spacings of the surface.
REACH_SPACINGS = 20
#: rounds in which each view chooses among its masks by what the views agree on.
CONSENSUS_ROUNDS = 2
#: logits beyond this say no more.
LARGEST_LOGIT = 12.0
#: what the map has told apart weighs this much of all views together.
THINGS_SHARE = 1.0
#: a surface point belongs to the answer from this mean membership on.
MEMBER = 0.5


@dataclass(frozen=True)
class ClickView:
    """A view in which a click can be decoded.

    Attributes:
        keyframe_id: of the view.
        camera, world_from_camera: where it looks from.
        embedding: fetches the segmenter's (C, h, w) embedding of the view.
    """

    keyframe_id: int
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    embedding: Callable[[], NDArray[np.floating]]


@dataclass(frozen=True)
class WorldPrompts:
    """A click in the world.

    Attributes:
        points: (N, 3) on the surface.
        positive: (N,) at least one is.
        keyframe_id: in which it was clicked; None for a click in the world.
        pixels: (N, 2) of that keyframe; no lifting can miss there.
        box_px: (4,) drawn in that keyframe, or None.
    """

    points: Floats
    positive: NDArray[np.bool_]
    keyframe_id: int | None = None
    pixels: Floats | None = None
    box_px: Floats | None = None


@dataclass(frozen=True)
class _Candidates:
    """Masks of one view on the surface points that it sees.

    Attributes:
        seen: (V,) indices into the surface.
        inside: (K, V) membership in [0, 1].
        quality: (K,) predicted IoU.
        weight: how well the view sees the click.
    """

    seen: Ints
    inside: Floats
    quality: Floats
    weight: float


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
    candidates = [
        found
        for view, weight in _best_views(points, prompts, views, most)
        if (found := _decode(points, prompts, view, weight, segmenter)) is not None
    ]
    if not candidates:
        return np.zeros(len(points), np.float32)
    sight = sum(found.weight for found in candidates)
    known = _known_things(points, prompts, things, THINGS_SHARE * sight)
    candidates += [] if known is None else [known]
    chosen = [int(np.argmax(c.quality)) for c in candidates]
    votes = _Votes(len(points))
    for found, mask in zip(candidates, chosen, strict=True):
        votes.add(found, mask)
    for _ in range(CONSENSUS_ROUNDS):
        for i, found in enumerate(candidates):
            votes.add(found, chosen[i], sign=-1)
            chosen[i] = _choose(found, *votes.at(found.seen))
            votes.add(found, chosen[i])
    return votes.at(np.arange(len(points)))[0]


def settle_box(
    prompts: WorldPrompts, views: Sequence[ClickView], segmenter: Segmenter
) -> WorldPrompts:
    """Leaves out those positive points of a box that lie beside what the box means.

    The points spread over the middle of a box carry it into other views, and corners of a box are
    background. What it means is decoded in the view in which it was drawn.
    """
    own = [view for view in views if _is_own(prompts, view)]
    if prompts.box_px is None or prompts.pixels is None or not own:
        return prompts
    view = own[0]
    image_size = (view.camera.height, view.camera.width)
    drawn = Prompts(np.zeros((0, 2), np.float32), np.zeros(0, np.bool_), prompts.box_px)
    mask = segmenter.decode(view.embedding(), image_size, [drawn])[0].logits[0] > 0
    column, row = np.rint(prompts.pixels).astype(np.int64).T
    inside = mask[row.clip(0, image_size[0] - 1), column.clip(0, image_size[1] - 1)]
    kept = inside | ~prompts.positive
    if not (kept & prompts.positive).any():
        return prompts
    return replace(
        prompts,
        points=prompts.points[kept],
        positive=prompts.positive[kept],
        pixels=prompts.pixels[kept],
    )


def _known_things(
    points: Floats, prompts: WorldPrompts, things: Sequence[Region], weight: float
) -> _Candidates | None:
    """The things that hold the positive points, as the masks of one more view."""
    _, clicked = cKDTree(points).query(prompts.points[prompts.positive])
    holding = [t for t in things if np.isin(clicked, t.indices).mean() > 0.5]
    if not holding:
        return None
    inside = np.zeros((len(holding), len(points)), np.float32)
    for row, thing in zip(inside, holding, strict=True):
        row[thing.indices] = thing.point_scores
    quality = np.array([thing.score for thing in holding], np.float32)
    return _Candidates(np.arange(len(points)), inside, quality, weight)


def clicked_part(points: Floats, scores: Floats, prompts: WorldPrompts, link_m: Floats) -> Ints:
    """Indices of the members that hang together with the positive points; (N,) `link_m`."""
    members = np.flatnonzero(scores > MEMBER)
    if len(members) == 0:
        return members
    labels = connected_components(points[members], link_m[members])
    clicks = prompts.points[prompts.positive]
    distance_m, nearest = cKDTree(points[members]).query(clicks)
    near = distance_m <= distance_m.min() + 2 * link_m[members[nearest]]
    return members[np.isin(labels, labels[nearest[near]])]


def _best_views(
    points: Floats, prompts: WorldPrompts, views: Sequence[ClickView], most: int
) -> list[tuple[ClickView, float]]:
    """Views that see the positive points: that of the click, then near and central ones, spread
    over directions."""
    centre = prompts.points[prompts.positive].mean(axis=0)
    weighted = [(view, _sight(centre, view)) for view in views]
    weighted = [(view, weight) for view, weight in weighted if weight > 0]
    chosen: list[tuple[ClickView, float]] = []
    directions: list[NDArray[np.float64]] = []
    while weighted and len(chosen) < most:
        spread = [
            np.inf if _is_own(prompts, v) else w * (0.3 + _novelty(centre, v, directions))
            for v, w in weighted
        ]
        view, weight = weighted.pop(int(np.argmax(spread)))
        if _is_own(prompts, view) or _sees(points, prompts, view):
            chosen.append((view, weight))
            directions.append(_direction(centre, view))
    return chosen


def _is_own(prompts: WorldPrompts, view: ClickView) -> bool:
    """Whether it was this view that was clicked."""
    return prompts.pixels is not None and view.keyframe_id == prompts.keyframe_id


def _sight(centre: Floats, view: ClickView) -> float:
    """How well a view shows a point: 0 outside, more when near and away from the border."""
    pixel, depth_m = project(view.camera, view.world_from_camera, centre[None])
    if not inside_image(view.camera, pixel, depth_m)[0]:
        return 0.0
    size = np.array([view.camera.width, view.camera.height], np.float32)
    border = float(np.minimum(pixel[0], size - 1 - pixel[0]).min() / size.min())
    return min(1.0, 0.1 + 4 * border) / (0.3 + float(depth_m[0]))


def _direction(centre: Floats, view: ClickView) -> NDArray[np.float64]:
    towards = view.world_from_camera[:3, 3] - centre
    return towards / max(float(np.linalg.norm(towards)), 1e-9)


def _novelty(centre: Floats, view: ClickView, directions: Sequence[NDArray[np.float64]]) -> float:
    """0 where a chosen view already looks from, towards 1 at right angles and beyond."""
    if not directions:
        return 1.0
    closest = max(float(_direction(centre, view) @ other) for other in directions)
    return float(np.clip(1.0 - closest, 0.0, 1.0))


def _sees(points: Floats, prompts: WorldPrompts, view: ClickView) -> bool:
    return bool(_visible_prompts(points, prompts, view).any())


def _visible_prompts(points: Floats, prompts: WorldPrompts, view: ClickView) -> NDArray[np.bool_]:
    """(N,) positive prompts that nothing of the surface hides from the view."""
    everything = np.concatenate([points, prompts.points])
    seen, _ = visible_points(everything, view.camera, view.world_from_camera)
    visible = np.zeros(len(everything), np.bool_)
    visible[seen] = True
    return visible[len(points) :] & prompts.positive


def _decode(
    points: Floats, prompts: WorldPrompts, view: ClickView, weight: float, segmenter: Segmenter
) -> _Candidates | None:
    everything = np.concatenate([points, prompts.points])
    seen, pixel = visible_points(everything, view.camera, view.world_from_camera)
    prompted = seen >= len(points)
    asked, positive = pixel[prompted], prompts.positive[seen[prompted] - len(points)]
    box_px = None
    if prompts.pixels is not None and _is_own(prompts, view):
        asked, positive, box_px = prompts.pixels, prompts.positive, prompts.box_px
    if not positive.any():
        return None
    image_size = (view.camera.height, view.camera.width)
    question = Prompts(asked, positive, box_px)
    masks = segmenter.decode(view.embedding(), image_size, [question])[0]
    seen, pixel = seen[~prompted], np.rint(pixel[~prompted]).astype(np.int64)
    column = np.clip(pixel[:, 0], 0, image_size[1] - 1)
    row = np.clip(pixel[:, 1], 0, image_size[0] - 1)
    logits = np.clip(masks.logits[:, row, column], -LARGEST_LOGIT, LARGEST_LOGIT)
    inside = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return _Candidates(seen, inside, masks.scores, weight)


class _Votes:
    """Memberships of N surface points, summed over views by sight and quality."""

    def __init__(self, count: int) -> None:
        self._inside, self._weight = np.zeros(count, np.float32), np.zeros(count, np.float32)

    def add(self, found: _Candidates, mask: int, sign: int = 1) -> None:
        """Counts one mask of a view, or takes it back."""
        weight = sign * found.weight * max(float(found.quality[mask]), 1e-3)
        self._inside[found.seen] += weight * found.inside[mask]
        self._weight[found.seen] += weight

    def at(self, indices: Ints) -> tuple[Floats, NDArray[np.bool_]]:
        """Mean membership at some points, and which of them any view has seen."""
        weight = self._weight[indices]
        known = weight > 1e-5
        return np.where(known, self._inside[indices] / np.maximum(weight, 1e-5), 0), known


def _choose(found: _Candidates, others: Floats, known: NDArray[np.bool_]) -> int:
    """The mask that agrees best with the other views, where they see too, and with its score."""
    inside, others = found.inside[:, known], others[known]
    shared = np.minimum(inside, others).sum(axis=1)
    either = np.maximum(inside, others).sum(axis=1)
    agreement = shared / np.maximum(either, 1e-6)
    return int(np.argmax(agreement + 0.5 * found.quality))
