"""Where cameras were lately, also for frames that became no keyframes."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import PinholeCamera, PosedFrame

#: newest frames remembered: half a minute of four cameras at 30 Hz, some megabytes.
MOST_FRAMES = 4096


@dataclass(frozen=True)
class PassingView:
    """A frame without its pixels.

    Attributes:
        stamp_ns: of the frame.
        camera_name: of the robot's camera.
        camera: intrinsics of its images, in the size in which they came.
        world_from_camera: (4, 4) f64.
    """

    stamp_ns: int
    camera_name: str
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]


class PassingViews:
    """The newest frames of all cameras; safe to use from several threads."""

    def __init__(self, most: int = MOST_FRAMES) -> None:
        self._views: deque[PassingView] = deque(maxlen=most)
        self._lock = threading.Lock()

    def saw(self, frame: PosedFrame) -> None:
        """Remembers where a frame was taken."""
        view = PassingView(
            frame.stamp_ns, frame.camera_name, frame.camera, frame.world_from_camera
        )
        with self._lock:
            self._views.append(view)

    def of(self, camera_name: str) -> list[PassingView]:
        """Those of one camera, oldest first; of all cameras if it has no name."""
        with self._lock:
            return [v for v in self._views if not camera_name or v.camera_name == camera_name]

    def clear(self) -> None:
        """Forgets all of them, for the world has another frame now, or is corrected."""
        with self._lock:
            self._views.clear()
