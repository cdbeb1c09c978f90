"""What a mesh is made of: keyframes with the depth that the map renders for them."""

from __future__ import annotations

import numpy as np

from semantic_field_ros.export.mesh import MeshView
from semantic_field_ros.geometry import pixel_grid, world_rays
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.stream.frames import size_within
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Keyframe

#: keyframes used, spread over all that are held.
MOST_VIEWS = 30
#: depth is rendered at most this wide, pixels.
DEPTH_WIDTH_PX = 128
#: rays that stop less light than this see no surface.
SEEN_OPACITY = 0.5


def mesh_views(snapshot: Snapshot, memory: ReplayMemory) -> list[MeshView]:
    """Some keyframes of the memory, spread over it, as a snapshot renders their depth."""
    ids = [view.keyframe_id for view in memory.views()]
    count = min(len(ids), MOST_VIEWS)
    chosen = [ids[i] for i in np.linspace(0, len(ids) - 1, count).round().astype(int)]
    keyframes = [memory.get(keyframe_id) for keyframe_id in chosen]
    return [_view(snapshot, keyframe) for keyframe in keyframes if keyframe is not None]


def _view(snapshot: Snapshot, keyframe: Keyframe) -> MeshView:
    frame = keyframe.frame
    width, height = size_within(frame.camera.width, frame.camera.height, DEPTH_WIDTH_PX)
    camera = frame.camera.scaled_to(width, height)
    pixel = pixel_grid(width, height)
    origins, directions = world_rays(camera, frame.world_from_camera, pixel)
    in_frame = (pixel + 0.5) * (frame.camera.width / width) - 0.5
    column, row = np.rint(in_frame).astype(np.int64).T
    row, column = row.clip(0, frame.camera.height - 1), column.clip(0, frame.camera.width - 1)
    measured_m = np.full(len(pixel), np.nan, np.float32)
    if frame.depth_m is not None:
        measured_m = frame.depth_m[row, column]
    along = snapshot.quadrature(np.ascontiguousarray(origins), directions, measured_m)
    solid = along.weights.sum(dim=1).cpu().numpy() >= SEEN_OPACITY
    if frame.ignored is not None:
        solid &= ~frame.ignored[row, column]
    depth_m = np.where(solid, along.depth_m.cpu().numpy(), np.nan).astype(np.float32)
    return MeshView(
        frame.camera, frame.world_from_camera, frame.rgb, depth_m.reshape(height, width)
    )
