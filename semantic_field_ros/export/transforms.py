"""Keyframes as a nerfstudio data set: `transforms.json`, images, depth, and the surface.

Other trainers start from it, and so does this package (`stream/nerfstudio.py`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.export.ply import write_ply
from semantic_field_ros.stream.nerfstudio import GL_FROM_CV
from semantic_field_ros.training.checkpoint import list_maps
from semantic_field_ros.types import PosedFrame, SurfaceCloud

FILE = "transforms.json"
#: entry of the file by which a folder is known as an export: photos must never be replaced.
MARK = {"exporter": "semantic_field_ros"}
#: depth images hold millimetres, which is nerfstudio's default; 0 is unknown.
DEPTH_STEP_M = 1e-3
LARGEST_STEP = 65534


def write_transforms(
    path: Path, frames: Iterable[PosedFrame], surface: SurfaceCloud | None = None
) -> None:
    """Writes a folder, replacing an earlier export in two renames.

    Images are undistorted and free of loss, poses are OpenGL's in metres in the map frame. Where
    any frame has depth all get a depth image, as nerfstudio wants it, with nothing known in it
    for a frame that has none; and masks in the same way where anything is ignored. `camera_name`
    of a frame is this package's own; nerfstudio skips what it does not know.

    Args:
        path: of the folder.
        frames: in the order in which the files are numbered.
        surface: written as `surface.ply` for methods that start from points; None = without.

    Raises:
        ValueError: no frame, or something else is at `path`, or in it a map that was saved later.
    """
    frames = list(frames)
    if not frames:
        raise ValueError("transforms need at least one keyframe, got none")
    if path.exists() and not _is_export(path):
        raise ValueError(f"{path} must not exist, or be an earlier export to be replaced")
    if path.name in list_maps(path.parent):
        raise ValueError(f"{path} must not be replaced, for it holds a saved map: name another")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made, old = Path(scratch) / "new", Path(scratch) / "old"
        _write(made, frames, surface)
        if path.exists():
            path.rename(old)
        shutil.move(made, path)


def _is_export(folder: Path) -> bool:
    try:
        tree = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(tree, dict) and tree.items() >= MARK.items()


def _write(folder: Path, frames: list[PosedFrame], surface: SurfaceCloud | None) -> None:
    pictures: dict[str, tuple[str, Callable[[PosedFrame], NDArray[Any]]]]
    pictures = {"file_path": ("images", _bgr)}
    if any(frame.depth_m is not None for frame in frames):
        pictures["depth_file_path"] = ("depth", _millimetres)
    if any(frame.ignored is not None for frame in frames):
        pictures["mask_path"] = ("masks", _mask)
    for name, _ in pictures.values():
        (folder / name).mkdir(parents=True)
    tree: dict[str, Any] = {"camera_model": "OPENCV", **MARK}
    if surface is not None:
        write_ply(folder / "surface.ply", surface)
        tree["ply_file_path"] = "surface.ply"
    tree["frames"] = []
    for number, frame in enumerate(frames, start=1):
        entry = {"camera_name": frame.camera_name, **_calibration(frame)}
        for key, (name, pixels) in pictures.items():
            entry[key] = f"{name}/{number:06d}.png"
            _write_png(folder / entry[key], pixels(frame))
        tree["frames"].append(entry)
    (folder / FILE).write_text(json.dumps(tree, indent=1) + "\n")


def _calibration(frame: PosedFrame) -> dict[str, Any]:
    """Intrinsics and pose; the principal point counts from the corner of the first pixel."""
    camera = frame.camera
    return {
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx + 0.5,
        "cy": camera.cy + 0.5,
        "transform_matrix": (frame.world_from_camera @ GL_FROM_CV).tolist(),
    }


def _bgr(frame: PosedFrame) -> NDArray[np.uint8]:
    """(H, W, 3) as OpenCV writes it."""
    return np.asarray(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR), np.uint8)


def _mask(frame: PosedFrame) -> NDArray[np.uint8]:
    """(H, W) u8, 0 where the image shows what is no part of the scene."""
    if frame.ignored is None:
        return np.full((frame.camera.height, frame.camera.width), 255, np.uint8)
    return np.where(frame.ignored, 0, 255).astype(np.uint8)


def _millimetres(frame: PosedFrame) -> NDArray[np.uint16]:
    """(H, W) u16, 0 where nothing is known or what is known does not fit."""
    if frame.depth_m is None:
        return np.zeros((frame.camera.height, frame.camera.width), np.uint16)
    steps = np.rint(np.nan_to_num(frame.depth_m / DEPTH_STEP_M, nan=0.0))
    return np.where(steps <= LARGEST_STEP, steps, 0).astype(np.uint16)


def _write_png(path: Path, pixels: NDArray[Any]) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"the image could not be written to {path}")
