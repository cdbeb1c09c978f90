"""Pictures that a browser looks at: layers of the map and photos, with the answer lit."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.geometry import pixel_grid
from semantic_field_ros.queries.visibility import visible_points
from semantic_field_ros.types import Mask3D, SurfaceCloud
from semantic_field_ros.viewer.colours import depth_colours, instance_colours, relevancy_colours
from semantic_field_ros.viewer.pictures import overlay
from semantic_field_ros.viewer.pointing import View

Image = NDArray[np.uint8]

LAYERS = ("photo", "colour", "depth", "relevancy", "instances", "features")
#: an answer is drawn into a picture of at most this width, then enlarged, pixels.
LIT_WIDTH_PX = 320
#: a pixel shows the nearest visible point within this distance, pixels.
REACH_PX = 6.0
#: points of an older map stand for those of the newest within this many spacings.
MOVED_SPACINGS = 1.5


def picture(field: SemanticField, view: View, layer: str, phrase: str) -> Image:
    """(H, W, 3) one of LAYERS as the view shows it; a rendered view has no photo but its colours.

    Raises:
        RuntimeError: there is no map yet.
        ValueError: an unknown layer, or relevancy without a phrase.
    """
    if layer not in LAYERS:
        raise ValueError(f"layer must be one of {LAYERS}, got {layer!r}")
    if layer == "photo" and view.photo is not None:
        return view.photo
    camera, pose = view.camera, view.world_from_camera
    if layer == "relevancy" and not phrase.strip():
        raise ValueError("relevancy needs a phrase: type one into Find")
    if layer == "depth":
        return depth_colours(field.render(camera, pose, "depth"))
    if layer == "features":
        return field.render(camera, pose, "features")
    rgb = field.render(camera, pose, "rgb")
    if layer == "relevancy":
        return relevancy_colours(field.render(camera, pose, "relevancy", phrase), rgb)
    if layer == "instances":
        return instance_colours(field.render(camera, pose, "mask"), rgb)
    return rgb


def lit(image: Image, view: View, surface: SurfaceCloud, masks: Sequence[Mask3D]) -> Image:
    """(H, W, 3) the image with what masks show in the view tinted and outlined."""
    width = min(LIT_WIDTH_PX, view.camera.width)
    camera = view.camera.scaled_to(width, max(width * view.camera.height // view.camera.width, 1))
    seen, pixel = visible_points(surface.points, camera, view.world_from_camera)
    if not len(seen) or not masks:
        return image
    member = np.append(members(surface, masks)[seen], False)
    grid = pixel_grid(camera.width, camera.height)
    _, nearest = cKDTree(pixel).query(grid, distance_upper_bound=REACH_PX)
    shown = member[nearest].reshape(camera.height, camera.width).astype(np.float32)
    size = (image.shape[1], image.shape[0])
    return overlay(image, cv2.resize(shown, size, interpolation=cv2.INTER_LINEAR) > 0.5)


def members(surface: SurfaceCloud, masks: Sequence[Mask3D]) -> NDArray[np.bool_]:
    """(N,) which points of a surface belong to masks, also to those of another map version."""
    member = np.zeros(len(surface.points), np.bool_)
    for mask in masks:
        if mask.map_version == surface.map_version:
            member[mask.indices] = True
        else:
            reach_m = float(np.median(surface.spacing_m)) * MOVED_SPACINGS
            distance_m, _ = cKDTree(mask.points).query(
                surface.points, distance_upper_bound=reach_m
            )
            member |= np.isfinite(distance_m)
    return member
