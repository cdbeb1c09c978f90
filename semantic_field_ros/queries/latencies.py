"""How many questions there were, and how long they took."""

from __future__ import annotations

from collections import deque

#: answers over which latencies are reported.
REMEMBERED = 100


class Latencies:
    """Of the questions that were asked, by whatever thread."""

    def __init__(self) -> None:
        self._newest_s: deque[float] = deque(maxlen=REMEMBERED)
        self._asked = 0

    def add(self, latency_s: float) -> None:
        """A question was answered."""
        self._newest_s.append(latency_s)
        self._asked += 1

    def status(self) -> dict[str, float]:
        """How many questions, and how long the latest took."""
        if not self._newest_s:
            return {"asked": 0}
        last_s, latencies_s = self._newest_s[-1], sorted(self._newest_s)
        p95_s = latencies_s[int(0.95 * (len(latencies_s) - 1))]
        return {
            "asked": self._asked,
            "latency_last_s": round(last_s, 4),
            "latency_p95_s": round(p95_s, 4),
        }
