"""What every reader does to a frame before it goes on: checking it, and making it smaller."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import PinholeCamera, PosedFrame, check_rigid

#: no robot's map is larger; a pose beyond it is a broken one, metres.
MAX_DISTANCE_M = 1e5
#: f32 depth beyond this is no sensor's, metres.
MAX_DEPTH_M = 1e4
#: no camera sees farther to the side than this many times ahead.
MAX_SLOPE = 1e3


def check_frame(frame: PosedFrame) -> PosedFrame:
    """The frame, if what its constructor could not see is right too; without depth where ignored.

    `PosedFrame` and `PinholeCamera` refuse wrong sizes, dtypes, NaN intrinsics and poses that are
    not rigid; here infinite or negative depth, absurd poses, stamps and principal points.

    Raises:
        ValueError: names what was expected and what came.
    """
    if frame.stamp_ns < 0:
        raise ValueError(f"stamp must be >= 0 ns, got {frame.stamp_ns}")
    camera = frame.camera
    if not (0 <= camera.cx < camera.width and 0 <= camera.cy < camera.height):
        raise ValueError(
            f"principal point must lie in the {camera.width}x{camera.height} image, "
            f"got ({camera.cx:.1f}, {camera.cy:.1f})"
        )
    check_view(camera, frame.world_from_camera)
    if frame.depth_m is not None:
        _check_depth(frame.depth_m)
    return _without_ignored_depth(frame)


def check_pose(world_from_camera: NDArray[np.float64]) -> None:
    """Raises ValueError unless a pose is rigid and lies within any robot's map."""
    check_rigid(world_from_camera)
    distance_m = float(np.linalg.norm(world_from_camera[:3, 3]))
    if distance_m > MAX_DISTANCE_M:
        raise ValueError(f"pose must lie within {MAX_DISTANCE_M:g} m, got {distance_m:g} m")


def check_view(camera: PinholeCamera, world_from_camera: NDArray[np.float64]) -> None:
    """Raises ValueError unless the rays through all pixels of a view can be followed in f32."""
    check_pose(world_from_camera)
    slope = max(
        *(abs(u - camera.cx) / camera.fx for u in (0, camera.width)),
        *(abs(v - camera.cy) / camera.fy for v in (0, camera.height)),
    )
    if slope > MAX_SLOPE:
        raise ValueError(
            f"rays of a camera must lead at most {MAX_SLOPE:g} m sideways per metre, "
            f"got {slope:g} m"
        )


def _without_ignored_depth(frame: PosedFrame) -> PosedFrame:
    if frame.depth_m is None or frame.ignored is None:
        return frame
    if not np.isfinite(frame.depth_m[frame.ignored]).any():
        return frame
    return replace(frame, depth_m=np.where(frame.ignored, np.float32(np.nan), frame.depth_m))


def _check_depth(depth_m: NDArray[np.float32]) -> None:
    """NaN compares false with everything, so that only wrong numbers are found."""
    wrong = (depth_m <= 0) | (depth_m > MAX_DEPTH_M)
    if wrong.any():
        raise ValueError(
            f"depth must be in (0, {MAX_DEPTH_M:g}] m or NaN, got {depth_m[wrong][0]} and "
            f"{int(wrong.sum())} such pixels"
        )


def resize_frame(frame: PosedFrame, width: int, height: int) -> PosedFrame:
    """The frame at another size: colour by area, depth by nearest pixel, camera to match.

    A pixel is ignored, and has no depth, if any part of it was.
    """
    if (width, height) == (frame.camera.width, frame.camera.height):
        return frame
    camera = frame.camera.scaled_to(width, height)
    smaller = width < frame.camera.width
    mode = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    rgb = np.asarray(cv2.resize(frame.rgb, (width, height), interpolation=mode), np.uint8)
    depth_m = None if frame.depth_m is None else resize_depth(frame.depth_m, width, height)
    resized = replace(frame, camera=camera, rgb=rgb, depth_m=depth_m, ignored=None)
    if frame.ignored is None:
        return resized
    shares = cv2.resize(frame.ignored.astype(np.float32), (width, height), interpolation=mode)
    return _without_ignored_depth(replace(resized, ignored=np.asarray(shares > 0)))


def resize_depth(depth_m: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """(height, width) of (H, W) f32 metres, the pixel that holds each output pixel's centre.

    Averages would invent surfaces.
    """
    rows = ((np.arange(height) + 0.5) * depth_m.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * depth_m.shape[1] / width).astype(int)
    return np.ascontiguousarray(depth_m[rows[:, None], columns])


def narrowed(frame: PosedFrame, max_width_px: int) -> PosedFrame:
    """The frame at `size_within` this width."""
    return resize_frame(frame, *size_within(frame.camera.width, frame.camera.height, max_width_px))


def size_within(width: int, height: int, max_width_px: int) -> tuple[int, int]:
    """The size with the same aspect and at most this width; 0 means no limit."""
    if max_width_px <= 0 or width <= max_width_px:
        return width, height
    return max_width_px, max(1, round(height * max_width_px / width))
