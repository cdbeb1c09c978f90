"""What is saved by itself while training stands still."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from semantic_field_ros.config import (
    Config,
    KeyframesConfig,
    MapConfig,
    SceneConfig,
    TrainingConfig,
)
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.geometry import look_at
from semantic_field_ros.training.checkpoint import load_map
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
CONFIG = Config(
    scene=SceneConfig(box_m=(-1.0, -2.0, -1.0, 3.0, 3.0, 3.0)),
    keyframes=KeyframesConfig(capacity=8),
    training=TrainingConfig(threads=1, rays=64, keyframes_to_start=4),
)


def frame(i: int) -> PosedFrame:
    pose = look_at(np.array([2.0, 0.2 * i, 1.0]), np.array([0.0, 0.2 * i, 1.0]))
    rgb, depth_m = np.full((24, 32, 3), 60 + 20 * i, np.uint8), np.ones((24, 32), np.float32)
    return PosedFrame(10**9 * (i + 1), "camera", CAMERA, pose, rgb, depth_m)


def until(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not come about in time")


def test_keyframes_and_features_that_come_while_training_is_paused_are_saved(
    tmp_path: Path,
) -> None:
    def saved() -> list:
        return load_map(tmp_path, "autosave").meta["keyframes"]

    maps = MapConfig(folder=str(tmp_path), autosave_s=0.1)
    with SemanticField(replace(CONFIG, map=maps)) as field:
        for i in range(4):
            field.ingest(frame(i))
        assert field.wait_for_snapshot()
        field.pause()
        until((tmp_path / "autosave" / "map.json").exists)
        until(lambda: len(saved()) == 4 and all(k["proposals"] is not None for k in saved()))
        assert field.ingest(frame(4)).keep
        until(lambda: len(saved()) == 5 and saved()[4]["proposals"] is not None)
