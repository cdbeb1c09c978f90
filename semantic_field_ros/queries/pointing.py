"""From a click, in an image or in the world, to points on the surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import nearest_points, unproject
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.keyframes.passing import PassingView
from semantic_field_ros.models.base import upright
from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.queries.decoding import WorldPrompts
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Keyframe

Floats = NDArray[np.float32]

#: a point farther than this from the surface points at nothing, in spacings of the surface.
REACH_SPACINGS = 20
#: an image whose stamp is farther than this from all that are known was taken from elsewhere.
MOST_AWAY_NS = 200_000_000
#: a box is asked as this many points a side.
BOX_STEPS = 3


def lift_click(
    snapshot: Snapshot,
    query: ClickQuery,
    memory: ReplayMemory,
    scales: Mapping[str, float],
) -> WorldPrompts | str:
    """The click as points on the surface, or why it is none.

    Args:
        snapshot: of the map.
        query: the click.
        memory: all keyframes, and where the newest frames were taken.
        scales: width of a camera's keyframes by that of its images; 1 where it is not named.
    """
    view, pixels, scale = None, None, 1.0
    if query.points_world is not None:
        points = np.asarray(query.points_world, np.float32).reshape(-1, 3)
        if not np.isfinite(points).all():
            return "a click must be finite, got NaN or Inf"
    else:
        found = _view_of(query, memory)
        if isinstance(found, str):
            return found
        keyframe = None
        if isinstance(found, KeyframeView):
            view, keyframe = found, memory.get(found.keyframe_id)
            scale = 1.0 if query.keyframe_id is not None else scales.get(found.camera_name, 1.0)
        pixels = _pixels(query, scale)
        lifted = _lift_pixels(snapshot, found, pixels, keyframe)
        if isinstance(lifted, str):
            return lifted
        points = lifted
    positive = _positive(query, len(points))
    if len(positive) != len(points) or not positive.any():
        return f"a click needs a positive point, got {int(positive.sum())} of {len(points)}"
    if not np.isfinite(points[positive]).any():
        return "the map is empty where the click points"
    distance_m, nearest = nearest_points(snapshot.surface.points, points)
    reach_m = REACH_SPACINGS * snapshot.surface.spacing_m[nearest]
    near = distance_m <= reach_m
    if not near[positive].any():
        return f"nothing within {reach_m[positive].max():.2f} m of the click"
    # The nearest surface of a point far from it may be the very thing that is not meant.
    on_surface = np.where(near[:, None], snapshot.surface.points[nearest], np.float32(np.nan))
    if view is None:
        return WorldPrompts(on_surface, positive)
    if query.box_px is None:
        return WorldPrompts(on_surface, positive, view.keyframe_id, pixels)
    box_px = _scaled(upright(query.box_px), scale)
    return WorldPrompts(on_surface, positive, view.keyframe_id, pixels, box_px, BOX_STEPS**2)


def nearest_view(query: ClickQuery, views: Sequence[KeyframeView]) -> KeyframeView | None:
    """The keyframe whose image a click means, None if none is held.

    `views` come oldest first: in the order in which they arrived, for stamps can start anew.
    """
    if query.keyframe_id is not None:
        return next((v for v in views if v.keyframe_id == query.keyframe_id), None)
    named = [v for v in views if not query.camera_name or v.camera_name == query.camera_name]
    if not query.stamp_ns:
        return named[-1] if named else None
    return min(named, key=lambda view: abs(view.stamp_ns - query.stamp_ns), default=None)


def _view_of(query: ClickQuery, memory: ReplayMemory) -> KeyframeView | PassingView | str:
    """Where the image that a click means was taken, or why that is not known.

    Between keyframes a camera may have looked anywhere that other keyframes show already, so the
    keyframe that is next in time says nothing of an image that is none. A box is decoded in the
    image itself, which keyframes alone have.
    """
    kept = nearest_view(query, memory.views())
    if query.keyframe_id is not None and kept is None:
        return f"keyframe {query.keyframe_id} is no longer held"
    if kept is not None and (query.keyframe_id is not None or not query.stamp_ns):
        return kept
    views: list[KeyframeView | PassingView] = [] if kept is None else [kept]
    if query.box_px is None:
        views += memory.passing.of(query.camera_name)
    if not views:
        return f"no keyframe of camera {query.camera_name!r}"
    best = min(views, key=lambda view: abs(view.stamp_ns - query.stamp_ns))
    away_ns = abs(best.stamp_ns - query.stamp_ns)
    if away_ns > MOST_AWAY_NS:
        what = "keyframe" if query.box_px is not None else "image"
        camera = f" of camera {query.camera_name!r}" if query.camera_name else ""
        return (
            f"where the clicked image was taken is not known: the nearest {what}{camera} is "
            f"{away_ns * 1e-9:.2f} s away"
        )
    return best


def _pixels(query: ClickQuery, scale: float) -> Floats:
    """(N, 2) keyframe pixels that a click names, those in its box after its points."""
    pixels = np.zeros((0, 2), np.float32)
    if query.pixels is not None:
        pixels = np.asarray(query.pixels, np.float32).reshape(-1, 2)
    if query.box_px is not None:
        pixels = np.concatenate([pixels, _points_of_box(query.box_px)])
    return _scaled(pixels, scale)


def _scaled(pixels: Floats, scale: float) -> Floats:
    """Pixels of an image of `scale` times the size."""
    return ((pixels + 0.5) * scale - 0.5).astype(np.float32)


def _points_of_box(box_px: Floats) -> Floats:
    """(BOX_STEPS², 2) pixels spread over the middle of a box."""
    u_min, v_min, u_max, v_max = np.asarray(box_px, np.float32)
    share = (np.arange(BOX_STEPS, dtype=np.float32) + 1) / (BOX_STEPS + 1)
    u, v = np.meshgrid(u_min + share * (u_max - u_min), v_min + share * (v_max - v_min))
    return np.stack([u.ravel(), v.ravel()], axis=1)


def _lift_pixels(
    snapshot: Snapshot,
    view: KeyframeView | PassingView,
    pixels: Floats,
    keyframe: Keyframe | None,
) -> Floats | str:
    """p = world_from_camera · D·K⁻¹·[u v 1]ᵀ (SANeRF-HQ, 3.2); NaN where D is not known.

    D is what the sensor measured there; where it did not, the rendered depth, which a young map
    draws between the thing and what is behind it.
    """
    size = np.array([view.camera.width, view.camera.height])
    if len(pixels) == 0 or not ((pixels >= -0.5) & (pixels <= size - 0.5)).all():
        return f"a click must lie inside {size[0]}x{size[1]} pixels, got {pixels.tolist()}"
    column, row = np.rint(pixels).astype(np.int64).clip(0, size - 1).T
    ignored = None if keyframe is None else keyframe.frame.ignored
    if ignored is not None and ignored[row, column].all():
        return "the click lies on what is ignored in this image (the robot itself, people)"
    depth_m = snapshot.depth_at(view.camera, view.world_from_camera, pixels)
    if keyframe is not None and keyframe.frame.depth_m is not None:
        measured_m = keyframe.frame.depth_m[row, column]
        depth_m = np.where(np.isfinite(measured_m), measured_m, depth_m)
    return unproject(view.camera, view.world_from_camera, pixels, depth_m)


def _positive(query: ClickQuery, count: int) -> NDArray[np.bool_]:
    """Which points are positive: as the query says, and all that stand for a box."""
    if query.positive is None:
        return np.ones(count, np.bool_)
    said = np.asarray(query.positive, np.bool_)
    if query.points_world is not None:
        return said
    boxed = 0 if query.box_px is None else BOX_STEPS**2
    return np.concatenate([said, np.ones(boxed, np.bool_)])
