"""What all browsers share: a coarse cloud, the cameras and the progress, kept up with the map."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from viser import ViserServer

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.geometry import project
from semantic_field_ros.types import SurfaceCloud
from semantic_field_ros.viewer.progress import ProgressPanel
from semantic_field_ros.viewer.scene import (
    FRUSTUM_SHARE,
    clear_surface,
    draw_cameras,
    draw_surface,
    extent_m,
    thinned,
)

logger = logging.getLogger(__name__)

#: seconds between two looks at the map.
PERIOD_S = 1.0
#: of the cloud that all browsers share, and show at once.
COARSE_POINTS = 10_000


class LiveMap:
    """Looks at the map from a thread of its own and redraws what has changed.

    Args:
        server: of all browsers.
        field: the map.
        most_points: of the fine clouds that browsers get of their own.
        on_look: called after each look, from that thread.
    """

    def __init__(
        self,
        server: ViserServer,
        field: SemanticField,
        most_points: int,
        on_look: Callable[[], None],
    ) -> None:
        self._server, self._field = server, field
        self._most_points, self._on_look = most_points, on_look
        self._progress = ProgressPanel(server.gui, field)
        self._surface: SurfaceCloud | None = None
        self._poses = b""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def start(self) -> None:
        """Draws what there is, then follows the map."""
        self._try_to_look()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    @property
    def surface(self) -> SurfaceCloud | None:
        """The surface that is drawn; None before the first."""
        return self._surface

    def shown(self, surface: SurfaceCloud) -> NDArray[np.int64]:
        """(M,) which points of a surface a browser's own cloud has."""
        return thinned(surface, self._most_points)

    def look(self) -> None:
        """Draws what has changed since the last look."""
        self._show_progress()
        surface, drawn = self._field.surface(), self._surface
        if surface is not drawn:
            self._draw(surface, is_first=drawn is None)
        self._look_at_cameras()
        self._on_look()

    def _show_progress(self) -> None:
        try:
            self._progress.show(self._field.status())
        except RuntimeError as error:  # a node that is not configured has no map to look at
            self._progress.refused(str(error))

    def _draw(self, surface: SurfaceCloud | None, is_first: bool) -> None:
        self._surface = surface
        if surface is None:  # the map was reset, or freed by its node
            clear_surface(self._server.scene)
            return
        if is_first:
            self._aim(surface)
        coarse = thinned(surface, min(COARSE_POINTS, self._most_points))
        with self._server.atomic():
            draw_surface(self._server.scene, surface, coarse, surface.rgb)

    def _look_at_cameras(self) -> None:
        surface = self._surface
        views = self._field.keyframes() if surface is not None else []
        poses = np.array([view.world_from_camera for view in views]).tobytes()
        if poses != self._poses:
            self._poses = poses
            length_m = FRUSTUM_SHARE * extent_m(surface) if surface is not None else 0.0
            draw_cameras(self._server.scene, views, length_m)

    def _aim(self, surface: SurfaceCloud) -> None:
        """Browsers open on what the camera looked at, a little above and behind it."""
        views = self._field.keyframes()
        if not views:
            return
        view = views[len(views) // 2]
        pose = view.world_from_camera
        _, depth_m = project(view.camera, pose, surface.points)
        away_m = float(np.median(depth_m[depth_m > 0])) if (depth_m > 0).any() else 1.0
        target = pose[:3, 3] + away_m * pose[:3, 2]
        eye = target + 1.15 * (pose[:3, 3] - target) + np.array([0, 0, 0.15 * away_m])
        self._server.initial_camera.position = eye
        self._server.initial_camera.look_at = target
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = eye, target

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self._try_to_look()

    def _try_to_look(self) -> None:
        try:
            self.look()
        except Exception:  # the page must not stand still for one failed look
            logger.exception("the viewer could not draw the map")
