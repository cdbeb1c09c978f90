"""An answer painted into a camera image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.ros.answers import PALETTE
from semantic_field_ros.types import Mask3D, PosedFrame

#: A point farther than this behind what the camera sees is hidden, metres and share of the depth.
_HIDDEN_M, _HIDDEN_SHARE = 0.03, 0.02
_OPACITY = 0.55
#: So many points of a thing tell which keyframe shows it; a newer one may show this share of them.
_MOST_POINTS, _NEARLY = 256, 0.95


def frame_showing(field: Any, points: NDArray[np.float32]) -> PosedFrame | None:
    """The newest keyframe that shows (N, 3) world points about as well as any, if one does.

    Args:
        field: the `SemanticField`.
        points: of one thing, metres.
    """
    some = points[:: 1 + len(points) // _MOST_POINTS]
    ids = [view.keyframe_id for view in reversed(field.keyframes())]
    # One after another, for all at once may be large.
    seen = map(field.keyframe, ids)
    shown = [0 if each is None else len(_visible(each, some)[0]) for each in seen]
    if max(shown, default=0) == 0:
        return None
    enough = _NEARLY * max(shown)
    newest = next(i for i, count in zip(ids, shown, strict=True) if count >= enough)
    frame: PosedFrame | None = field.keyframe(newest)
    return frame


def paint_masks(frame: PosedFrame, masks: list[Mask3D]) -> NDArray[np.uint8]:
    """(H, W, 3) u8: the frame with the visible points of each mask in its colour, best on top.

    A dark line around a light one is the edge of each: a thing may have the colour of its mask.
    """
    picture = frame.rgb.copy()
    side = 2 * (frame.camera.width // 400) + 3
    around = np.ones((side, side), np.uint8)
    for index in reversed(range(len(masks))):
        covered = visible_pixels(frame, masks[index].points)
        colour = PALETTE[index % len(PALETTE)].astype(np.float32)
        mixed = (1 - _OPACITY) * picture[covered] + _OPACITY * colour
        picture[covered] = mixed.astype(np.uint8)
        mask = covered.astype(np.uint8)
        picture[cv2.dilate(mask, around) > mask] = 0
        picture[cv2.erode(mask, around) < mask] = 255
    return picture


def visible_pixels(frame: PosedFrame, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W) bool: pixels that (N, 3) world points fall on, holes between them closed."""
    column, row = _visible(frame, points)
    covered = np.zeros(frame.rgb.shape[:2], np.uint8)
    covered[row, column] = 1
    side = 2 * (frame.camera.width // 160) + 1
    closed = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((side + 2, side + 2), np.uint8))
    return np.asarray(closed, np.bool_)


def _visible(
    frame: PosedFrame, points: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows where the frame shows those of (N, 3) world points that it does show."""
    pixel, depth_m = project(frame.camera, frame.world_from_camera, points)
    inside = inside_image(frame.camera, pixel, depth_m)
    column, row = np.rint(pixel[inside]).astype(np.int64).T
    depth_m = depth_m[inside]
    if frame.depth_m is not None:
        # NaN compares false: where the camera knows no depth nothing is hidden.
        hidden = depth_m > frame.depth_m[row, column] * (1 + _HIDDEN_SHARE) + _HIDDEN_M
        column, row = column[~hidden], row[~hidden]
    return column, row
