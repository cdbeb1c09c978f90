"""One thread that delivers messages and fires timers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cyclonedds.core import (
    GuardCondition,
    InstanceState,
    ReadCondition,
    SampleState,
    ViewState,
    WaitSet,
)
from cyclonedds.domain import DomainParticipant
from cyclonedds.sub import DataReader

from semantic_field_ros.ros.dds_wire import SampleInfo, delete, take_cdr, wait_for_data
from semantic_field_ros.ros.graph import Cancel

logger = logging.getLogger(__name__)

OnData = Callable[[memoryview, SampleInfo], None]
_ANYTHING = SampleState.Any | ViewState.Any | InstanceState.Any
_LONGEST_WAIT_S = 1.0


@dataclass(eq=False)
class _Timer:
    period_s: float
    callback: Callable[[], None]
    due_s: float


class Executor:
    """Runs callbacks one after another; they may add readers and timers."""

    def __init__(self, participant: DomainParticipant) -> None:
        """Starts the thread."""
        self._waitset = WaitSet(participant)
        self._wake = GuardCondition(participant)
        self._waitset.attach(self._wake)
        self._lock = threading.Lock()
        self._readers: list[tuple[DataReader, ReadCondition, OnData]] = []
        self._timers: list[_Timer] = []
        self._chores: list[Callable[[], None]] = []
        self._running = True
        self._thread = threading.Thread(target=self._run, name="dds-executor", daemon=True)
        self._thread.start()

    def add_reader(self, reader: DataReader, on_data: OnData) -> None:
        """Hands every message of `reader` to `on_data`."""
        condition = ReadCondition(reader, _ANYTHING)
        with self._lock:
            self._readers.append((reader, condition, on_data))
            self._waitset.attach(condition)
        self._wake.set(True)

    def remove_reader(self, reader: DataReader, then: Callable[[], None]) -> None:
        """Hands on nothing more of `reader`; `then` runs in the thread, between two callbacks."""
        with self._lock:
            kept = [entry for entry in self._readers if entry[0] is not reader]
            gone = [entry for entry in self._readers if entry[0] is reader]
            self._readers = kept
            for _, condition, _ in gone:
                self._waitset.detach(condition)
                self._chores.append(partial(delete, condition))
            self._chores.append(then)
        self._wake.set(True)

    def add_timer(self, period_s: float, callback: Callable[[], None]) -> Cancel:
        """Calls back every `period_s`; periods that were missed are skipped."""
        if not period_s > 0:
            raise ValueError(f"period_s must be positive, got {period_s}")
        timer = _Timer(period_s, callback, time.monotonic() + period_s)
        with self._lock:
            self._timers.append(timer)
        self._wake.set(True)
        return lambda: self._remove_timer(timer)

    def is_current_thread(self) -> bool:
        """Whether the caller is a callback of this executor."""
        return threading.current_thread() is self._thread

    def stop(self) -> None:
        """Ends the thread after the callback that runs now."""
        self._running = False
        self._wake.set(True)
        if not self.is_current_thread():
            self._thread.join()

    def _run(self) -> None:
        while self._running:
            wait_for_data(self._waitset, self._seconds_to_timer())
            self._wake.take()
            with self._lock:
                readers, chores, self._chores = list(self._readers), self._chores, []
            for chore in chores:
                _survive(chore)
            for reader, _, on_data in readers:
                self._deliver(reader, on_data)
            self._fire_timers()

    def _deliver(self, reader: DataReader, on_data: OnData) -> None:
        """One message, then it is the next reader's turn: after a stall images, depth and poses
        must come in together, not all of one kind first."""
        taken = take_cdr(reader) if self._running else None
        if taken is not None:
            _survive(on_data, *taken)

    def _remove_timer(self, timer: _Timer) -> None:
        with self._lock:
            self._timers = [other for other in self._timers if other is not timer]

    def _seconds_to_timer(self) -> float:
        with self._lock:
            due_s = min((timer.due_s for timer in self._timers), default=float("inf"))
        return min(max(due_s - time.monotonic(), 0.0), _LONGEST_WAIT_S)

    def _fire_timers(self) -> None:
        now_s = time.monotonic()
        with self._lock:
            due = [timer for timer in self._timers if timer.due_s <= now_s]
            for timer in due:
                timer.due_s = max(timer.due_s + timer.period_s, now_s)
        for timer in due:
            if self._running and timer in self._timers:
                _survive(timer.callback)


def _survive(callback: Callable[..., None], *arguments: object) -> None:
    """Runs a callback; whatever it raises is logged."""
    try:
        callback(*arguments)
    except Exception:
        logger.exception("a callback failed")
