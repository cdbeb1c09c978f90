"""One browser's work: in order, bounded, and never silent about what went wrong."""

import threading

from semantic_field_ros.viewer.errands import MOST_AT_A_TIME, Errands

PATIENCE_S = 10.0


class Desk:
    """Errands with what they complained of."""

    def __init__(self):
        self.complaints = []
        self.errands = Errands("test", self.complaints.append)

    def finish(self):
        done = threading.Event()
        while not self.errands.do_if_idle(done.set):
            pass
        assert done.wait(PATIENCE_S)


def test_errands_are_done_in_order():
    desk, done = Desk(), []
    for number in range(MOST_AT_A_TIME - 1):
        desk.errands.do(lambda number=number: done.append(number))
    desk.finish()
    assert done == list(range(MOST_AT_A_TIME - 1)) and not desk.complaints


def test_more_than_fits_is_refused_and_said():
    desk, go = Desk(), threading.Event()
    done = []
    desk.errands.do(lambda: go.wait(PATIENCE_S))
    for number in range(MOST_AT_A_TIME):
        desk.errands.do(lambda number=number: done.append(number))
    assert not desk.errands.do_if_idle(lambda: done.append("idle"))
    go.set()
    desk.finish()
    assert done == list(range(MOST_AT_A_TIME - 1))
    assert desk.complaints == ["still busy with what you asked before: try again in a moment"]


def test_a_refusal_is_told_in_its_own_words_and_the_next_errand_is_done():
    desk, done = Desk(), []

    def refuse():
        raise ValueError("expected a phrase, got ''")

    def fail():
        raise KeyError("nobody expects this")

    for work in (refuse, fail, lambda: done.append(True)):
        desk.errands.do(work)
    desk.finish()
    assert done == [True]
    assert desk.complaints[0] == "expected a phrase, got ''"
    assert desk.complaints[1].startswith("internal error: KeyError")


def test_a_browser_that_is_gone_is_told_nothing():
    desk, entered, go = Desk(), threading.Event(), threading.Event()

    def slow():
        entered.set()
        go.wait(PATIENCE_S)
        raise ValueError("too late")

    desk.errands.do(slow)
    assert entered.wait(PATIENCE_S)
    desk.errands.close()
    desk.errands.do(lambda: desk.complaints.append("done after the end"))
    go.set()
    desk.errands._thread.shutdown(wait=True)
    assert desk.complaints == []
