"""What one browser asks for, done in order in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)

#: errands of one browser that are done or wait at a time.
MOST_AT_A_TIME = 5
#: what a person can be wrong about, or the map not ready for.
_REFUSALS = (ValueError, TypeError, RuntimeError, OSError)


class Errands:
    """Keeps the work of one browser in order, bounded, and out of the server's threads.

    Args:
        name: of the thread.
        complain: told in one line what went wrong.
    """

    def __init__(self, name: str, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._taken = 0
        self._closed = False

    def do(self, work: Callable[[], None]) -> None:
        """Does `work` after what came before; complains if too much waits already."""
        if not self._queued(work, MOST_AT_A_TIME):
            self._complain("still busy with what you asked before: try again in a moment")

    def do_if_idle(self, work: Callable[[], None]) -> bool:
        """Does `work` unless there is something else to do; whether it will."""
        return self._queued(work, 1)

    def close(self) -> None:
        """Drops what waits; does not wait for what is under way."""
        with self._lock:
            self._closed = True
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _queued(self, work: Callable[[], None], most: int) -> bool:
        with self._lock:
            if self._closed:
                return True
            if self._taken >= most:
                return False
            self._taken += 1
            self._thread.submit(self._run, work)
            return True

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _REFUSALS as error:
            self._tell(str(error))
        except Exception as error:  # whoever asked must hear of it, whatever it is
            logger.exception("a request of the viewer failed")
            self._tell(f"internal error: {type(error).__name__}: {error}")
        finally:
            with self._lock:
                self._taken -= 1

    def _tell(self, why: str) -> None:
        if not self._closed:
            self._complain(why)
