"""Replica rooms as rendered for Semantic-NeRF (Zhi et al. 2021)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.base import RATE_HZ, stamp_of
from semantic_field_ros.stream.files import evenly, numbered, read_depth_png, read_rgb
from semantic_field_ros.stream.frames import check_frame
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.numbered import NumberedImages
from semantic_field_ros.types import PinholeCamera, PosedFrame

TRAJECTORY = "traj_w_c.txt"


class Replica(NumberedImages):
    """RGB-D frames of a sequence, e.g. `office_0/Sequence_1`.

    Files: `rgb/rgb_N.png`, `depth/depth_N.png` (16-bit millimetres, 0 unknown; may be missing) and
    `traj_w_c.txt`, whose row N is the 4x4 world_from_camera of image N, row by row, in metres. The
    horizontal field of view is 90 degrees. Frame N is at (N + 1) / 5 s. A frame that is not whole
    is skipped and counted.

    Args:
        folder: the sequence.
        frames: take so many, evenly spread; None = all.

    Attributes:
        folder: where the files are.
        tally: skipped frames by reason.

    Raises:
        ValueError: no such folder, no frames, or no trajectory.
    """

    kind = "sequence"
    held_out = Holdout(10, 0)  # as in OV-NeRF, IV-A

    def __init__(self, folder: str | Path, frames: int | None = None) -> None:
        folder = Path(folder)
        super().__init__(folder, evenly(numbered(folder / "rgb", "rgb_", (".png",)), frames))
        self._poses = _read_trajectory(self.folder / TRAJECTORY)

    def _read(self, number: int, image: Path) -> PosedFrame:
        if number >= len(self._poses):
            raise ValueError(f"{TRAJECTORY} must have a row {number}, has {len(self._poses)}")
        rgb = read_rgb(image)
        depth = self.folder / "depth" / f"depth_{number}.png"
        depth_m = read_depth_png(depth) if depth.exists() else None
        camera = _camera(rgb.shape[1], rgb.shape[0])
        stamp_ns = stamp_of(number, RATE_HZ)
        return check_frame(
            PosedFrame(stamp_ns, "camera", camera, self._poses[number], rgb, depth_m)
        )


def _camera(width: int, height: int) -> PinholeCamera:
    """The renderer's camera: tan(90° / 2) = 1, the principal point in the middle."""
    focal = width / 2
    return PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def _read_trajectory(path: Path) -> NDArray[np.float64]:
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} must hold a 4x4 matrix a row: {error}") from None
    if rows.shape[1:] != (16,):
        raise ValueError(f"{path} must hold 16 numbers a row, got {rows.shape}")
    return rows.reshape(-1, 4, 4)
