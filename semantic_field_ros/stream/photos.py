"""Photos with known poses, whatever kind of file the poses stand in."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.base import RATE_HZ, FrameSource, stamp_of
from semantic_field_ros.stream.files import read_rgb
from semantic_field_ros.stream.frames import check_frame, narrowed
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PinholeCamera, PosedFrame

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
#: where nothing tells the unit of a reconstruction, half of what its photos show is nearer than
#: this: between a table top and a room, for which the mapper's lengths are chosen. Metres.
TYPICAL_DEPTH_M = 1.5
#: and where not even depth is known, the cameras are this far from their centre (RMS). Metres.
TYPICAL_SPREAD_M = 1.0

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What is known of the lens of a photo; hashable.

    Attributes:
        camera: size and intrinsics of the distorted photo.
        coefficients, model: as `Lens` takes them.
    """

    camera: PinholeCamera
    coefficients: tuple[float, ...] = ()
    model: str = ""


class PhotoSource(FrameSource):
    """Undistorted RGB frames, with depth where there is any.

    Photos have no stamps: number N, in the order of file names, is at (N + 1) / 5 s. One that
    cannot be read is skipped and counted.

    Attributes:
        folder: of the scene; labels lie in it or beside it.
        names: the photos' file names, by number.
        tally: skipped photos by reason.
    """

    def __init__(self, folder: Path, names: Sequence[str], max_width_px: int = 0) -> None:
        """Args: as the attributes; wider photos are reduced to `max_width_px`, 0 = none."""
        self.folder, self.names = folder, tuple(names)
        self.name = str(folder)
        self.rate_hz = RATE_HZ
        self.tally = Tally(f"photos {folder.name}")
        self._max_width_px = max_width_px
        self._lenses: dict[Calibration, Lens] = {}

    @property
    def length(self) -> int | None:
        """Number of photos, readable or not."""
        return len(self.names)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Readable photos, in the order of their file names."""
        for number, name in enumerate(self.names):
            try:
                yield self._read(number)
            except (ValueError, TypeError, KeyError, OSError) as error:
                self.tally.count("frame not whole", f"{name}: {type(error).__name__}: {error}")

    def lens(self, number: int, width: int, height: int) -> Lens:
        """The lens of a photo that comes in this size."""
        calibration = self.calibration(number, width, height)
        if calibration not in self._lenses:
            self._lenses[calibration] = Lens(
                calibration.camera, calibration.coefficients, calibration.model
            )
        return self._lenses[calibration]

    @abstractmethod
    def calibration(self, number: int, width: int, height: int) -> Calibration:
        """What the file says about the lens of a photo that comes in this size.

        Raises:
            ValueError: nothing, or something that makes no sense.
        """

    @abstractmethod
    def pose(self, number: int) -> Float:
        """(4, 4) world_from_camera of a photo, in metres.

        Raises:
            ValueError: not a rigid transform.
        """

    @abstractmethod
    def file(self, number: int) -> Path:
        """Where a photo is.

        Raises:
            ValueError: outside of the scene's folder.
        """

    def depth_m(self, number: int, lens: Lens) -> NDArray[np.float32] | None:
        """(H, W) undistorted metres beside a photo, None where there are none, as by default.

        Raises:
            ValueError, OSError: a damaged file, or one outside of the scene's folder.
        """
        return None

    def ignored(self, number: int, lens: Lens) -> NDArray[np.bool_] | None:
        """(H, W) undistorted, what is no part of the scene; None where nothing is said of it.

        Raises:
            ValueError, OSError: as `depth_m`.
        """
        return None

    def camera_name(self, number: int) -> str:
        """Which of `cameras` took a photo; by default there is one."""
        return self.cameras[0]

    def _read(self, number: int) -> PosedFrame:
        rgb = read_rgb(self.file(number))
        lens = self.lens(number, rgb.shape[1], rgb.shape[0])
        stamp_ns, pose = stamp_of(number, RATE_HZ), self.pose(number)
        rgb, depth_m = lens.undistort(rgb), self.depth_m(number, lens)
        ignored = self.ignored(number, lens)
        frame = PosedFrame(
            stamp_ns, self.camera_name(number), lens.camera, pose, rgb, depth_m, ignored
        )
        return check_frame(narrowed(frame, self._max_width_px))


def image_folder(scene: Path) -> Path:
    """`images` of a scene, or the largest of its reduced copies, `images_2`, `images_4` and so on.

    Raises:
        ValueError: there is none.
    """
    whole = scene / "images"
    if whole.is_dir():
        return whole
    reduced = [path for path in scene.glob("images_*") if path.name[7:].isdigit()]
    if not reduced:
        raise ValueError(f"{scene} must have a folder images or images_N of photos, found none")
    return min(reduced, key=lambda path: int(path.name[7:]))


def image_names(folder: Path) -> list[str]:
    """File names of the images in a folder, sorted."""
    return sorted(p.name for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)


def check_scale(scale: float) -> float:
    """The scale itself; raises ValueError unless it is finite and positive."""
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be positive, got {scale}")
    return scale


def scale_from_depths(depths: NDArray[np.floating]) -> float:
    """Metres per unit if the median of these depths is `TYPICAL_DEPTH_M`."""
    return TYPICAL_DEPTH_M / float(np.median(depths))


def scale_from_cameras(poses: Sequence[Float]) -> float:
    """Metres per unit if the cameras lie `TYPICAL_SPREAD_M` (RMS) from their centre."""
    positions = np.stack([pose[:3, 3] for pose in poses])
    spread = float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean()))
    return TYPICAL_SPREAD_M / spread if spread > 0 else 1.0


def upright(poses: Sequence[Float]) -> Float:
    """(4, 4) rotation that turns the photos' mean upward direction to the z axis.

    Args:
        poses: (4, 4) world_from_camera each; a reconstruction's world may lie on any side.
    """
    up = -np.mean([pose[:3, 1] for pose in poses], axis=0)
    length = float(np.linalg.norm(up))
    turn = np.eye(4)
    if length < 1e-6:
        return turn
    up = up / length
    axis = np.cross(up, [0.0, 0.0, 1.0])
    if np.linalg.norm(axis) < 1e-9:
        turn[:3, :3] = np.diag([1.0, np.sign(up[2]), np.sign(up[2])])
        return turn
    # Rodrigues' formula for the smallest rotation between two unit vectors.
    across = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn[:3, :3] = np.eye(3) + across + across @ across / (1.0 + up[2])
    return turn


def placed(pose: Float, turn: Float, scale: float) -> Float:
    """A (4, 4) world_from_camera in the turned world and in metres."""
    moved = turn @ pose
    moved[:3, 3] *= scale
    return moved
