"""Working threads let callbacks, answers and other programs have the processor first."""

import os
import threading

from semantic_field_ros.training.priority import give_way


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_gives_way_with_those_that_it_starts_and_nobody_else() -> None:
    before, told = niceness(), []

    def work() -> None:
        give_way()
        child = threading.Thread(target=lambda: told.append(niceness()))
        child.start()
        child.join()
        told.append(niceness())
        for _ in range(4):  # as nice as can be
            give_way()
        told.append(niceness())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [min(before + 5, 19), min(before + 5, 19), 19]
    assert niceness() == before
