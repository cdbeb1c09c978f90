"""The camera of one browser: where it is, and how it looks through another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from viser import ClientHandle

from semantic_field_ros.geometry import pose_from_quaternion
from semantic_field_ros.viewer.pointing import View, fitting_fov_rad, window_view
from semantic_field_ros.viewer.scene import wxyz

#: width of a picture rendered for the window, pixels.
RENDERED_WIDTH_PX = 400


@dataclass(frozen=True)
class _Place:
    position: NDArray[np.float64]
    look_at: NDArray[np.float64]
    up: NDArray[np.float64]
    fov_rad: float


class Window:
    """Moves the browser's camera into that of a picture and back to where it was.

    Args:
        client: the browser.
    """

    def __init__(self, client: ClientHandle) -> None:
        self._client = client
        self._before: _Place | None = None

    def view(self) -> View:
        """What the window shows now, as a view to be rendered."""
        camera = self._client.camera
        pose = pose_from_quaternion(camera.position, np.roll(camera.wxyz, -1))
        return window_view(pose, camera.fov, camera.aspect, RENDERED_WIDTH_PX)

    def enter(self, view: View) -> None:
        """Looks through the view's camera, so that its whole picture is seen."""
        camera = self._client.camera
        if self._before is None:
            self._before = _Place(
                camera.position.copy(),
                camera.look_at.copy(),
                camera.up_direction.copy(),
                camera.fov,
            )
        pose = view.world_from_camera
        with self._client.atomic():
            camera.position = pose[:3, 3]
            camera.wxyz = wxyz(pose)
            camera.fov = fitting_fov_rad(view.camera, camera.aspect)

    def leave(self) -> None:
        """Goes back to where the browser was before it entered a camera."""
        before, self._before = self._before, None
        if before is None:
            return
        camera = self._client.camera
        with self._client.atomic():
            camera.position = before.position
            camera.look_at = before.look_at
            camera.up_direction = before.up
            camera.fov = before.fov_rad
