"""Photos with poses in a nerfstudio (or instant-ngp) `transforms.json`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.files import inside, read_depth_png, read_rgb
from semantic_field_ros.stream.frames import resize_depth
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.photos import Calibration, PhotoSource, check_scale
from semantic_field_ros.types import PinholeCamera, check_rigid

#: OpenGL camera axes (x right, y up, z backward) to OpenCV's (x right, y down, z forward).
GL_FROM_CV = np.diag([1.0, -1.0, -1.0, 1.0])
PINHOLE_MODELS = ("", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
FISHEYE_MODELS = ("OPENCV_FISHEYE",)
COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3")
FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4")


class Nerfstudio(PhotoSource):
    """Undistorted frames, with depth where the file names it (`depth_file_path`, millimetres) and
    what is to be ignored (`mask_path`, black).

    Intrinsics (`w h fl_x fl_y cx cy`, or `camera_angle_x`) and distortion (`k1 k2 p1 p2 k3`, or
    `k1..k4` of `OPENCV_FISHEYE`) may stand at the top or in every frame. An image of another size
    than `w h` is taken for a resized one. `camera_name` of a frame tells several cameras apart.

    Args:
        path: the `transforms.json`, or the folder that holds it.
        scale: metres per unit of the file; photos alone do not know it.
        max_width_px: wider images are reduced to this width; 0 = as they are.

    Raises:
        ValueError: not such a file, or no frames in it.
    """

    def __init__(self, path: str | Path, scale: float = 1.0, max_width_px: int = 0) -> None:
        path = Path(path)
        file = path / "transforms.json" if path.is_dir() else path
        self._scale, self._top = check_scale(scale), _read_json(file)
        self._frames = sorted(self._top["frames"], key=lambda frame: str(frame.get("file_path")))
        names = [str(frame.get("file_path")) for frame in self._frames]
        super().__init__(file.parent, names, max_width_px)
        self.name = str(path)
        self.cameras = tuple(sorted({self.camera_name(i) for i in range(len(names))}))

    def camera_name(self, number: int) -> str:
        """What the frame says, as only this package's own export does."""
        return str(self._frames[number].get("camera_name", "camera"))

    def file(self, number: int) -> Path:
        """The image; instant-ngp's synthetic scenes leave out its suffix."""
        path = inside(self.folder, str(self._frames[number]["file_path"]))
        return path if path.suffix else path.with_suffix(".png")

    def depth_m(self, number: int, lens: Lens) -> NDArray[np.float32] | None:
        """(H, W) metres; the file's millimetres are thousandths of its unit.

        Depth of another size than the photo is brought to it, as nerfstudio does.
        """
        name = self._frames[number].get("depth_file_path")
        if name is None:
            return None
        depth = _of_photo(read_depth_png(inside(self.folder, str(name))), lens.camera)
        return lens.undistort_depth(depth * np.float32(self._scale))

    def ignored(self, number: int, lens: Lens) -> NDArray[np.bool_] | None:
        """(H, W) where the frame's mask is black."""
        name = self._frames[number].get("mask_path")
        if name is None:
            return None
        mask = read_rgb(inside(self.folder, str(name)))
        return lens.undistort_mask(mask.max(axis=2) == 0)

    def pose(self, number: int) -> NDArray[np.float64]:
        """world_from_camera in OpenCV axes and metres, from an OpenGL one in units of the file."""
        matrix = np.asarray(self._frames[number]["transform_matrix"], np.float64)
        if matrix.shape == (3, 4):
            matrix = np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
        check_rigid(matrix)
        pose = matrix @ GL_FROM_CV
        pose[:3, 3] *= self._scale
        return pose

    def calibration(self, number: int, width: int, height: int) -> Calibration:
        """What the frame, or else the file, says."""
        return _calibration({**self._top, **self._frames[number]}, width, height)


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


def _of_photo(depth: NDArray[np.float32], camera: PinholeCamera) -> NDArray[np.float32]:
    """(H, W) in the size of the photo; raises ValueError unless both show the same."""
    height, width = depth.shape
    if abs(width * camera.height / camera.width - height) >= 1:
        raise ValueError(
            f"depth must have the aspect of its photo, {camera.width}x{camera.height}, got "
            f"{width}x{height}"
        )
    return resize_depth(depth, camera.width, camera.height)


def _calibration(entry: dict[str, Any], width: int, height: int) -> Calibration:
    """Calibration of an image of this size."""
    model = str(entry.get("camera_model", ""))
    if model not in PINHOLE_MODELS + FISHEYE_MODELS:
        names = ", ".join(PINHOLE_MODELS[1:] + FISHEYE_MODELS)
        raise ValueError(f"camera_model must be one of {names}; got {model!r}")
    fisheye = model in FISHEYE_MODELS
    keys = FISHEYE_COEFFICIENTS if fisheye else COEFFICIENTS
    coefficients = tuple(float(entry.get(key, 0.0)) for key in keys)
    camera = _camera(entry, width, height).scaled_to(width, height)
    return Calibration(camera, coefficients, "fisheye" if fisheye else "")


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
