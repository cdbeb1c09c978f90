"""What the working threads, the memory and the map are at, as plain JSON values."""

from __future__ import annotations

import math
import os
from typing import Any

import psutil

from semantic_field_ros.keyframes.memory import MemoryStatus
from semantic_field_ros.training.feature_worker import FeatureStatus
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.training.worker import WorkerStatus


def work_status(training: WorkerStatus, features: FeatureStatus) -> dict[str, Any]:
    """What is going on, what was dropped and why."""
    return {
        "state": training.state,
        "message": training.error or features.error,
        "map_version": training.map_version,
        "steps": training.steps,
        "steps_per_s": round(training.steps_per_s, 2),
        "losses": {name: round(value, 6) for name, value in training.losses.items()},
        "loss": training.losses.get("total"),
        "psnr_db": psnr_db(training.losses.get("colour")),
        "feature_backlog": features.backlog,
        "features_done": features.done,
        "features_dropped": features.dropped,
        "features_failed": features.failed,
        "tiles_left_out": features.tiles_left_out,
        "imagined": features.imagined,
        "imagined_dropped": features.imagined_dropped,
        "seconds_per_keyframe": round(features.seconds_per_keyframe, 3),
    }


def memory_status(replay: MemoryStatus) -> dict[str, Any]:
    """What is held in memory, by the keyframes and by the whole process."""
    return {
        "keyframes": replay.keyframes,
        "keyframes_evicted": replay.evicted,
        "keyframe_mb": round((replay.image_bytes + replay.feature_bytes) / 2**20, 1),
        "memory_mb": round(psutil.Process(os.getpid()).memory_info().rss / 2**20, 1),
    }


def snapshot_status(snapshot: Snapshot | None) -> dict[str, Any]:
    """What can be asked at present."""
    return {
        "surface_points": 0 if snapshot is None else len(snapshot.surface.points),
        "method_ms": {} if snapshot is None else snapshot.method_ms,
    }


def psnr_db(mean_squared_error: float | None) -> float | None:
    """Of colours in [0, 1]; None before training."""
    if not mean_squared_error:
        return None
    return round(-10 * math.log10(mean_squared_error), 2)
