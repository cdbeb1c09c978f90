"""How fast something goes, and how often something is done."""

from __future__ import annotations

import time
from collections import deque


class Pace:
    """Steps per second over the last few.

    Args:
        window: how many.
    """

    def __init__(self, window: int = 50) -> None:
        self._times: deque[float] = deque(maxlen=window)

    def tick(self) -> None:
        """One step more was done just now."""
        self._times.append(time.monotonic())

    def per_s(self) -> float:
        """Steps per second, 0 before the second step."""
        times = list(self._times)
        if len(times) < 2 or times[-1] <= times[0]:
            return 0.0
        return (len(times) - 1) / (times[-1] - times[0])


class Recurrence:
    """When something that takes time away from everything else is due again.

    Args:
        every_s: seconds from its end to its next begin, at least.
        largest_share: of the time that it may take, in (0, 1); what takes long comes less often.
    """

    def __init__(self, every_s: float, largest_share: float) -> None:
        self._every_s, self._largest_share = every_s, largest_share
        self._due_s = -float("inf")

    def done(self, began_s: float, ended_s: float) -> None:
        """It was done between these two times of one clock."""
        rest = (ended_s - began_s) * (1 / self._largest_share - 1)
        self._due_s = ended_s + max(self._every_s, rest)

    def due(self, now_s: float) -> bool:
        """Whether it is time; at once if it was never done."""
        return now_s >= self._due_s
