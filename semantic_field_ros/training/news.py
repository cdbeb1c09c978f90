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
        self._features: deque[tuple[int, bool]] = deque()  # id, and whether it has failed once
        self._imagined: deque[tuple[int, ImaginedView, FrameFeatures]] = deque()

    @property
    def imagined_waits(self) -> bool:
        """Whether an imagined view has not been taken in yet."""
        return bool(self._imagined)

    @property
    def features_wait(self) -> bool:
        """Whether there are features that have not been taken in yet."""
        return bool(self._features)

    def keyframe_added(self, added: Added) -> None:
        """There is something new to learn from; maybe something old is gone."""
        self._added.append(added)

    def features_arrived(self, keyframe_id: int) -> None:
        """The memory now holds the features of this keyframe."""
        self._features.append((keyframe_id, False))

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
        held = (view.keyframe_id for view in self._memory.views() if view.has_features)
        self._features.extend((keyframe_id, False) for keyframe_id in held)

    def take_in(self, trainer: Trainable, adopted_at: int) -> None:
        """Tells the trainer of all keyframes, and of the features of one.

        If that fails, others come first, and it is told of these once more.

        Args:
            trainer: see there.
            adopted_at: views that were imagined from this version or before show another map.
        """
        self._take_in_keyframes(trainer)
        # One a turn, of those that are left: targets take time to build, and steps must go on.
        while self._features:
            keyframe_id, again = self._features.popleft()
            keyframe = self._memory.get(keyframe_id)
            if keyframe is not None and keyframe.features is not None:
                try:
                    trainer.observe(keyframe)
                except Exception:
                    if not again:
                        self._features.append((keyframe_id, True))
                    raise
                return
        if self._imagined:
            map_version, view, features = self._imagined.popleft()
            if map_version > adopted_at:
                trainer.imagine(view, features)

    def hold(self, trainer: Trainable | None) -> None:
        """Nothing is learnt for now, and cameras may go on: keeps no more than the memory does.

        Args:
            trainer: None where there is no map yet.
        """
        if trainer is not None:
            self._take_in_keyframes(trainer)
        # Taken out before the memory is asked, so that what arrives meanwhile stays, behind them.
        added = [self._added.popleft() for _ in range(len(self._added))]
        features = [self._features.popleft() for _ in range(len(self._features))]
        held = {view.keyframe_id for view in self._memory.views()}
        self._added.extendleft(a for a in reversed(added) if a.keyframe_id in held)
        self._features.extendleft(f for f in reversed(features) if f[0] in held)

    def _take_in_keyframes(self, trainer: Trainable) -> None:
        while self._added:
            added = self._added.popleft()
            if added.evicted_id is not None:
                trainer.forget_keyframe(added.evicted_id)
            trainer.add_keyframe(added.keyframe_id, added.slot)
