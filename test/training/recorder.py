"""A trainer that trains nothing; shared by tests."""

import threading

import numpy as np

from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import FrameFeatures, ImaginedView, Keyframe, SurfaceCloud

FEATURES = FrameFeatures(np.zeros((1, 1, 1), np.float16), (), np.zeros((0, 2), np.float16))


class Recorder:
    """A `Trainable` that only writes down what it was asked to do."""

    def __init__(self) -> None:
        self.steps = 0
        self.lags = False
        self.added: list[int] = []
        self.forgotten: list[int] = []
        self.observed: list[int] = []
        self.observed_at: list[int] = []
        self.imagined: list[ImaginedView] = []
        self.halved: list[int] = []
        self.moved = 0
        self.fault: Exception | None = None
        self.passing_fault: Exception | None = None
        self.threads: set[str] = set()

    def step(self) -> dict[str, float]:
        self.threads.add(threading.current_thread().name)
        fault, self.passing_fault = self.fault or self.passing_fault, None
        if fault is not None:
            raise fault
        self.steps += 1
        return {"colour": 0.25}

    def add_keyframe(self, keyframe_id: int, slot: int) -> None:
        self.added.append(keyframe_id)

    def forget_keyframe(self, keyframe_id: int) -> None:
        self.forgotten.append(keyframe_id)

    def observe(self, keyframe: Keyframe) -> None:
        self.observed.append(keyframe.id)
        self.observed_at.append(self.steps)

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:
        self.imagined.append(view)

    def poses_changed(self) -> bool:
        self.moved += 1
        return True

    def snapshot(self, map_version: int) -> Snapshot:
        empty, none = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
        surface = SurfaceCloud(empty, empty, np.zeros((0, 3), np.uint8), none, {}, map_version)
        return Snapshot(
            map_version,
            0,
            surface,
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            imagining=Imagining.EMBEDDING,
        )

    def halve(self, times: int) -> None:
        self.halved.append(times)
