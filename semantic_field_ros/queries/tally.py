"""How many questions there were, and how long they took."""

from __future__ import annotations

from collections import deque

#: answers over which latencies are reported.
REMEMBERED = 100


class Tally:
    """Counts questions; for several threads."""

    def __init__(self) -> None:
        self._latencies: deque[float] = deque(maxlen=REMEMBERED)
        self._asked = 0

    def add(self, latency_s: float) -> None:
        """A question was answered."""
        self._latencies.append(latency_s)
        self._asked += 1

    def status(self) -> dict[str, float]:
        """How many questions, and how long the latest took."""
        if not self._latencies:
            return {"asked": 0}
        last_s, latencies = self._latencies[-1], sorted(self._latencies)
        p95_s = latencies[int(0.95 * (len(latencies) - 1))]
        return {
            "asked": self._asked,
            "latency_last_s": round(last_s, 4),
            "latency_p95_s": round(p95_s, 4),
        }
