"""A folder in the layout of the 7-Scenes data set (Shotton et al. 2013)."""

from __future__ import annotations

from pathlib import Path

from semantic_field_ros.geometry import pinhole
from semantic_field_ros.stream.base import RATE_HZ, stamp_of
from semantic_field_ros.stream.files import read_depth_png, read_rgb, read_text_matrix
from semantic_field_ros.stream.frames import check_frame
from semantic_field_ros.stream.numbered import NumberedImages
from semantic_field_ros.types import PosedFrame

INTRINSICS = "camera-intrinsics.txt"
COLOUR_SUFFIXES = (".color.jpg", ".color.png")


class SevenScenes(NumberedImages):
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
        folder = Path(folder)
        super().__init__(folder, _colour_files(folder))
        self._matrix = read_text_matrix(self.folder / INTRINSICS, (3, 3))

    def _read(self, number: int, image: Path) -> PosedFrame:
        stem = image.name.split(".", 1)[0]
        pose = read_text_matrix(self.folder / f"{stem}.pose.txt", (4, 4))
        rgb = read_rgb(image)
        depth = self.folder / f"{stem}.depth.png"
        depth_m = read_depth_png(depth) if depth.exists() else None
        camera = pinhole(self._matrix, rgb.shape[1], rgb.shape[0])
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
