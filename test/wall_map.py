"""A wall that is mapped in a second, for tests of what is kept of a map."""

import numpy as np

from semantic_field_ros.config import Config, KeyframesConfig, SceneConfig, TrainingConfig
from semantic_field_ros.geometry import look_at
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
CONFIG = Config(
    scene=SceneConfig(box_m=(-1.0, -2.0, -1.0, 3.0, 3.0, 3.0)),
    keyframes=KeyframesConfig(capacity=8),
    training=TrainingConfig(threads=1, rays=64, keyframes_to_start=4),
)


def frame(i: int) -> PosedFrame:
    """The i-th view of the wall, 20 cm beside the one before and a little brighter."""
    pose = look_at(np.array([2.0, 0.2 * i, 1.0]), np.array([0.0, 0.2 * i, 1.0]))
    rgb, depth_m = np.full((24, 32, 3), 60 + 20 * i, np.uint8), np.ones((24, 32), np.float32)
    return PosedFrame(10**9 * (i + 1), "camera", CAMERA, pose, rgb, depth_m)
