"""A click in the views that see it: lifted prompts, visibility filter, decoded masks.

Prompt lifting, the visibility filter and the view filter are those of SANeRF-HQ (section 3.2): a
click becomes world points, these are projected into other views, dropped where they are hidden,
and each view's decoder turns what is left into 2D masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.models.base import Prompts, Segmenter
from semantic_field_ros.queries.visibility import visible_points
from semantic_field_ros.types import FrameFeatures, PinholeCamera

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: logits beyond this say no more.
LARGEST_LOGIT = 12.0
#: a surface point is seen where the measured depth is at most this far from it, metres, plus a
#: share of its depth.
NEAR_M, NEAR_SHARE = 0.01, 0.01
#: a pixel without depth is amid an area without, if most of a square with this side around it is.
AREA_PX = 9
#: a view that sees less than this share of what was clicked is left out.
LEAST_VISIBLE = 0.25


@dataclass(frozen=True)
class ClickView:
    """A view in which a click can be decoded.

    Attributes:
        keyframe_id: of the view.
        camera, world_from_camera: where it looks from.
        embedding: fetches the segmenter's (C, h, w) embedding of the view.
        depth_m: fetches the measured (H, W) depth of the view, None where there is none.
        ignored: fetches the (H, W) pixels of the view that count for nothing, None = none.
    """

    keyframe_id: int
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    embedding: Callable[[], NDArray[np.floating]]
    depth_m: Callable[[], Floats | None] = lambda: None
    ignored: Callable[[], NDArray[np.bool_] | None] = lambda: None

    def counts(self, pixel: Floats) -> NDArray[np.bool_]:
        """(N,) which of (N, 2) pixels are not ignored."""
        ignored = self.ignored()
        if ignored is None:
            return np.ones(len(pixel), np.bool_)
        column, row = _nearest_pixels(pixel, self.camera)
        return np.asarray(~ignored[row, column])


def cached_view(view: KeyframeView, features: FrameFeatures, memory: ReplayMemory) -> ClickView:
    """A keyframe that holds on to its features, for it may be evicted before it is decoded."""

    def depth_m() -> Floats | None:
        keyframe = memory.get(view.keyframe_id)
        return None if keyframe is None else keyframe.frame.depth_m

    return ClickView(
        view.keyframe_id,
        view.camera,
        view.world_from_camera,
        lambda: features.embedding,
        depth_m,
        lambda: memory.ignored(view.keyframe_id),
    )


@dataclass(frozen=True)
class WorldPrompts:
    """A click in the world.

    Attributes:
        points: (N, 3) on the surface; NaN for what was clicked beside it.
        positive: (N,) at least one on the surface is.
        keyframe_id: in which it was clicked; None for a click in the world.
        pixels: (N, 2) of that keyframe; no lifting can miss there.
        box_px: (4,) drawn in that keyframe, or None.
        boxed: so many of the points, the last ones, were not clicked but stand for the box.
    """

    points: Floats
    positive: NDArray[np.bool_]
    keyframe_id: int | None = None
    pixels: Floats | None = None
    box_px: Floats | None = None
    boxed: int = 0

    @property
    def targets(self) -> Floats:
        """(P, 3) positive points on the surface."""
        return self.points[self.positive & np.isfinite(self.points).all(axis=1)]

    @property
    def refused(self) -> Floats:
        """(P, 3) negative points on the surface."""
        return self.points[~self.positive & np.isfinite(self.points).all(axis=1)]


@dataclass(frozen=True)
class Candidates:
    """Masks, among which one is right, on the surface points that were seen.

    Attributes:
        seen: (V,) indices into the surface.
        inside: (K, V) membership in [0, 1].
        quality: (K,) predicted IoU.
        weight: how well the click was seen.
    """

    seen: Ints
    inside: Floats
    quality: Floats
    weight: float


@dataclass(frozen=True)
class DecodedView:
    """What the decoder made of a click in one view.

    Attributes:
        view: it.
        logits: (K, H, W) f16 of its masks, > 0 is inside.
        candidates: the same masks on the surface.
    """

    view: ClickView
    logits: NDArray[np.float16]
    candidates: Candidates


def decode_click(
    points: Floats,
    prompts: WorldPrompts,
    views: Sequence[ClickView],
    segmenter: Segmenter,
    most: int,
) -> list[DecodedView]:
    """Decodes a click in the views that see it best.

    Args:
        points: (N, 3) surface.
        prompts: the click.
        views: where it may be decoded.
        segmenter: whose decoder is used.
        most: views decoded.
    """
    return [
        decoded
        for view, weight in _best_views(points, prompts, views, most)
        if (decoded := _decode(points, prompts, view, weight, segmenter)) is not None
    ]


def decode_again(
    points: Floats,
    members: NDArray[np.bool_],
    decoded: Sequence[DecodedView],
    segmenter: Segmenter,
) -> list[DecodedView]:
    """Adds masks of a second click in each view, in the middle of what it sees of the answer.

    A click that a view sees at the edge of the thing, or nearly hidden, is decoded badly. What
    the views agree on so far knows better places.

    Args:
        points: (N, 3) surface.
        members: (N,) what belongs to the answer so far.
        decoded: from `decode_click`.
        segmenter: whose decoder is used.
    """
    return [_decode_middle(points, members, found, segmenter) for found in decoded]


def settle_box(
    prompts: WorldPrompts, views: Sequence[ClickView], segmenter: Segmenter
) -> WorldPrompts:
    """Leaves out those points that stand for a box and lie beside what the box means.

    The points spread over the middle of a box carry it into other views, and corners of a box are
    background. What it means is decoded in the view in which it was drawn. Points that were
    clicked beside the box stay: somebody meant them.
    """
    own = [view for view in views if _is_own(prompts, view)]
    if prompts.box_px is None or prompts.pixels is None or not own:
        return prompts
    view = own[0]
    image_size = (view.camera.height, view.camera.width)
    drawn = Prompts(np.zeros((0, 2), np.float32), np.zeros(0, np.bool_), prompts.box_px)
    mask = segmenter.decode(view.embedding(), image_size, [drawn])[0].logits[0] > 0
    column, row = np.rint(prompts.pixels).astype(np.int64).T
    kept = mask[row.clip(0, image_size[0] - 1), column.clip(0, image_size[1] - 1)]
    clicked = len(kept) - prompts.boxed
    kept[:clicked] = True
    settled = replace(
        prompts,
        points=prompts.points[kept],
        positive=prompts.positive[kept],
        pixels=prompts.pixels[kept],
        boxed=int(kept[clicked:].sum()),
    )
    return settled if len(settled.targets) else prompts


def _best_views(
    points: Floats, prompts: WorldPrompts, views: Sequence[ClickView], most: int
) -> list[tuple[ClickView, float]]:
    """Views that see the positive points: that of the click, then near and central ones, spread
    over directions."""
    centre = prompts.targets.mean(axis=0)
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
    """Whether enough of the positive points are visible (view filter of SANeRF-HQ)."""
    everything = np.concatenate([points, prompts.targets])
    seen, _ = visible_points(everything, view.camera, view.world_from_camera)
    visible = int(np.count_nonzero(seen >= len(points)))
    return visible >= max(1.0, LEAST_VISIBLE * len(prompts.targets))


def _decode(
    points: Floats, prompts: WorldPrompts, view: ClickView, weight: float, segmenter: Segmenter
) -> DecodedView | None:
    everything = np.concatenate([points, prompts.points])
    seen, pixel = visible_points(everything, view.camera, view.world_from_camera)
    counted = view.counts(pixel)
    seen, pixel = seen[counted], pixel[counted]
    prompted = seen >= len(points)
    asked, positive = pixel[prompted], prompts.positive[seen[prompted] - len(points)]
    box_px = None
    if prompts.pixels is not None and _is_own(prompts, view):
        asked, positive, box_px = prompts.pixels, prompts.positive, prompts.box_px
    if not positive.any():
        return None
    logits, quality = _masks(view, Prompts(asked, positive, box_px), segmenter)
    seen, pixel = seen[~prompted], pixel[~prompted]
    there = _measured_there(points[seen], pixel, view)
    seen, inside = seen[there], _inside(pixel[there], view, logits)
    return DecodedView(view, logits, Candidates(seen, inside, quality, weight))


def _decode_middle(
    points: Floats, members: NDArray[np.bool_], found: DecodedView, segmenter: Segmenter
) -> DecodedView:
    """A view with the masks of one more click in the middle of the members that it sees."""
    before, view = found.candidates, found.view
    visible = members[before.seen]
    if not visible.any():
        return found
    pixel, _ = project(view.camera, view.world_from_camera, points[before.seen])
    own = pixel[visible]
    middle = own[np.argmin(np.linalg.norm(own - np.median(own, axis=0), axis=1))]
    logits, quality = _masks(view, Prompts.click(*middle), segmenter)
    more = Candidates(
        before.seen,
        np.concatenate([before.inside, _inside(pixel, view, logits)]),
        np.concatenate([before.quality, quality]),
        before.weight,
    )
    return DecodedView(view, np.concatenate([found.logits, logits]), more)


def _masks(
    view: ClickView, question: Prompts, segmenter: Segmenter
) -> tuple[NDArray[np.float16], Floats]:
    """(K, H, W) logits and (K,) predicted IoU."""
    image_size = (view.camera.height, view.camera.width)
    masks = segmenter.decode(view.embedding(), image_size, [question])[0]
    logits = np.clip(masks.logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return logits.astype(np.float16), masks.scores


def _inside(pixel: Floats, view: ClickView, logits: NDArray[np.float16]) -> Floats:
    """(K, V) membership in masks of the points at (V, 2) pixels of a view."""
    column, row = _nearest_pixels(pixel, view.camera)
    return np.asarray(expit(logits[:, row, column].astype(np.float32)))


def _measured_there(points: Floats, pixel: Floats, view: ClickView) -> NDArray[np.bool_]:
    """Which of (V, 3) visible surface points the view's sensor measured where they are.

    The surface alone hides too little: its points are sparse, and what lies just behind the
    outline of a thing would be counted as seen through it. It has to do where the sensor measures
    nothing at all, as on gloss; outlines without depth are too thin for that.
    """
    measured_m = view.depth_m()
    if measured_m is None:
        return np.ones(len(points), np.bool_)
    depth_m = (points - view.world_from_camera[:3, 3]) @ view.world_from_camera[:3, 2]
    column, row = _nearest_pixels(pixel, view.camera)
    with np.errstate(invalid="ignore"):
        there = np.abs(measured_m[row, column] - depth_m) < NEAR_M + NEAR_SHARE * depth_m
    return np.asarray(there | _amid_unmeasured(measured_m)[row, column])


def _amid_unmeasured(depth_m: Floats) -> NDArray[np.bool_]:
    """(H, W) pixels without depth in an area that has hardly any."""
    unknown = ~np.isfinite(depth_m)
    share = cv2.blur(unknown.astype(np.float32), (AREA_PX, AREA_PX))
    return np.asarray(unknown & (share > 0.5))


def _nearest_pixels(pixel: Floats, camera: PinholeCamera) -> tuple[Ints, Ints]:
    """Columns and rows."""
    nearest = np.rint(pixel).astype(np.int64)
    last = np.array([camera.width - 1, camera.height - 1])
    column, row = np.clip(nearest, 0, last).T
    return column, row
