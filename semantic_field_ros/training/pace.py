"""How fast something goes."""

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
