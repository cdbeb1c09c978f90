"""Views between keyframes, rendered from the newest snapshot (camera augmentation, SAN 4.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import ImaginationConfig
from semantic_field_ros.field.pictures import render_rays
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.geometry import (
    interpolate_pose,
    pixel_grid,
    rotation_angle_rad,
    world_rays,
)
from semantic_field_ros.keyframes.memory import KeyframeView, ReplayMemory
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.stream.frames import size_within
from semantic_field_ros.training.worker import TrainingWorker
from semantic_field_ros.types import FrameFeatures, ImaginedView, PinholeCamera

#: a view lies between a keyframe and one of this many nearest ones.
NEIGHBOURS = 6
#: that look less than this far away from it.
LARGEST_TURN_RAD = 1.0
#: views that show less than this share of surface are left out.
LEAST_SEEN = 0.6
#: rays rendered at once; a keyframe that arrives waits for no more than these.
BAND_RAYS = 4096
#: seconds between looks whether anything is wanted.
POLL_S = 0.25


class Imagination:
    """Makes views for methods that want them, in the feature thread and only in its spare time.

    It reads snapshots, as queries do, so neither training nor a keyframe waits for it.

    Args:
        config: how much time it may take.
        memory: the keyframes between which views lie.
        worker: says what is wanted, and gets it.
        seed: of which views are made.
    """

    def __init__(
        self,
        config: ImaginationConfig,
        memory: ReplayMemory,
        worker: TrainingWorker,
        seed: int = 0,
    ) -> None:
        if not 0 <= config.time_share < 1:
            raise ValueError(f"imagination.time_share must be in [0, 1), got {config.time_share}")
        self._config, self._memory, self._worker = config, memory, worker
        self._rng = np.random.default_rng(seed)
        self._rests_until_s = 0.0
        self.delivered = 0
        self.abandoned = 0

    def pause_s(self) -> float | None:
        """How long to wait for a keyframe before something may be imagined; None = for ever."""
        if self._config.time_share == 0:
            return None
        return max(POLL_S, self._rests_until_s - time.monotonic())

    def work(
        self,
        look: Callable[[ImaginedView, Imagining], FrameFeatures],
        interrupted: Callable[[], bool],
    ) -> None:
        """Imagines one view, if one is wanted and no rest is due, and hands it to training.

        Args:
            look: runs the 2D models as far as is wanted.
            interrupted: whether a keyframe waits; the view is then abandoned.
        """
        if self._config.time_share == 0 or time.monotonic() < self._rests_until_s:
            return
        wanted, snapshot = self._worker.wanted(), self._worker.snapshot()
        if wanted is Imagining.NOTHING or snapshot is None:
            return
        started_s = time.monotonic()
        try:
            view = self._view(snapshot.field, interrupted)
            if interrupted():
                self.abandoned += 1
            elif view is not None:
                self._worker.imagined(snapshot.map_version, view, look(view, wanted))
                self.delivered += 1
        finally:  # what fails must not be tried again without a rest
            took_s = time.monotonic() - started_s
            rest = 1 / self._config.time_share - 1
            self._rests_until_s = time.monotonic() + rest * took_s

    def _view(self, field: SceneField, interrupted: Callable[[], bool]) -> ImaginedView | None:
        """A view between two keyframes; None if there is nothing to see, or if interrupted."""
        pair = neighbouring_views(self._memory.views(), self._rng)
        if pair is None:
            return None
        first, second = pair
        pose = interpolate_pose(
            first.world_from_camera, second.world_from_camera, float(self._rng.uniform())
        )
        camera = first.camera
        size = size_within(camera.width, camera.height, self._config.max_width_px)
        return render_view(field, camera.scaled_to(*size), pose, interrupted)


def neighbouring_views(
    views: Sequence[KeyframeView], rng: np.random.Generator
) -> tuple[KeyframeView, KeyframeView] | None:
    """A random keyframe and a random one of those near it that look a similar way, or None."""
    if len(views) < 2:
        return None
    first = views[int(rng.integers(len(views)))]
    pose = first.world_from_camera
    others = [
        view
        for view in views
        if view.keyframe_id != first.keyframe_id
        and view.camera_name == first.camera_name
        and rotation_angle_rad(pose, view.world_from_camera) < LARGEST_TURN_RAD
    ]
    if not others:
        return None
    away_m = [np.linalg.norm(view.world_from_camera[:3, 3] - pose[:3, 3]) for view in others]
    nearest = np.argsort(away_m)[:NEIGHBOURS]
    return first, others[int(rng.choice(nearest))]


def render_view(
    field: SceneField,
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
    interrupted: Callable[[], bool],
) -> ImaginedView | None:
    """What `field` shows there; None if that is too little, or if interrupted on the way."""
    pixel = pixel_grid(camera.width, camera.height)
    origins, directions = world_rays(camera, world_from_camera, pixel)
    rgb = np.empty((len(pixel), 3), np.uint8)
    depth_m = np.empty(len(pixel), np.float32)
    for start in range(0, len(pixel), BAND_RAYS):
        if interrupted():
            return None
        band = slice(start, start + BAND_RAYS)
        rendered = render_rays(field, origins[band], directions[band])
        rgb[band] = np.rint(255 * np.clip(rendered.rgb, 0, 1))
        depth_m[band] = rendered.depth_m
    if np.isfinite(depth_m).mean() < LEAST_SEEN:
        return None
    size = (camera.height, camera.width)
    return ImaginedView(camera, world_from_camera, rgb.reshape(*size, 3), depth_m.reshape(size))
