"""Photos with poses from COLMAP: Mip-NeRF 360, LERF-Mask and others."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.stream.colmap_model import (
    ColmapCamera,
    ColmapModel,
    find_model,
    read_model,
)
from semantic_field_ros.stream.files import inside
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.photos import (
    Calibration,
    PhotoSource,
    check_scale,
    image_folder,
    placed,
    scale_from_cameras,
    scale_from_depths,
    upright,
)
from semantic_field_ros.types import PinholeCamera

logger = logging.getLogger(__name__)

#: enough of a model to tell the depth of what its photos show.
MOST_VIEWS, MOST_POINTS = 20, 5000


class Colmap(PhotoSource):
    """Undistorted RGB frames of the photos that COLMAP registered, without depth.

    Files: a sparse model in `sparse/0`, `sparse` or `colmap/sparse/0`, and the photos in `images`
    (else the largest of `images_2`, `images_4`, …). A photo of another size than its camera is
    taken for a resized one. The world is turned so that the photos' mean upward direction is z.

    A reconstruction from photos knows no metre. Unless `scale` says how many metres its unit has,
    half of its points are taken to lie within 1.5 m of the photos that show them; no length of
    such a map is to be relied on.

    Args:
        scene: the folder.
        scale: metres per unit of the model; None = guess.

    Raises:
        ValueError: no folder of photos, no model or a broken one, or a scale that is not positive.
    """

    held_out = Holdout(8, 0)

    def __init__(self, scene: str | Path, scale: float | None = None) -> None:
        scene = Path(scene)
        folder = find_model(scene)
        if folder is None:
            raise ValueError(f"{scene} must hold a COLMAP model in sparse/0, found none")
        self._model, self._images = read_model(folder), image_folder(scene)
        super().__init__(scene, [image.name for image in self._model.images])
        poses = [image.world_from_camera for image in self._model.images]
        self._scale = _guessed_scale(self._model) if scale is None else check_scale(scale)
        self._turn = upright(poses)
        if scale is None:
            logger.info("%s: a unit is taken for %.3g m (guessed)", scene, self._scale)

    def calibration(self, number: int, width: int, height: int) -> Calibration:
        """From the camera of the model, scaled to the photo's size."""
        camera = self._model.cameras[self._model.images[number].camera_id]
        return _calibration(camera, width, height)

    def pose(self, number: int) -> NDArray[np.float64]:
        """world_from_camera, turned and in metres."""
        return placed(self._model.images[number].world_from_camera, self._turn, self._scale)

    def file(self, number: int) -> Path:
        """The photo."""
        return inside(self._images, self.names[number])


def _calibration(camera: ColmapCamera, width: int, height: int) -> Calibration:
    """COLMAP's principal point counts from the corner of the first pixel, ours from its centre."""
    parameters = camera.parameters
    if camera.model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL"):
        parameters = (parameters[0], *parameters)  # one focal length for both axes
    fx, fy, cx, cy, *distortion = parameters
    whole = PinholeCamera(camera.width, camera.height, fx, fy, cx - 0.5, cy - 0.5)
    coefficients = (*distortion, 0.0, 0.0, 0.0, 0.0)[:4] if distortion else ()
    model = "fisheye" if camera.model == "OPENCV_FISHEYE" else ""
    return Calibration(whole.scaled_to(width, height), coefficients, model)


def _guessed_scale(model: ColmapModel) -> float:
    step = max(1, len(model.images) // MOST_VIEWS)
    points = model.points[:: max(1, len(model.points) // MOST_POINTS)]
    depths = []
    for image in model.images[::step]:
        size = model.cameras[image.camera_id]
        camera = _calibration(size, size.width, size.height).camera
        pixel, depth = project(camera, image.world_from_camera, points)
        depths.append(depth[inside_image(camera, pixel, depth)])
    shown = np.concatenate(depths)
    if len(shown):
        return scale_from_depths(shown)
    return scale_from_cameras([image.world_from_camera for image in model.images])
