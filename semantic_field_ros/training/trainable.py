"""What the training thread drives."""

from __future__ import annotations

from typing import Protocol

from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import FrameFeatures, ImaginedView, Keyframe


class Trainable(Protocol):
    """A map that learns; `mapper.Mapper` in the product."""

    @property
    def steps(self) -> int:
        """Optimisation steps of the map so far, also before it was saved and loaded."""

    @property
    def lags(self) -> bool:
        """Whether answers still lie where things were before keyframes moved."""

    def step(self) -> dict[str, float]:
        """One optimisation step; named losses."""

    def observe(self, keyframe: Keyframe) -> None:
        """A keyframe's features have arrived."""

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:
        """An imagined view and its features have arrived."""

    def add_keyframe(self, keyframe_id: int, slot: int) -> None:
        """A keyframe was added to the memory."""

    def forget_keyframe(self, keyframe_id: int) -> None:
        """A keyframe was evicted from the memory."""

    def poses_changed(self) -> bool:
        """Keyframes in the memory have moved; whether their features must be observed again."""

    def snapshot(self, map_version: int) -> Snapshot:
        """An immutable copy for queries."""

    def halve(self, times: int) -> None:
        """Computes so many times half as much at once as configured."""
