"""The training thread: the only writer of the field.

Other threads hand in news (`keyframe_added`, `features_arrived`), ask for work to be done between
two steps (`call`), and read the newest `Snapshot`; they never touch the live field.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from semantic_field_ros import backends
from semantic_field_ros.config import TrainingConfig
from semantic_field_ros.keyframes.memory import Added, ReplayMemory
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.training.news import News
from semantic_field_ros.training.pace import Pace, Recurrence
from semantic_field_ros.training.priority import give_way
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.training.trainable import Trainable
from semantic_field_ros.training.versions import Versions
from semantic_field_ros.types import FrameFeatures, ImaginedView

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: seconds the thread sleeps at most while it has nothing to do.
IDLE_S = 0.25
#: attempts with smaller chunks after running out of memory.
MAX_SHRINKS = 4
#: steps without that, and a snapshot, after which chunks are twice as large again.
GOOD_STEPS = 100
#: snapshots take at most this share of the thread's time.
SNAPSHOT_SHARE = 0.2
#: weight of the newest step in the running averages of the losses.
SMOOTHING = 0.05


@dataclass(frozen=True)
class WorkerStatus:
    """What the thread is doing.

    Attributes:
        state: "waiting" (for keyframes), "training", "idle" (nothing new to learn), "paused",
            "failed" or "stopped".
        steps: optimisation steps of the map so far, also before it was saved and loaded.
        steps_per_s: over the last few seconds, 0 while not training.
        losses: running averages by name.
        map_version: of the newest snapshot, 0 while there is none.
        error: why it failed, "" otherwise.
    """

    state: str
    steps: int
    steps_per_s: float
    losses: dict[str, float]
    map_version: int
    error: str


class TrainingWorker:
    """Runs a `Trainable` in a thread of its own.

    Args:
        memory: keyframes to learn from.
        make_trainer: called in the thread once there are keyframes enough; None = not yet.
        config: pace.
    """

    def __init__(
        self,
        memory: ReplayMemory,
        make_trainer: Callable[[], Trainable | None],
        config: TrainingConfig,
    ) -> None:
        self.versions = Versions()
        self._memory, self._make_trainer, self._config = memory, make_trainer, config
        self._trainer: Trainable | None = None
        self._snapshot: Snapshot | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._new_snapshot = threading.Condition(self._lock)
        self._waiting = News(memory)
        self._calls: deque[tuple[Callable[[Trainable | None], Any], Future[Any]]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = self._paused = self._moved = False
        self._pace = Pace()
        self._snapshots = Recurrence(config.snapshot_every_s, SNAPSHOT_SHARE)
        self._losses: dict[str, float] = {}
        self._steps = self._steps_at_news = self._shrinks = self._adopted_at = 0
        self._shrunk_at = 0
        self._published_step = -1
        self._state, self._error = "waiting", ""

    def start(self) -> None:
        """Starts the thread.

        Raises:
            RuntimeError: it runs already.
        """
        if self._thread is not None:
            raise RuntimeError("the training worker runs already: call stop() first")
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Ends the thread after the step under way; work not yet done is cancelled."""
        thread, self._thread = self._thread, None
        self._stopping = True
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)
        while self._calls:
            self._calls.popleft()[1].cancel()
        self._state = "stopped"

    def pause(self) -> None:
        """No further steps until `resume`; frees their memory. Calls and queries still work."""
        self._paused = True
        self.call(lambda _: backends.release_memory())

    def resume(self) -> None:
        """Goes on training."""
        self._paused = False
        self._wake.set()

    def keyframe_added(self, added: Added) -> None:
        """There is something new to learn from; maybe something old is gone."""
        self._waiting.keyframe_added(added)
        self._news()

    def features_arrived(self, keyframe_id: int) -> None:
        """The memory now holds the features of this keyframe."""
        self._waiting.features_arrived(keyframe_id)
        self._news()

    def poses_changed(self) -> None:
        """Keyframes in the memory have moved: the surface follows at once, also while paused, and
        learning goes on."""
        self._moved = True
        self._news()

    def wanted(self) -> Imagining:
        """What is wanted of a view imagined now; NOTHING unless training could use it at once."""
        snapshot = self.snapshot()
        if snapshot is None or self._waiting.imagined_waits or self.status().state != "training":
            return Imagining.NOTHING
        return snapshot.imagining

    def imagined(self, map_version: int, view: ImaginedView, features: FrameFeatures) -> None:
        """Hands in a view that was `wanted`; no news, for it shows nothing new.

        Args:
            map_version: of the snapshot that it was rendered from; of a map that another one has
                replaced meanwhile, it is not used.
            view, features: the view.
        """
        self._waiting.imagined(map_version, view, features)

    def call(self, work: Callable[[Trainable | None], T]) -> Future[T]:
        """Does `work(trainer)` in the thread, between two steps."""
        future: Future[T] = Future()
        self._calls.append((work, future))
        self._wake.set()
        return future

    def done(self, work: Callable[[Trainable | None], T], patience_s: float) -> T:
        """`call`, and waits for it; what has not begun by then is not done later.

        Raises:
            TimeoutError: it took longer than this.
        """
        future = self.call(work)
        try:
            return future.result(patience_s)
        except FutureTimeout as error:  # which on Python 3.10 is no OSError
            future.cancel()
            why = f"training did not get round to it within {patience_s:.0f} s"
            raise TimeoutError(why) from error

    @property
    def trainer(self) -> Trainable | None:
        """What is trained; only for the thread itself, or while it does not run."""
        return self._trainer

    def adopt(self, trainer: Trainable | None, map_version: int = 0) -> None:
        """Replaces the trainer, not yet published; only from inside `call`, or before `start`.

        Features that the memory holds are news for it. What made the last one fail is forgotten
        with it. Versions go on counting, for nobody must take its snapshots for earlier ones.

        Args:
            trainer: None makes a new one of the keyframes to come.
            map_version: that it had when it was saved; its snapshots have later ones.
        """
        self._trainer = trainer
        # Keyframes may have been moved while the map was written.
        self._moved = trainer is not None
        self._state, self._error, self._shrinks, self._published_step = "waiting", "", 0, -1
        self._waiting.clear()
        self._waiting.tell_features_again()
        self._losses, self._steps = {}, 0 if trainer is None else trainer.steps
        self.versions.reach(map_version)
        self._adopted_at = self.versions.newest
        with self._lock:
            self._snapshot = None
        self._news()

    def settle(self) -> None:
        """Publishes what moved and what was learnt since the newest snapshot; from inside `call`,
        as `adopt`."""
        self._follow_poses()
        known = self._trainer is not None and self._state != "failed"
        if known and self._steps != self._published_step:
            self._publish()

    def snapshot(self) -> Snapshot | None:
        """The newest published snapshot; None before the first."""
        with self._lock:
            return self._snapshot

    def map_version(self) -> int:
        """Of the newest snapshot, 0 while there is none."""
        snapshot = self.snapshot()
        return 0 if snapshot is None else snapshot.map_version

    def wait_for_snapshot(self, min_version: int, timeout_s: float) -> Snapshot | None:
        """The first snapshot of at least this version; None if none came in time."""

        def ready() -> bool:
            return self._snapshot is not None and self._snapshot.map_version >= min_version

        with self._new_snapshot:
            return self._snapshot if self._new_snapshot.wait_for(ready, timeout_s) else None

    def status(self) -> WorkerStatus:
        """What the thread is doing now."""
        state = "paused" if self._paused and self._state != "failed" else self._state
        rate = self._pace.per_s() if state == "training" else 0.0
        losses = dict(self._losses)
        return WorkerStatus(state, self._steps, rate, losses, self.map_version(), self._error)

    def _news(self) -> None:
        self._steps_at_news = self._steps
        self._wake.set()

    def _run(self) -> None:
        give_way()
        while not self._stopping:
            try:
                self._turn()
            except torch.OutOfMemoryError as error:
                self._out_of_memory(error)
            except Exception as error:
                logger.exception("training failed")
                self._fail(f"{type(error).__name__}: {error}")

    def _turn(self) -> None:
        """Calls, news, one step, perhaps a snapshot; or a short sleep."""
        self._wake.clear()
        self._do_calls()
        self._follow_poses()
        if self._state == "failed" or self._rests() or not self._has_trainer():
            self._hold_news()
            self._wake.wait(IDLE_S)
            return
        self._take_in_news()
        if self._paused:
            return
        limit = self._config.max_steps_without_news
        if limit and self._steps - self._steps_at_news >= limit:
            self._state = "idle"
            self.settle()
            self._wake.wait(IDLE_S)
            return
        self._state = "training"
        self._step()
        if self._snapshots.due(time.monotonic()):
            self._publish()

    def _rests(self) -> bool:
        """Whether training pauses, and answers need not follow corrected poses meanwhile."""
        trainer = self._trainer
        follows = trainer is not None and trainer.lags and self._waiting.features_wait
        return self._paused and not follows

    def _take_in_news(self) -> None:
        assert self._trainer is not None
        lagged = self._trainer.lags
        self._waiting.take_in(self._trainer, self._adopted_at)
        if self._paused and lagged and not self._trainer.lags:
            self._publish()  # no step will

    def _do_calls(self) -> None:
        while self._calls:
            work, future = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(self._trainer))
            except Exception as error:  # belongs to whoever asked
                future.set_exception(error)

    def _has_trainer(self) -> bool:
        enough = len(self._memory) >= self._config.keyframes_to_start or self._memory.full
        if self._trainer is None and enough:
            self._trainer = self._make_trainer()
        if self._trainer is None:
            self._state = "waiting"
        return self._trainer is not None

    def _hold_news(self) -> None:
        if self._state == "failed":
            self._waiting.clear()
        else:
            self._waiting.hold(self._trainer)

    def _follow_poses(self) -> None:
        if not self._moved or self._trainer is None:
            return
        self._moved = False
        if self._trainer.poses_changed():
            self._waiting.tell_features_again()
        self._publish()

    def _step(self) -> None:
        assert self._trainer is not None
        for name, value in self._trainer.step().items():
            old = self._losses.get(name, value)
            self._losses[name] = old + SMOOTHING * (value - old)
        self._steps += 1
        self._pace.tick()

    def _publish(self) -> None:
        assert self._trainer is not None
        began_s, version = time.monotonic(), self.versions.newest + 1
        snapshot = self._trainer.snapshot(version)
        self._published_step = self._steps
        with self._new_snapshot:
            self._snapshot = snapshot
            self.versions.reach(version)
            self._new_snapshot.notify_all()
        backends.trim_heap()
        self._snapshots.done(began_s, time.monotonic())
        if self._shrinks and self._steps - self._shrunk_at >= GOOD_STEPS:
            self._shrink(self._trainer, self._shrinks - 1)

    def _out_of_memory(self, error: Exception) -> None:
        if self._trainer is None or self._shrinks == MAX_SHRINKS:
            self._fail(
                f"out of memory after {MAX_SHRINKS} attempts with smaller chunks; the map is "
                f"kept: lower training.rays or keyframes.max_width_px ({error})"
            )
            return
        logger.warning("out of memory: halving the chunks (%s)", error)
        self._shrink(self._trainer, self._shrinks + 1)

    def _shrink(self, trainer: Trainable, times: int) -> None:
        self._shrinks, self._shrunk_at = times, self._steps
        trainer.halve(times)

    def _fail(self, why: str) -> None:
        self._error, self._state = why, "failed"
