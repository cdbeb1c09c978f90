"""Which threads come first where the processor is short."""

from __future__ import annotations

import os
import sys
import threading

#: added to the niceness of threads that work all the time.
GIVE_WAY = 5
#: the kernel knows none beyond.
MOST_NICE = 19


def give_way() -> None:
    """The calling thread, and those that it starts, let others have the processor first.

    Training and looking at keyframes take all that there is. Callbacks of cameras and answers take
    milliseconds, but must not wait for a turn; nor must a robot's other programs. Linux alone has
    a niceness for each thread.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(nice + GIVE_WAY, MOST_NICE))
