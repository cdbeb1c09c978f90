"""Jobs wait for one thread, bounded in number."""

import threading
from functools import partial

import pytest

from semantic_field_ros.ros.worker import Backlog, Worker
from semantic_field_ros.stream.tally import Tally


class Busy:
    """A worker that is kept from its next job until it is told to go on."""

    def __init__(self) -> None:
        self.worker, self.done = Worker("testing"), []
        self.free, begun = threading.Event(), threading.Event()
        self.worker.run(lambda: begun.set() or self.free.wait(10))
        assert begun.wait(10)

    def tick(self) -> None:
        self.done.append("tick")

    def finish(self) -> list:
        """What was done, in order."""
        self.free.set()
        self.worker.close()
        return self.done


def test_a_job_that_waits_is_done_once_however_often_it_is_wanted() -> None:
    busy = Busy()
    for _ in range(1000):
        busy.worker.run(busy.tick)
    assert busy.worker._thread._work_queue.qsize() == 1
    assert busy.finish() == ["tick"]


def test_a_job_that_is_wanted_while_it_is_done_is_done_again() -> None:
    worker, done = Worker("testing"), []
    begun, go_on = threading.Event(), threading.Event()

    def job() -> None:
        done.append(len(done))
        begun.set()
        go_on.wait(10)

    worker.run(job)
    assert begun.wait(10)
    worker.run(job)
    go_on.set()
    worker.close()
    assert done == [0, 1]


def test_what_fails_is_logged_and_the_next_job_done(caplog) -> None:
    busy = Busy()
    busy.worker.run(lambda: {}["on purpose"])
    busy.worker.run(busy.tick)
    assert busy.finish() == ["tick"]
    assert "testing failed" in caplog.text and "on purpose" in caplog.text
    busy.worker.run(busy.tick)  # closed
    assert busy.done == ["tick"]


def test_the_newest_jobs_wait_and_the_others_are_counted() -> None:
    busy, tally = Busy(), Tally("test")
    backlog = Backlog(busy.worker.run, 3, tally, "too many")
    for i in range(100):
        backlog.add(partial(busy.done.append, i))
    idle = threading.Event()
    backlog.add(idle.set)
    busy.free.set()
    assert idle.wait(10)
    assert busy.finish() == [98, 99]
    assert tally.counts == {"too many": 98}
    assert tally.last == {"too many": "no more than 3 may wait"}


@pytest.mark.parametrize("fails", [False, True])
def test_other_jobs_of_the_worker_have_their_turn_between_those_that_wait(fails: bool) -> None:
    busy = Busy()
    backlog = Backlog(busy.worker.run, 3, Tally("test"), "too many")
    for i in range(3):
        backlog.add(lambda i=i: busy.done.append(i) or (fails and {}[i]))
    busy.worker.run(busy.tick)
    idle = threading.Event()
    busy.free.set()
    while not idle.is_set():
        busy.worker.run(lambda: len(busy.done) == 4 and idle.set())
        idle.wait(0.01)
    assert busy.finish() == [0, "tick", 1, 2]


@pytest.mark.parametrize(("finish", "done"), [(True, ["tick"]), (False, [])])
def test_closing_waits_for_what_is_under_way(finish: bool, done: list) -> None:
    busy = Busy()
    busy.worker.run(busy.tick)
    closing = threading.Thread(target=busy.worker.close, args=(finish,))
    closing.start()
    while not busy.worker._thread._shutdown:
        closing.join(0.01)
    assert closing.is_alive()
    busy.free.set()
    closing.join(10)
    assert (closing.is_alive(), busy.done) == (False, done)
