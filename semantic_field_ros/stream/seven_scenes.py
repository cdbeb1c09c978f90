"""A folder in the layout of the 7-Scenes data set (Shotton et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.base import FrameSource, stamp_of
from semantic_field_ros.stream.files import read_depth_png, read_rgb, read_text_matrix
from semantic_field_ros.stream.frames import check_frame
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PinholeCamera, PosedFrame

INTRINSICS = "camera-intrinsics.txt"
COLOUR_SUFFIXES = (".color.jpg", ".color.png")
RATE_HZ = 5.0


class SevenScenes(FrameSource):
    """RGB-D frames of a folder.

    Files: `frame-NNNNNN.color.jpg|png`, `.depth.png` (16-bit millimetres, 0 and 65535 unknown; may
    be missing), `.pose.txt` (4x4 world_from_camera, metres) and one `camera-intrinsics.txt` (3x3).
    There are no stamps: frame N is at (N + 1) / 5 s. A frame that is not whole is skipped and
    counted.

    Args:
        folder: where the files are.

    Attributes:
        tally: skipped frames by reason.

    Raises:
        ValueError: no such folder, no frames, or broken intrinsics.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = str(folder)
        self.rate_hz = RATE_HZ
        self.tally = Tally(f"folder {self.folder.name}")
        self._images = _colour_files(self.folder)
        self._matrix = read_text_matrix(self.folder / INTRINSICS, (3, 3))

    @property
    def length(self) -> int | None:
        """Number of colour images, whole frames or not."""
        return len(self._images)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Whole frames in order of their numbers."""
        for number, image in self._images:
            try:
                yield self._read(number, image)
            except (ValueError, OSError) as error:
                self.tally.count("frame not whole", f"{image.name}: {error}")

    def _read(self, number: int, image: Path) -> PosedFrame:
        stem = image.name.split(".", 1)[0]
        pose = read_text_matrix(self.folder / f"{stem}.pose.txt", (4, 4))
        rgb = read_rgb(image)
        depth = self.folder / f"{stem}.depth.png"
        depth_m = read_depth_png(depth) if depth.exists() else None
        camera = _camera(self._matrix, rgb.shape[1], rgb.shape[0])
        stamp_ns = stamp_of(number, RATE_HZ)
        return check_frame(PosedFrame(stamp_ns, "camera", camera, pose, rgb, depth_m))


def _colour_files(folder: Path) -> list[tuple[int, Path]]:
    """(number, file) in order of the numbers."""
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("frame-*.color.*")) if folder.is_dir() else []:
        digits = path.name.removeprefix("frame-").split(".", 1)[0]
        if digits.isdigit() and path.name.endswith(COLOUR_SUFFIXES):
            found.setdefault(int(digits), path)
    if not found:
        raise ValueError(f"{folder} must hold frame-NNNNNN.color.jpg or .png files, found none")
    return sorted(found.items())


def _camera(matrix: NDArray[np.float64], width: int, height: int) -> PinholeCamera:
    fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return PinholeCamera(width, height, fx, fy, cx, cy)
