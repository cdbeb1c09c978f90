"""Refined answers: kept, cancelled, forgotten."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from semantic_field_ros.queries.base import Progress
from semantic_field_ros.ros.answer_book import CAPACITY, AnswerBook
from semantic_field_ros.ros.answers import AnswerFrame
from semantic_field_ros.types import QueryAnswer

FAST = QueryAnswer(True, "fast", [], 0.5, 0.1, 1, 0)
FINE = replace(FAST, reason="fine", score=0.9)
FRAME = AnswerFrame("map", np.eye(4))


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_fast_answer_is_there_until_the_refined_one_is() -> None:
    shown: list[QueryAnswer] = []
    book, go = AnswerBook(shown.append), threading.Event()
    frame = book.open(FAST, FRAME, lambda told: (go.wait(10), FINE)[1])
    assert (frame.query_id, frame.final) == (1, False)
    assert book.get(1).answer is FAST
    go.set()
    wait_for(lambda: shown)
    assert book.get(1).answer is FINE
    assert book.get(1).frame.final
    book.close()


def test_a_cancelled_refinement_changes_nothing() -> None:
    shown: list[QueryAnswer] = []
    book, go = AnswerBook(shown.append), threading.Event()
    running = book.open(FAST, FRAME, lambda told: (go.wait(10), FINE)[1]).query_id
    waiting = book.open(FAST, FRAME, lambda told: FINE).query_id
    assert book.cancel(running)
    assert book.cancel(waiting)
    assert not book.cancel(waiting)
    go.set()
    book.close()
    assert not shown
    assert book.get(running).answer is FAST
    assert book.get(running).frame.final


def test_progress_is_told_and_cancelling_ends_the_work() -> None:
    book, go, ended = AnswerBook(lambda answer: None), threading.Event(), threading.Event()

    def refine(told: Progress) -> QueryAnswer:
        try:
            for share in (0.25, 0.5):
                told(share)
                go.wait(10)
        finally:
            ended.set()
        return FINE

    query_id = book.open(FAST, FRAME, refine).query_id
    wait_for(lambda: book.share(query_id) == 0.25)
    assert book.cancel(query_id)
    go.set()
    assert ended.wait(10)
    assert book.share(query_id) == 1.0
    assert book.get(query_id).answer is FAST
    book.close()


def test_closing_ends_the_work() -> None:
    book, started = AnswerBook(lambda answer: None), threading.Event()

    def refine(told: Progress) -> QueryAnswer:
        started.set()
        while True:
            told(0.1)

    book.open(FAST, FRAME, refine)
    assert started.wait(10)
    book.close()


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), IndexError("out of bounds")])
def test_a_refinement_that_fails_leaves_the_fast_answer(error, caplog) -> None:
    def fail(told: Progress) -> QueryAnswer:
        raise error

    book = AnswerBook(lambda answer: None)
    query_id = book.open(FAST, FRAME, fail).query_id
    wait_for(lambda: book.get(query_id).frame.final)
    assert book.get(query_id).answer is FAST
    assert book.share(query_id) == 1.0
    assert "query 1 could not be refined" in caplog.text and str(error) in caplog.text
    book.close()


def test_old_answers_are_forgotten() -> None:
    book = AnswerBook(lambda answer: None)
    ids = [book.open(FAST, FRAME, lambda told: FINE).query_id for _ in range(CAPACITY + 1)]
    assert book.get(ids[0]) is None
    assert book.get(ids[1]) is not None
    assert not book.cancel(ids[0])
    book.close()
