"""Photos in the layout of LLFF (Mildenhall et al. 2019), which 3D-OVS shares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.photos import (
    Calibration,
    PhotoSource,
    check_scale,
    image_folder,
    image_names,
    placed,
    scale_from_depths,
    upright,
)
from semantic_field_ros.types import PinholeCamera, check_rigid

POSES = "poses_bounds.npy"


class Llff(PhotoSource):
    """RGB frames without depth.

    Files: the photos in `images` (else the largest of `images_2`, `images_4`, …) and
    `poses_bounds.npy`, a row of 17 numbers a photo in the order of file names: a 3x5 matrix, row
    by row, with the columns down, right and backward of the camera, its position, and
    (height, width, focal length) in pixels of the whole photo; then the least and greatest depth
    of what it shows. The principal point is the middle of the photo. The world is turned so that
    the photos' mean upward direction is z.

    The unit is arbitrary. Unless `scale` says how many metres it has, the geometric mean of least
    and greatest depth is taken to be 1.5 m; no length of such a map is to be relied on.

    Args:
        scene: the folder.
        scale: metres per unit; None = guess.

    Raises:
        ValueError: no photos, poses that do not belong to them, or a scale that is not positive.
    """

    held_out = Holdout(8, 0)

    def __init__(self, scene: str | Path, scale: float | None = None) -> None:
        scene = Path(scene)
        self._images = image_folder(scene)
        super().__init__(scene, image_names(self._images))
        rows = _read_rows(scene / POSES, len(self.names))
        matrices, bounds = rows[:, :15].reshape(-1, 3, 5), rows[:, 15:]
        self._hwf = matrices[:, :, 4]
        self._poses = [_pose(matrix) for matrix in matrices]
        middle = np.sqrt(bounds.prod(axis=1))
        self._scale = scale_from_depths(middle) if scale is None else check_scale(scale)
        self._turn = upright(self._poses)

    def calibration(self, number: int, width: int, height: int) -> Calibration:
        """The photo's own row, scaled to its size."""
        whole_height, whole_width, focal = (float(value) for value in self._hwf[number])
        w, h = round(whole_width), round(whole_height)
        camera = PinholeCamera(w, h, focal, focal, (w - 1) / 2, (h - 1) / 2)
        return Calibration(camera.scaled_to(width, height))

    def pose(self, number: int) -> NDArray[np.float64]:
        """world_from_camera, turned and in metres."""
        return placed(self._poses[number], self._turn, self._scale)

    def file(self, number: int) -> Path:
        """The photo."""
        return self._images / self.names[number]


def _read_rows(path: Path, photos: int) -> NDArray[np.float64]:
    try:
        rows = np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} must be an array of numbers: {error}") from None
    if photos == 0 or rows.shape != (photos, 17):
        raise ValueError(f"{path} must be ({photos}, 17), one row a photo; got {rows.shape}")
    if not np.isfinite(rows).all() or (rows[:, 15:] <= 0).any():
        raise ValueError(f"{path} must be finite with depths > 0")
    return rows


def _pose(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """world_from_camera in OpenCV axes (right, down, forward), in the file's unit."""
    down, right, backward, position = matrix[:, :4].T
    pose = np.eye(4)
    pose[:3] = np.stack([right, down, -backward, position], axis=1)
    check_rigid(pose)
    return pose
