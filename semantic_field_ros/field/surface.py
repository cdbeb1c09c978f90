"""The visible surface of the map, built from what the field shows in the keyframes.

Every keyframe has one patch: the field's depth and colour along every `stride_px`-th pixel. A
snapshot renders a few patches anew (`due` says which), and `cloud` merges all of them into one
`SurfaceCloud` without flying pixels and without points that other keyframes look through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import SurfaceConfig
from semantic_field_ros.types import PinholeCamera, SurfaceCloud

Float32 = NDArray[np.float32]

#: (origins (R, 3), directions (R, 3), sensor depth (R,) NaN unknown) -> (rgb (R, 3) in [0, 1],
#: depth_m (R,), opacity (R,) in [0, 1]); all f32, directions as in `RayBatch`.
Render = Callable[[Float32, Float32, Float32], tuple[Float32, Float32, Float32]]


@dataclass(frozen=True)
class SurfaceView:
    """A keyframe to render: its pose, and the sensor's depth (H, W) f32 metres, or None."""

    keyframe_id: int
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    depth_m: Float32 | None = None


@dataclass(frozen=True)
class KeyframeDepth:
    """What a keyframe sees, at low resolution: for visibility tests.

    Attributes:
        keyframe_id: of the keyframe.
        camera: of `depth_m` (one pixel per `stride_px` of the keyframe).
        world_from_camera: (4, 4) f64.
        depth_m: (h, w) f32 rendered depth, NaN where the field is transparent.
    """

    keyframe_id: int
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    depth_m: Float32


class SurfaceBuilder:
    """Keeps one patch per keyframe; used by the training worker only."""

    def __init__(
        self, config: SurfaceConfig, box_min: NDArray[np.float64], box_max: NDArray[np.float64]
    ) -> None:
        """`box_min`, `box_max`: (3,) metres; points outside are left out."""
        raise NotImplementedError

    def due(self, ids: Sequence[int], count: int) -> list[int]:
        """At most `count` of the keyframes `ids` that should be rendered next."""
        raise NotImplementedError

    def refresh(self, views: Sequence[SurfaceView], render: Render) -> None:
        """Renders the patches of these keyframes anew."""
        raise NotImplementedError

    def forget(self, keyframe_id: int) -> None:
        """The keyframe is gone; its surface stays until other keyframes look through it."""
        raise NotImplementedError

    def move(self, keyframe_id: int, world_from_camera: NDArray[np.float64]) -> None:
        """The keyframe's pose was corrected: its patch moves along."""
        raise NotImplementedError

    def cloud(self, map_version: int) -> SurfaceCloud:
        """The merged surface, without features."""
        raise NotImplementedError

    def depths(self) -> list[KeyframeDepth]:
        """The depth maps of the keyframes that are still there, oldest first."""
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that `load_state` needs, as arrays for a checkpoint."""
        raise NotImplementedError

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes over what `state` returned."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forgets everything."""
        raise NotImplementedError
