"""Photos with poses in a nerfstudio (or instant-ngp) `transforms.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.base import FrameSource, stamp_of
from semantic_field_ros.stream.files import inside, read_rgb
from semantic_field_ros.stream.frames import check_frame, resize_frame, size_within
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PinholeCamera, PosedFrame, check_rigid

RATE_HZ = 5.0
#: OpenGL camera axes (x right, y up, z backward) to OpenCV's (x right, y down, z forward).
GL_FROM_CV = np.diag([1.0, -1.0, -1.0, 1.0])
PINHOLE_MODELS = ("", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
FISHEYE_MODELS = ("OPENCV_FISHEYE",)
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")
FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4")


@dataclass(frozen=True)
class _Calibration:
    """What a frame (or, for all frames, the file) says about its lens; hashable."""

    camera: PinholeCamera
    coefficients: tuple[float, ...]
    model: str


class Nerfstudio(FrameSource):
    """Undistorted RGB frames, without depth.

    Intrinsics (`w h fl_x fl_y cx cy`, or `camera_angle_x`) and distortion (`k1 k2 p1 p2 k3`, or
    `k1..k4` of `OPENCV_FISHEYE`) may stand at the top or in every frame. An image of another size
    than `w h` is taken for a resized one. Photos have no stamps: frame N is at (N + 1) / 5 s, in
    the order of file names. A frame that cannot be read is skipped and counted.

    Args:
        path: the `transforms.json`, or the folder that holds it.
        scale: metres per unit of the file; photos alone do not know it.
        max_width_px: wider images are reduced to this width; 0 = as they are.

    Attributes:
        tally: skipped frames by reason.

    Raises:
        ValueError: not such a file, or no frames in it.
    """

    def __init__(self, path: str | Path, scale: float = 1.0, max_width_px: int = 0) -> None:
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be positive, got {scale}")
        path = Path(path)
        self.file = path / "transforms.json" if path.is_dir() else path
        self.name = str(path)
        self.rate_hz = RATE_HZ
        self.tally = Tally(f"photos {self.file.parent.name}")
        self._scale, self._max_width_px = scale, max_width_px
        self._top = _read_json(self.file)
        self._frames = sorted(self._top["frames"], key=lambda frame: str(frame.get("file_path")))
        self._lenses: dict[_Calibration, Lens] = {}

    @property
    def length(self) -> int | None:
        """Number of frames in the file, readable or not."""
        return len(self._frames)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Readable frames, in the order of their file names."""
        for number, entry in enumerate(self._frames):
            try:
                yield self._read(number, entry)
            except (ValueError, TypeError, KeyError, OSError) as error:
                text = f"{entry.get('file_path')}: {type(error).__name__}: {error}"
                self.tally.count("frame not whole", text)

    def _read(self, number: int, entry: dict[str, Any]) -> PosedFrame:
        rgb = read_rgb(_image_file(self.file.parent, str(entry["file_path"])))
        lens = self._lens({**self._top, **entry}, rgb.shape[1], rgb.shape[0])
        stamp_ns = stamp_of(number, RATE_HZ)
        pose = self._pose(entry["transform_matrix"])
        frame = PosedFrame(stamp_ns, "camera", lens.camera, pose, lens.undistort(rgb))
        size = size_within(frame.camera.width, frame.camera.height, self._max_width_px)
        return check_frame(resize_frame(frame, *size))

    def _pose(self, rows: Any) -> NDArray[np.float64]:
        """world_from_camera in OpenCV axes and metres, from an OpenGL one in units of the file."""
        matrix = np.asarray(rows, np.float64)
        if matrix.shape == (3, 4):
            matrix = np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
        check_rigid(matrix)
        pose = matrix @ GL_FROM_CV
        pose[:3, 3] *= self._scale
        return pose

    def _lens(self, entry: dict[str, Any], width: int, height: int) -> Lens:
        calibration = _calibration(entry, width, height)
        if calibration not in self._lenses:
            self._lenses[calibration] = Lens(
                calibration.camera, calibration.coefficients, calibration.model
            )
        return self._lenses[calibration]


def _read_json(file: Path) -> dict[str, Any]:
    try:
        tree = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} must be a transforms.json: {error}") from None
    frames = tree.get("frames") if isinstance(tree, dict) else None
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"{file} must hold a list of frames, got {type(frames).__name__}")
    if not all(isinstance(frame, dict) for frame in frames):
        raise ValueError(f"{file} must hold frames that are objects")
    return tree


def _image_file(folder: Path, name: str) -> Path:
    """The image; instant-ngp's synthetic scenes leave out its suffix."""
    path = inside(folder, name)
    return path if path.suffix else path.with_suffix(".png")


def _calibration(entry: dict[str, Any], width: int, height: int) -> _Calibration:
    """Calibration of an image of this size."""
    model = str(entry.get("camera_model", ""))
    if model not in PINHOLE_MODELS + FISHEYE_MODELS:
        names = ", ".join(PINHOLE_MODELS[1:] + FISHEYE_MODELS)
        raise ValueError(f"camera_model must be one of {names}; got {model!r}")
    fisheye = model in FISHEYE_MODELS
    keys = FISHEYE_COEFFICIENTS if fisheye else COEFFICIENTS
    coefficients = tuple(float(entry.get(key, 0.0)) for key in keys)
    camera = _camera(entry, width, height).scaled_to(width, height)
    return _Calibration(camera, coefficients, "fisheye" if fisheye else "")


def _camera(entry: dict[str, Any], width: int, height: int) -> PinholeCamera:
    """The camera of the size that the file was written for; by default that of the image.

    The principal point of the file counts from the corner of the first pixel (COLMAP), ours from
    its centre.
    """
    w, h = int(entry.get("w", width)), int(entry.get("h", height))
    if "fl_x" in entry:
        fx = float(entry["fl_x"])
    elif "camera_angle_x" in entry:
        fx = 0.5 * w / math.tan(0.5 * float(entry["camera_angle_x"]))
    else:
        raise ValueError("intrinsics must be given as fl_x or camera_angle_x, got neither")
    fy = float(entry.get("fl_y", fx))
    cx, cy = float(entry.get("cx", w / 2)), float(entry.get("cy", h / 2))
    return PinholeCamera(w, h, fx, fy, cx - 0.5, cy - 0.5)
