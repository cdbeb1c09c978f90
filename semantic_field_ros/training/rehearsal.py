"""A map of an invented wall, made and thrown away before the robot's first frame.

What is compiled or set up at its first use, which takes many seconds once per installation, is
ready afterwards, and does not compete with the stream for the CPU.
"""

from __future__ import annotations

import numpy as np

from semantic_field_ros.config import Config
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.keyframes.memory import RECENT, ReplayMemory
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.types import PinholeCamera, PosedFrame

#: how far away the wall is, metres.
WALL_M = 1.0


def rehearse(config: Config) -> None:
    """Takes in two views of the wall, learns one step and makes what questions are asked of."""
    memory = ReplayMemory(RECENT + 1)
    mapper = Mapper(config, SceneBounds((-1.0, -1.0, 0.0, 1.0, 1.0, 2.0)), memory, {})
    for stamp_ns, x_m in enumerate((-0.1, 0.1)):
        added = memory.add(_wall(stamp_ns, x_m))
        mapper.add_keyframe(added.keyframe_id, added.slot)
    mapper.step()
    mapper.snapshot(1)


def _wall(stamp_ns: int, x_m: float) -> PosedFrame:
    camera = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
    world_from_camera = np.eye(4)
    world_from_camera[0, 3] = x_m
    size = (camera.height, camera.width)
    rgb = np.full((*size, 3), 128, np.uint8)
    depth_m = np.full(size, WALL_M, np.float32)
    return PosedFrame(stamp_ns, "rehearsal", camera, world_from_camera, rgb, depth_m)
