"""Threads that do jobs in turn, of which no more may wait than memory and patience bear."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from semantic_field_ros.stream.tally import Tally

logger = logging.getLogger(__name__)

Job = Callable[[], object]


class Worker:
    """One thread. Of each job one waits at most: no more wait than there are different ones."""

    def __init__(self, name: str) -> None:
        """`name`: of what it does, in the log."""
        self._name = name
        self._waiting: set[Job] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def run(self, job: Job) -> None:
        """Has a job done from now on, once even if it waits already; what it raises is logged.

        Once closed nothing is done: the node may still be asked while it lets go of its map.
        """
        if job not in self._waiting:
            self._waiting.add(job)
            with contextlib.suppress(RuntimeError):  # the thread has ended
                self._thread.submit(self._do, job)

    def close(self, finish: bool = True) -> None:
        """Stops after the job that is under way; `finish`: after those that wait too."""
        self._thread.shutdown(wait=True, cancel_futures=not finish)

    def _do(self, job: Job) -> None:
        self._waiting.discard(job)  # what is wanted from here on is another time
        try:
            job()
        except Exception:
            logger.exception("%s failed", self._name)


class Backlog:
    """Jobs that each are done once, in order; the newest wait, and the oldest is dropped for one
    too many."""

    def __init__(self, run: Callable[[Job], None], most: int, tally: Tally, reason: str) -> None:
        """Nothing waits.

        Args:
            run: a worker's.
            most: jobs that may wait.
            tally: where those that are dropped are counted.
            reason: as what.
        """
        self._run, self._most = run, most
        self._tally, self._reason = tally, reason
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()

    def add(self, job: Job) -> None:
        """Has a job done in its turn."""
        with self._lock:
            if len(self._jobs) == self._most:
                self._jobs.popleft()
                self._tally.count(self._reason, f"no more than {self._most} may wait")
            self._jobs.append(job)
        self._run(self._next)

    def _next(self) -> None:
        """One job, then it is the turn of what else waits for the worker."""
        with self._lock:
            job = self._jobs.popleft() if self._jobs else None
        try:
            if job is not None:
                job()
        finally:
            if self._jobs:
                self._run(self._next)
