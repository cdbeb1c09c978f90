"""ScanNet scenes (Dai et al. 2017), frames exported by its SensReader."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import pinhole
from semantic_field_ros.stream.base import RATE_HZ, stamp_of
from semantic_field_ros.stream.files import (
    evenly,
    numbered,
    read_depth_png,
    read_rgb,
    read_text_matrix,
)
from semantic_field_ros.stream.frames import check_frame
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.numbered import NumberedImages
from semantic_field_ros.types import PinholeCamera, PosedFrame

COLOUR_INTRINSICS, DEPTH_INTRINSICS = (
    Path("intrinsic", f"intrinsic_{sensor}.txt") for sensor in ("color", "depth")
)


class ScanNet(NumberedImages):
    """RGB-D frames of a scene, in the size of its depth images.

    Files: `color/N.jpg` (or `.png`), `depth/N.png` (16-bit millimetres, 0 unknown; may be
    missing), `pose/N.txt` (4x4 world_from_camera, metres), `intrinsic/intrinsic_color.txt` and
    `intrinsic/intrinsic_depth.txt`. Colour images of the size of the depth images are taken to
    have been brought into the depth camera; else depth is looked up in the colour camera. Without
    the depth camera's intrinsics only depth of the size of the colour images can be used, in the
    colour camera; other depth is left out, and counted. Frame N is at (N + 1) / 5 s. A frame that
    is not whole, such as one whose pose was lost, is skipped and counted.

    Args:
        folder: the scene.
        frames: take so many, evenly spread; None = all.

    Attributes:
        folder: where the files are.
        numbers: of the images taken.
        tally: skipped frames, and those without their depth, by reason.

    Raises:
        ValueError: no such folder, no frames, or broken intrinsics.
    """

    kind = "scene"
    held_out = Holdout(10, 0)  # as in OV-NeRF, IV-A

    def __init__(self, folder: str | Path, frames: int | None = None) -> None:
        folder = Path(folder)
        super().__init__(folder, evenly(numbered(folder / "color", "", (".jpg", ".png")), frames))
        self.numbers = tuple(self._images)
        self._colour = read_text_matrix(self.folder / COLOUR_INTRINSICS, (4, 4))
        depth = self.folder / DEPTH_INTRINSICS
        self._depth = read_text_matrix(depth, (4, 4)) if depth.exists() else None

    def _read(self, number: int, image: Path) -> PosedFrame:
        pose = read_text_matrix(self.folder / "pose" / f"{number}.txt", (4, 4))
        rgb = read_rgb(image)
        camera = pinhole(self._colour, rgb.shape[1], rgb.shape[0])
        depth_m = None
        depth = self.folder / "depth" / f"{number}.png"
        if depth.exists():
            measured_m = read_depth_png(depth)
            height, width = measured_m.shape
            of_depth = None if self._depth is None else pinhole(self._depth, width, height)
            if rgb.shape[:2] == measured_m.shape:
                camera, depth_m = of_depth or camera, measured_m
            elif of_depth is None:
                self._leave_out_depth(camera, width, height)
            else:
                rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))
                camera = camera.scaled_to(width, height)
                depth_m = _looked_up(measured_m, of_depth, camera)
        stamp_ns = stamp_of(number, RATE_HZ)
        return check_frame(PosedFrame(stamp_ns, "camera", camera, pose, rgb, depth_m))

    def _leave_out_depth(self, colour: PinholeCamera, width: int, height: int) -> None:
        self.tally.count(
            "depth left out",
            f"{DEPTH_INTRINSICS} must be there for depth of another size than colour "
            f"({colour.width}x{colour.height}), got {width}x{height}: SensReader writes it "
            "(--export_intrinsics)",
        )


def _looked_up(
    depth_m: NDArray[np.float32], depth: PinholeCamera, colour: PinholeCamera
) -> NDArray[np.float32]:
    """Depth of the colour camera's pixels: two cameras in one place differ by intrinsics alone."""
    u = (np.arange(colour.width) - colour.cx) / colour.fx * depth.fx + depth.cx
    v = (np.arange(colour.height) - colour.cy) / colour.fy * depth.fy + depth.cy
    columns, rows = (np.rint(pixel).astype(int) for pixel in (u, v))
    inside = np.outer(
        (rows >= 0) & (rows < depth.height), (columns >= 0) & (columns < depth.width)
    )
    nearest = depth_m[rows.clip(0, depth.height - 1)[:, None], columns.clip(0, depth.width - 1)]
    return np.where(inside, nearest, np.float32(np.nan))
