"""What a mesh is made of: what keyframes saw, with the depth that the surface is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import PinholeCamera

#: keyframes used, spread over all that are held.
MOST_VIEWS = 60


@dataclass(frozen=True)
class MeshView:
    """What a keyframe contributes.

    Attributes:
        camera: intrinsics of `rgb`.
        world_from_camera: (4, 4) f64.
        rgb: (H, W, 3) u8 captured image.
        depth_camera: intrinsics of `depth_m`.
        depth_m: (h, w) f32 rendered from the same place; NaN in empty space.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    rgb: NDArray[np.uint8]
    depth_camera: PinholeCamera
    depth_m: NDArray[np.float32]


def mesh_views(snapshot: Snapshot, memory: ReplayMemory) -> list[MeshView]:
    """Some keyframes of the memory, spread over it, with the depth that a snapshot has of them."""
    count = min(len(snapshot.depths), MOST_VIEWS)
    chosen = np.linspace(0, len(snapshot.depths) - 1, count).round().astype(int)
    views = []
    for seen in (snapshot.depths[i] for i in chosen):
        keyframe = memory.get(seen.keyframe_id)
        if keyframe is not None:
            camera, rgb = keyframe.frame.camera, keyframe.frame.rgb
            pose = seen.world_from_camera
            views.append(MeshView(camera, pose, rgb, seen.camera, seen.depth_m))
    return views
