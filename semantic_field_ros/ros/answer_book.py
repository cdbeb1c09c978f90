"""Answers by query id, and the one thread that refines them."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from semantic_field_ros.queries.base import CancelledError, Progress, Refinement
from semantic_field_ros.ros.answers import AnswerFrame
from semantic_field_ros.types import QueryAnswer

logger = logging.getLogger(__name__)

#: Answers kept; the oldest is forgotten.
CAPACITY = 64


#: Makes a refined answer, telling how far it is.
Refine = Callable[[Progress], QueryAnswer]


@dataclass(frozen=True)
class _Work:
    """A refinement that waits or runs."""

    refinement: Refinement
    future: Future[None]

    def stop(self) -> None:
        self.refinement.cancel()
        self.future.cancel()


@dataclass(frozen=True)
class Entry:
    """The newest answer to a query; `frame` says where it goes and whether it is final."""

    answer: QueryAnswer
    frame: AnswerFrame


class AnswerBook:
    """Keeps the newest answer of each refined query.

    Args:
        on_answer: gets every refined answer, from the refining thread.
    """

    def __init__(self, on_answer: Callable[[QueryAnswer], None]) -> None:
        self._on_answer = on_answer
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._work: dict[int, _Work] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="refine")

    def open(self, fast: QueryAnswer, frame: AnswerFrame, refine: Refine) -> AnswerFrame:
        """Enters a fast answer and starts to refine it.

        Returns:
            `frame` with the query's id, not final.
        """
        with self._lock:
            query_id = next(self._ids)
            frame = replace(frame, query_id=query_id, final=False)
            self._entries[query_id] = Entry(fast, frame)
            while len(self._entries) > CAPACITY:
                self._forget(next(iter(self._entries)))
            wanted = Refinement()
            future = self._thread.submit(self._refine, query_id, refine, wanted)
            self._work[query_id] = _Work(wanted, future)
        return frame

    def get(self, query_id: int) -> Entry | None:
        """The newest answer, or None if it is not kept."""
        with self._lock:
            return self._entries.get(query_id)

    def share(self, query_id: int) -> float:
        """How much of a refinement is done, in [0, 1]; 1 when nothing more will follow."""
        with self._lock:
            work = self._work.get(query_id)
            return 1.0 if work is None else work.refinement.share

    def cancel(self, query_id: int) -> bool:
        """Stops refining an answer; whether there was still something to stop."""
        with self._lock:
            entry = self._entries.get(query_id)
            if entry is None or entry.frame.final:
                return False
            self._finish(query_id, entry.answer)
        return True

    def cancel_all(self) -> None:
        """Stops refining; the answers that are there are final."""
        with self._lock:
            for query_id in list(self._work):
                self._finish(query_id, self._entries[query_id].answer)

    def close(self) -> None:
        """Stops the refinement that runs, and drops those that wait."""
        self.cancel_all()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _refine(self, query_id: int, refine: Refine, wanted: Refinement) -> None:
        try:
            answer: QueryAnswer | None = refine(wanted.reached)
        except CancelledError:
            answer = None
        except (ValueError, RuntimeError) as error:
            logger.warning("query %d could not be refined: %s", query_id, error)
            answer = None
        except Exception:  # nobody looks at what the future holds
            logger.exception("query %d could not be refined", query_id)
            answer = None
        with self._lock:
            entry = self._entries.get(query_id)
            if entry is None or entry.frame.final:
                return
            self._finish(query_id, answer or entry.answer)
        if answer is not None:
            self._on_answer(answer)

    def _finish(self, query_id: int, answer: QueryAnswer) -> None:
        frame = replace(self._entries[query_id].frame, final=True)
        self._entries[query_id] = Entry(answer, frame)
        work = self._work.pop(query_id, None)
        if work is not None:
            work.stop()

    def _forget(self, query_id: int) -> None:
        del self._entries[query_id]
        work = self._work.pop(query_id, None)
        if work is not None:
            work.stop()
