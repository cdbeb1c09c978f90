"""How a program that is interrupted ends well, whatever the interrupt comes amid."""

from __future__ import annotations

import atexit
import math
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
#: signals that follow another one sooner mean the same, seconds.
_TOGETHER_S = 3.0


class Interrupts:
    """Ctrl-C and SIGTERM, alike; those that come together, as from a terminal and from
    `ros2 launch`, interrupt once.

    Attributes:
        came: whether one of them did. A KeyboardInterrupt that is raised while native code calls
            back into Python, as cyclonedds does to make a topic, comes out as that code's error.
    """

    def __init__(self) -> None:
        self.came = False
        self._since_s = -math.inf
        self._before: dict[signal.Signals, Any] = {}
        self._postponed: threading.Timer | None = None

    def __enter__(self) -> Interrupts:
        """Main thread only. What whoever started the program wants to be ignored stays so."""
        for number in _INTERRUPTS:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._postponed is not None:
            self._postponed.cancel()
        if self.came:
            # A leaving interpreter has no handlers any more: another signal would kill it.
            atexit.register(_ignore_interrupts)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Open3D, interrupted while it loads, ends the process with 1 at exit: it counts that as a
        leak of memory. So its import is let finish.
        """
        self.came = True
        while frame is not None:
            if frame.f_globals.get("__name__") == "open3d":
                self._postponed = threading.Timer(0.1, os.kill, (os.getpid(), number))
                self._postponed.daemon = True
                self._postponed.start()
                return
            frame = frame.f_back
        now_s = time.monotonic()
        if now_s - self._since_s > _TOGETHER_S:
            self._since_s = now_s
            raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    for number in _INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
