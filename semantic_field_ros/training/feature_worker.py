"""The feature thread: runs the 2D models on keyframes, beside training and never in its way."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.training.image_models import ImageModels
from semantic_field_ros.training.imagination import Imagination
from semantic_field_ros.training.priority import give_way
from semantic_field_ros.types import FrameFeatures, ImaginedView

logger = logging.getLogger(__name__)

#: weight of the newest keyframe in the running mean of seconds per keyframe.
SMOOTHING = 0.2
#: longest that a pause waits for the keyframe in hand, seconds.
PATIENCE_S = 120.0
#: times that a keyframe is looked at until the models can.
ATTEMPTS = 2
#: seconds after a failure in which keyframes get their turn only if they stand in line.
REST_S = 5.0


@dataclass(frozen=True)
class FeatureStatus:
    """What the thread has done.

    Attributes:
        backlog: keyframes waiting, in line or for a turn when nobody stands there.
        done: keyframes that got features.
        dropped: keyframes that lost their place in line, and may yet get a turn when nobody stands
            there, or were evicted meanwhile.
        failed: keyframes on which a model raised; they get one more turn.
        seconds_per_keyframe: running mean, 0 before the first.
        tiles_left_out: of all pyramids together, for want of time.
        error: of the newest failure, "" if there was none or a keyframe got features since.
        imagined: views between keyframes that were rendered and got features.
        imagined_dropped: those given up because a keyframe came.
    """

    backlog: int
    done: int
    dropped: int
    failed: int
    seconds_per_keyframe: float
    tiles_left_out: int
    error: str
    imagined: int
    imagined_dropped: int


class FeatureWorker:
    """Newest keyframe first, from a bounded queue whose oldest entry is dropped when it is full.

    When nothing stands in line, keyframes of the memory that still lack features get their turn:
    those that lost their place, and once more those on which a model has failed. While no keyframe
    waits at all, views that the map imagines may take some of the thread's time.

    Args:
        memory: where keyframes come from and features go.
        models: what runs.
        imagination: makes views between keyframes.
        on_features: told the id of a keyframe whose features are in the memory.
        capacity: most waiting keyframes.
    """

    def __init__(
        self,
        memory: ReplayMemory,
        models: ImageModels,
        imagination: Imagination,
        on_features: Callable[[int], None],
        capacity: int,
    ) -> None:
        self._memory, self._models, self._imagination = memory, models, imagination
        self._on_features, self._capacity = on_features, capacity
        self._waiting: list[int] = []
        self._changed = threading.Condition()
        self._running = self._paused = False
        self._in_hand: int | None = None
        self._failures = Counter[int]()
        # From when on the memory may hold keyframes that lack features and stand in no line.
        self._catches_up_at_s = math.inf
        self._thread: threading.Thread | None = None
        self._done = self._dropped = self._failed = self._tiles_left_out = 0
        self._seconds, self._error = 0.0, ""
        self._clearings = 0

    def start(self) -> None:
        """Starts the thread, which warms the models up first.

        Raises:
            RuntimeError: it runs already.
        """
        if self._thread is not None:
            raise RuntimeError("the feature worker runs already: call stop() first")
        self._running = True
        self._thread = threading.Thread(target=self._run, name="features", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Ends the thread after the keyframe under way."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(timeout_s)

    def pause(self) -> None:
        """Returns after the keyframe in hand; nothing else is begun until `resume`."""
        with self._changed:
            self._paused = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._in_hand is None, PATIENCE_S)

    def resume(self) -> None:
        """Goes on with what waits."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def submit(self, keyframe_id: int) -> None:
        """Puts a keyframe in line."""
        with self._changed:
            self._waiting.append(keyframe_id)
            if len(self._waiting) > self._capacity:
                self._waiting.pop(0)
                self._dropped += 1
                self._catches_up_at_s = 0.0
            self._changed.notify_all()

    def catch_up(self) -> None:
        """The memory holds keyframes that were never submitted: those without features wait."""
        with self._changed:
            self._catches_up_at_s = 0.0
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets what waits, and what comes out for the keyframe in hand: in the map that is
        loaded next another one may have its id. Nothing is begun until the next one is submitted,
        or `catch_up`."""
        with self._changed:
            self._waiting.clear()
            self._failures.clear()
            self._catches_up_at_s = math.inf
            self._clearings += 1

    def status(self) -> FeatureStatus:
        """Counters."""
        with self._changed:
            behind = math.isfinite(self._catches_up_at_s)
            return FeatureStatus(
                len({*self._waiting, *(self._lacking() if behind else ())}),
                self._done,
                self._dropped,
                self._failed,
                self._seconds,
                self._tiles_left_out,
                self._error,
                self._imagination.delivered,
                self._imagination.abandoned,
            )

    def _run(self) -> None:
        give_way()
        self._warm_up()
        while self._running:
            keyframe_id, clearings = self._next()
            try:
                if keyframe_id is not None:
                    self._look_at(keyframe_id, clearings)
                elif self._running and not self._paused:
                    self._imagination.work(self._features_of, self._interrupts)
            except Exception as error:
                logger.exception("no features for %s", keyframe_id)
                self._note_failure(keyframe_id, clearings, error)
            with self._changed:
                self._in_hand = None
                self._changed.notify_all()

    def _next(self) -> tuple[int | None, int]:
        """The newest keyframe that waits, None when it is time for something else; and how often
        what waits had been forgotten by then."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._paused and self._running))
            self._changed.wait_for(
                lambda: self._interrupts() or not self._running, self._pause_s()
            )
            self._in_hand = self._newest() if self._running and not self._paused else None
            return self._in_hand, self._clearings

    def _pause_s(self) -> float | None:
        """How long nothing but a keyframe in line can be done; None = for ever."""
        spare_s = self._imagination.pause_s()
        pause_s = self._catches_up_at_s - time.monotonic()
        pause_s = min(pause_s, math.inf if spare_s is None else spare_s)
        return pause_s if math.isfinite(pause_s) else None

    def _interrupts(self) -> bool:
        """Whether an imagined view must make way."""
        behind = time.monotonic() >= self._catches_up_at_s
        return bool(self._waiting) or behind or self._paused

    def _newest(self) -> int | None:
        """Of those in line; else of those that lack features, failures last."""
        if self._waiting:
            return self._waiting.pop()
        if time.monotonic() < self._catches_up_at_s:
            return None
        lacking = self._lacking()
        if not lacking:
            self._catches_up_at_s = math.inf
        return max(lacking, key=lambda i: (-self._failures[i], i), default=None)

    def _lacking(self) -> list[int]:
        """Keyframes of the memory without features that are not in hand, nor given up."""
        return [
            view.keyframe_id
            for view in self._memory.views()
            if not view.has_features
            and view.keyframe_id != self._in_hand
            and self._failures[view.keyframe_id] < ATTEMPTS
        ]

    def _look_at(self, keyframe_id: int, clearings: int) -> None:
        keyframe = self._memory.get(keyframe_id)
        if keyframe is None:
            with self._changed:
                self._dropped += 1
            return
        if keyframe.features is not None:  # its turn came before it stood in line
            return
        started_s = time.monotonic()
        features = self._models.features(keyframe.frame.rgb, keyframe.frame.ignored)
        with self._changed:  # no clearing between the look and the deed
            if clearings != self._clearings:
                return
            if not self._memory.set_features(keyframe_id, features):
                self._dropped += 1
                return
            self._count(time.monotonic() - started_s, features)
            self._on_features(keyframe_id)

    def _note_failure(self, keyframe_id: int | None, clearings: int, error: Exception) -> None:
        with self._changed:
            self._error = f"{type(error).__name__}: {error}"
            if keyframe_id is None or clearings != self._clearings:
                self._failed += 1
                return
            held = {view.keyframe_id for view in self._memory.views()}
            self._failures = Counter({i: n for i, n in self._failures.items() if i in held})
            self._failed += keyframe_id not in self._failures
            self._failures[keyframe_id] += 1
            self._catches_up_at_s = time.monotonic() + REST_S

    def _features_of(self, view: ImaginedView, wanted: Imagining) -> FrameFeatures:
        regions = wanted is Imagining.REGIONS
        return self._models.regions(view.rgb) if regions else self._models.embedded(view.rgb)

    def _warm_up(self) -> None:
        try:
            self._models.warm_up()
        except Exception:
            logger.exception("the 2D models cannot be warmed up")

    def _count(self, seconds: float, features: FrameFeatures) -> None:
        self._done += 1
        self._error = ""
        self._tiles_left_out += features.pyramid.left_out if features.pyramid else 0
        old = self._seconds or seconds
        self._seconds = old + SMOOTHING * (seconds - old)
