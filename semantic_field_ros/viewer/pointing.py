"""From a pointer on a web page to points of the map and pixels of a view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.types import PinholeCamera, SurfaceCloud

Floats = NDArray[np.floating]

#: distance of an opened picture from its camera, metres.
PICTURE_M = 0.15
#: a ray hits a point that it passes within this many of its spacings; then within more.
REACH_SPACINGS = (1.0, 3.0)
#: points this many spacings behind the first one are the same surface.
SAME_SPACINGS = 4.0
#: a click this close to a camera, as a share of its distance, means the camera.
CAMERA_REACH = 0.02
#: points of one question; more are refused.
MOST_POINTS = 20


@dataclass(frozen=True)
class View:
    """A picture that a browser looks at, taken or rendered.

    Attributes:
        camera: intrinsics.
        world_from_camera: (4, 4).
        keyframe_id: the keyframe that it was taken as; None if it is rendered.
        photo: (H, W, 3) u8 as it was taken; None if it is rendered.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    keyframe_id: int | None = None
    photo: NDArray[np.uint8] | None = None

    def pixel_of(self, origin: Floats, direction: Floats) -> NDArray[np.float32]:
        """(2,) where a ray (3,), (3,) from anywhere meets the picture, which hangs at `PICTURE_M`.

        Raises:
            ValueError: nowhere.
        """
        eye, ahead = self.world_from_camera[:3, 3], self.world_from_camera[:3, 2]
        speed = float(direction @ ahead)
        along = (PICTURE_M - float((origin - eye) @ ahead)) / speed if speed else 0.0
        pixel = self.pixel_at(origin + along * direction) if along > 0 else None
        if pixel is None:
            raise ValueError("that is outside of the picture: click into it, or close it first")
        return pixel

    def pixel_at(self, point: Floats) -> NDArray[np.float32] | None:
        """(2,) where a point (3,) of the map lies in the picture; None outside."""
        pixel, depth_m = project(self.camera, self.world_from_camera, np.asarray(point)[None])
        return pixel[0] if inside_image(self.camera, pixel, depth_m)[0] else None


@dataclass(frozen=True)
class Pointed:
    """What has been pointed at so far for one question.

    Attributes:
        points: N points of the map, metres, or (u, v) of the view if there is one.
        positive: N; False marks what must not belong to the answer.
        view: in which `points` and `box_px` are pixels; None for points of the map.
        box_px: (4,) u_min, v_min, u_max, v_max, or None.
    """

    points: tuple[Floats, ...] = ()
    positive: tuple[bool, ...] = ()
    view: View | None = None
    box_px: NDArray[np.float32] | None = None

    def plus(self, point: Floats, positive: bool) -> Pointed:
        """With one more point.

        Raises:
            ValueError: there are `MOST_POINTS`, or it is the first one and negative.
        """
        if len(self.points) >= MOST_POINTS:
            raise ValueError(f"expected at most {MOST_POINTS} points: start again with a click")
        if not positive and not self.points and self.box_px is None:
            raise ValueError("click what you mean first, then Shift-click what is not part of it")
        points, signs = (*self.points, point), (*self.positive, positive)
        return Pointed(points, signs, self.view, self.box_px)


def hit(surface: SurfaceCloud, origin: Floats, direction: Floats) -> NDArray[np.float32] | None:
    """(3,) the surface point in front that a ray meets; None if it passes by.

    Args:
        surface: the map.
        origin, direction: (3,) of the ray; the length of the direction does not matter.
    """
    start = np.asarray(origin, np.float32)
    along = np.asarray(direction, np.float32) / np.float32(np.linalg.norm(direction))
    away = surface.points - start
    depth_m = away @ along
    off_m = np.sqrt(np.maximum((away**2).sum(axis=1) - depth_m**2, 0))
    for reach in REACH_SPACINGS:
        near = np.flatnonzero((off_m <= reach * surface.spacing_m) & (depth_m > 0))
        if len(near):
            first = near[np.argmin(depth_m[near])]
            last_m = depth_m[first] + SAME_SPACINGS * surface.spacing_m[first]
            same = near[depth_m[near] <= last_m]
            found: NDArray[np.float32] = surface.points[same[np.argmin(off_m[same])]]
            return found
    return None


def camera_hit(
    eyes: NDArray[np.float64], origin: Floats, direction: Floats, before_m: float
) -> int | None:
    """Which camera is clicked: the one that the ray passes closest, not behind the surface.

    Args:
        eyes: (K, 3) where the cameras are.
        origin, direction: (3,) of the ray.
        before_m: distance of the surface, infinite where there is none.
    """
    if not len(eyes):
        return None
    along = np.asarray(direction) / np.linalg.norm(direction)
    away = eyes - np.asarray(origin)
    depth_m = away @ along
    off_m = np.linalg.norm(away - depth_m[:, None] * along, axis=1)
    share = np.where((depth_m > 0) & (depth_m < before_m), off_m / np.maximum(depth_m, 1e-6), 1.0)
    best = int(np.argmin(share))
    return best if share[best] <= CAMERA_REACH else None


def window_view(
    world_from_camera: NDArray[np.float64], fov_rad: float, aspect: float, width: int
) -> View:
    """What a browser's window shows, as a view to be rendered.

    Args:
        world_from_camera: (4, 4) of the browser's camera.
        fov_rad: vertical field of view.
        aspect: width by height.
        width: of the picture, pixels.
    """
    height = max(round(width / aspect), 1)
    focal = 0.5 * height / np.tan(0.5 * fov_rad)
    camera = PinholeCamera(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)
    return View(camera, world_from_camera)


def window_ray(window: View, screen: tuple[float, float]) -> tuple[Floats, Floats]:
    """Origin and direction (3,) of the ray through a place (x, y) in [0, 1] of a window."""
    camera, pose = window.camera, window.world_from_camera
    u, v = screen[0] * camera.width - 0.5, screen[1] * camera.height - 0.5
    direction = np.array([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0])
    return pose[:3, 3], pose[:3, :3] @ direction


def fitting_fov_rad(camera: PinholeCamera, aspect: float) -> float:
    """Vertical field of view with which a window of this aspect shows all of a camera's image."""
    up = max(camera.cy + 0.5, camera.height - 0.5 - camera.cy) / camera.fy
    side = max(camera.cx + 0.5, camera.width - 0.5 - camera.cx) / camera.fx
    return float(2 * np.arctan(max(up, side / aspect)))
