"""Writing frames as a folder that every reader of the 7-Scenes layout understands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from semantic_field_ros.stream.base import RATE_HZ, number_of
from semantic_field_ros.stream.seven_scenes import INTRINSICS
from semantic_field_ros.types import PosedFrame


def write_folder(folder: Path, frames: Iterable[PosedFrame]) -> int:
    """Writes frames of one camera; frame N is the one stamped (N + 1) / 5 s, so gaps stay gaps.

    Args:
        folder: is made if it is missing.
        frames: in any order; depth is rounded to millimetres.

    Returns:
        How many were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for frame in frames:
        stem = folder / f"frame-{number_of(frame.stamp_ns, RATE_HZ):06d}"
        cv2.imwrite(f"{stem}.color.png", cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR))
        if frame.depth_m is not None:
            depth_mm = np.rint(np.nan_to_num(frame.depth_m * 1000)).clip(0, 65534)
            cv2.imwrite(f"{stem}.depth.png", depth_mm.astype(np.uint16))
        np.savetxt(f"{stem}.pose.txt", frame.world_from_camera)
        camera = frame.camera
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        np.savetxt(folder / INTRINSICS, matrix)
        count += 1
    return count
