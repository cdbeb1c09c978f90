"""What waits for the training thread to take it in."""

from __future__ import annotations

from collections import deque

from semantic_field_ros.keyframes.memory import Added, ReplayMemory
from semantic_field_ros.training.trainable import Trainable
from semantic_field_ros.types import FrameFeatures, ImaginedView


class News:
    """Any thread hands in; the rest is for the training thread.

    Args:
        memory: where the keyframes are that it tells of.
    """

    def __init__(self, memory: ReplayMemory) -> None:
        self._memory = memory
        self._added: deque[Added] = deque()
        self._features: deque[int] = deque()
        self._imagined: deque[tuple[int, ImaginedView, FrameFeatures]] = deque()

    @property
    def imagined_waits(self) -> bool:
        """Whether an imagined view has not been taken in yet."""
        return bool(self._imagined)

    def keyframe_added(self, added: Added) -> None:
        """There is something new to learn from; maybe something old is gone."""
        self._added.append(added)

    def features_arrived(self, keyframe_id: int) -> None:
        """The memory now holds the features of this keyframe."""
        self._features.append(keyframe_id)

    def imagined(self, map_version: int, view: ImaginedView, features: FrameFeatures) -> None:
        """A view that was rendered from this version, with its features."""
        self._imagined.append((map_version, view, features))

    def clear(self) -> None:
        """Nothing waits any more."""
        self._features.clear()
        self._imagined.clear()
        self._added.clear()

    def tell_features_again(self) -> None:
        """All features that the memory holds are news."""
        # In this order nothing is lost that arrives meanwhile.
        self._features.clear()
        self._features.extend(v.keyframe_id for v in self._memory.views() if v.has_features)

    def take_in(self, trainer: Trainable, adopted_at: int) -> None:
        """Tells the trainer of all keyframes, and of the features of one.

        Args:
            trainer: see there.
            adopted_at: views that were imagined from this version or before show another map.
        """
        self._take_in_keyframes(trainer)
        # One a turn, of those that are left: targets take time to build, and steps must go on.
        while self._features:
            keyframe = self._memory.get(self._features.popleft())
            if keyframe is not None and keyframe.features is not None:
                trainer.observe(keyframe)
                return
        if self._imagined:
            map_version, view, features = self._imagined.popleft()
            if map_version > adopted_at:
                trainer.imagine(view, features)

    def hold(self, trainer: Trainable) -> None:
        """Training pauses, and cameras may not: keeps no more than the memory does."""
        self._take_in_keyframes(trainer)
        held = {view.keyframe_id for view in self._memory.views()}
        for _ in range(len(self._features)):
            keyframe_id = self._features.popleft()
            if keyframe_id in held:
                self._features.append(keyframe_id)

    def _take_in_keyframes(self, trainer: Trainable) -> None:
        while self._added:
            added = self._added.popleft()
            if added.evicted_id is not None:
                trainer.forget_keyframe(added.evicted_id)
            trainer.add_keyframe(added.keyframe_id, added.slot)
