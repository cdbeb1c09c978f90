"""How often what takes time from training is done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.training.pace import Recurrence


def test_what_is_quick_comes_every_so_many_seconds() -> None:
    snapshots = Recurrence(every_s=4.0, largest_share=0.2)
    assert snapshots.due(0.0)  # nothing was done yet
    snapshots.done(10.0, 10.5)
    assert not snapshots.due(14.4)
    assert snapshots.due(14.5)


def test_what_is_slow_comes_more_seldom() -> None:
    snapshots = Recurrence(every_s=4.0, largest_share=0.2)
    snapshots.done(10.0, 13.0)  # 3 s of 15
    assert not snapshots.due(24.9)
    assert snapshots.due(25.0)
    snapshots.done(25.0, 26.0)  # each time anew
    assert snapshots.due(30.0)


@given(
    took_s=st.lists(st.floats(0.001, 30), min_size=1, max_size=20),
    every_s=st.floats(0, 10),
    share=st.floats(0.05, 0.9),
)
def test_it_takes_no_more_than_its_share(
    took_s: list[float], every_s: float, share: float
) -> None:
    snapshots, now_s = Recurrence(every_s, share), 0.0
    for seconds in took_s:
        snapshots.done(now_s, now_s + seconds)
        now_s += seconds
        low_s, high_s = now_s, now_s + 1000
        for _ in range(60):  # when it is due, by halving
            middle_s = (low_s + high_s) / 2
            low_s, high_s = (low_s, middle_s) if snapshots.due(middle_s) else (middle_s, high_s)
        now_s = high_s
    assert sum(took_s) <= share * now_s * (1 + 1e-6) + 1e-6
    assert sum(took_s) + every_s * len(took_s) <= now_s + 1e-6
    assert now_s == pytest.approx(sum(t + max(every_s, t * (1 / share - 1)) for t in took_s))
