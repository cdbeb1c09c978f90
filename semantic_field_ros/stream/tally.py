"""Counting what was refused, and why; each reason is said once in the log."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterable

logger = logging.getLogger(__name__)

#: so many counts ago is past.
_RECENT = 32


class Tally:
    """Counts by reason, with the newest detail of each.

    Attributes:
        counts: how often each reason occurred.
        last: the newest detail of each reason.
    """

    def __init__(self, name: str) -> None:
        """Counts for the part of the program that `name` says in the log."""
        self._name = name
        self.counts: Counter[str] = Counter()
        self.last: dict[str, str] = {}
        self._recent: deque[str] = deque(maxlen=_RECENT)

    def count(self, reason: str, detail: str) -> None:
        """Adds one to `reason`; only the first of its kind is logged, with its detail."""
        if reason not in self.counts:
            logger.warning("%s: %s: %s (said once)", self._name, reason, detail)
        self.counts[reason] += 1
        self.last[reason] = detail
        self._recent.append(reason)

    def settle(self) -> None:
        """Something went well: what was counted before is past."""
        self._recent.clear()

    def prevailing(self) -> str:
        """The most frequent reason of late; empty when nothing was counted."""
        return max(recent := list(self._recent), key=recent.count, default="")

    def summary(self) -> str:
        """One line, most frequent reason first; empty when nothing was counted."""
        return ", ".join(f"{reason}: {n}" for reason, n in self.counts.most_common())


def total_counts(tallies: Iterable[Tally]) -> dict[str, int]:
    """What several have counted, by reason, while they may go on counting."""
    return dict(sum((tally.counts.copy() for tally in tallies), Counter[str]()))
