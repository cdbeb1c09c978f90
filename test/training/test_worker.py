"""The thread: what it does when, and what it never does."""

import dataclasses
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from recorder import FEATURES, Recorder

from semantic_field_ros import backends
from semantic_field_ros.config import TrainingConfig
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.training.worker import GOOD_STEPS, TrainingWorker
from semantic_field_ros.types import (
    ImaginedView,
    PinholeCamera,
    PosedFrame,
)

CONFIG = TrainingConfig(
    keyframes_to_start=1, snapshot_every_s=0.02, max_steps_without_news=0, threads=1
)


class Bench:
    """A worker over a memory that starts empty."""

    def __init__(self, config: TrainingConfig = CONFIG) -> None:
        self.memory = ReplayMemory(5)
        self.recorder = Recorder()
        self.worker = TrainingWorker(self.memory, lambda: self.recorder, config)

    def add_frame(self) -> int:
        camera = PinholeCamera(4, 3, 3.0, 3.0, 1.5, 1.0)
        pose = np.eye(4)
        pose[0, 3] = len(self.recorder.added) + len(self.memory)
        added = self.memory.add(PosedFrame(0, "c", camera, pose, np.zeros((3, 4, 3), np.uint8)))
        self.worker.keyframe_added(added)
        return added.keyframe_id


def imagined_view() -> ImaginedView:
    camera = PinholeCamera(4, 3, 3.0, 3.0, 1.5, 1.0)
    rgb, depth_m = np.zeros((3, 4, 3), np.uint8), np.ones((3, 4), np.float32)
    return ImaginedView(camera, np.eye(4), rgb, depth_m)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.worker.start()
    yield bench
    bench.worker.stop()


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Waits for a condition that another thread brings about."""
    done = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("the condition did not come about in time")


def test_it_waits_for_keyframes_then_trains_in_its_own_thread(bench: Bench) -> None:
    assert bench.worker.status().state == "waiting"
    bench.add_frame()
    until(lambda: bench.recorder.steps > 3)
    assert bench.recorder.threads == {"training"}
    assert bench.worker.status().losses == {"colour": 0.25}


def test_news_reach_the_trainer_in_order(bench: Bench) -> None:
    ids = [bench.add_frame() for _ in range(7)]
    until(lambda: bench.recorder.added == ids)
    assert len(bench.recorder.forgotten) == 2
    steps = bench.recorder.steps
    until(lambda: bench.recorder.steps > steps)  # a full memory does not end learning
    kept = [view.keyframe_id for view in bench.memory.views()]
    assert sorted(kept + bench.recorder.forgotten) == ids
    assert bench.memory.set_features(kept[0], FEATURES)
    bench.worker.features_arrived(kept[0])
    until(lambda: bench.recorder.observed == [kept[0]])


def test_a_pause_hands_the_memory_of_steps_back_once_they_have_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[tuple[str, int]] = []

    def release() -> None:
        released.append((threading.current_thread().name, bench.recorder.steps))

    monkeypatch.setattr(backends, "release_memory", release)
    bench.add_frame()
    until(lambda: bench.recorder.steps > 0)
    assert not released
    bench.worker.pause()
    until(lambda: released)
    # In the thread that holds it, after its last step.
    assert released == [(min(bench.recorder.threads), bench.recorder.steps)]


def test_every_snapshot_hands_the_pages_of_its_making_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions: list[int] = []
    monkeypatch.setattr(backends, "trim_heap", lambda: versions.append(bench.worker.map_version()))
    bench.add_frame()
    until(lambda: len(versions) >= 3)
    assert versions[:3] == [1, 2, 3]


def test_after_a_pause_training_looks_at_what_is_left(bench: Bench) -> None:
    bench.add_frame()
    until(lambda: bench.recorder.steps > 0)
    bench.worker.pause()
    bench.worker.call(lambda trainer: None).result(20)  # the step under way has ended
    steps = bench.recorder.steps
    for _ in range(100):
        newest = bench.add_frame()
        assert bench.memory.set_features(newest, FEATURES)
        bench.worker.features_arrived(newest)
    bench.worker.resume()
    until(lambda: newest in bench.recorder.observed)
    assert bench.recorder.observed_at[-1] - steps < len(bench.memory)


def test_keyframes_that_come_and_go_during_a_pause_are_taken_in_meanwhile(bench: Bench) -> None:
    first = bench.add_frame()
    until(lambda: bench.recorder.steps > 0)
    bench.worker.pause()
    ids = [first, *(bench.add_frame() for _ in range(20))]
    until(lambda: bench.recorder.added == ids)
    assert len(bench.recorder.forgotten) == 21 - 5
    assert bench.worker.status().state == "paused"


def test_keyframes_that_come_and_go_before_the_first_map_are_none_of_its_news() -> None:
    bench = Bench()
    bench.worker.pause()
    bench.worker.start()
    try:
        for _ in range(100):
            bench.add_frame()
            bench.worker.call(lambda _: None).result(20)
        bench.worker.resume()
        until(lambda: bench.recorder.steps > 0)
        held = [view.keyframe_id for view in bench.memory.views()]
        assert len(bench.recorder.added) < 10 and set(held) <= set(bench.recorder.added)
    finally:
        bench.worker.stop()


def test_an_imagined_view_is_wanted_when_the_last_one_was_used_and_training_goes_on(
    bench: Bench,
) -> None:
    assert bench.worker.wanted() is Imagining.NOTHING  # there is no map yet
    bench.add_frame()
    until(lambda: bench.worker.wanted() is Imagining.EMBEDDING)
    bench.worker.pause()
    until(lambda: bench.worker.wanted() is Imagining.NOTHING)
    view = imagined_view()
    bench.worker.imagined(bench.worker.map_version(), view, FEATURES)
    bench.worker.resume()
    until(lambda: bench.recorder.imagined == [view])
    until(lambda: bench.worker.wanted() is Imagining.EMBEDDING)


def test_a_view_imagined_of_the_map_before_is_not_used(bench: Bench) -> None:
    bench.add_frame()
    until(lambda: bench.worker.wanted() is Imagining.EMBEDDING)
    rendered_from, other = bench.worker.map_version(), Recorder()

    def load(_: object) -> None:
        bench.worker.adopt(other)
        bench.worker.settle()
        bench.worker.imagined(rendered_from, imagined_view(), FEATURES)  # it was under way
        bench.worker.imagined(bench.worker.map_version(), own, FEATURES)

    own = imagined_view()
    bench.worker.call(load).result(20)
    until(lambda: other.imagined == [own])


def test_no_step_while_paused_but_calls_are_served(bench: Bench) -> None:
    bench.add_frame()
    until(lambda: bench.recorder.steps > 0)
    bench.worker.pause()
    until(lambda: bench.worker.status().state == "paused")
    bench.worker.call(lambda trainer: None).result(20)  # the step under way has ended
    steps = bench.recorder.steps
    assert bench.worker.call(lambda trainer: trainer is bench.recorder).result(20)
    assert bench.recorder.steps == steps
    bench.worker.resume()
    until(lambda: bench.recorder.steps > steps)


def test_snapshots_count_up_and_can_be_waited_for(bench: Bench) -> None:
    assert bench.worker.snapshot() is None
    bench.add_frame()
    second = bench.worker.wait_for_snapshot(2, 20)
    assert second is not None and second.map_version >= 2
    assert bench.worker.wait_for_snapshot(10**9, 0.05) is None


def test_an_error_is_told_and_ends_training_but_not_the_map(bench: Bench) -> None:
    bench.add_frame()
    assert bench.worker.wait_for_snapshot(1, 20) is not None
    bench.recorder.fault = ValueError("broken")
    until(lambda: bench.worker.status().state == "failed")
    assert bench.worker.status().error == "ValueError: broken"
    assert bench.worker.snapshot() is not None


def test_another_map_is_trained_after_one_that_failed(bench: Bench) -> None:
    bench.recorder.fault = ValueError("broken")
    bench.add_frame()
    until(lambda: bench.worker.status().state == "failed")
    healthy = Recorder()
    bench.worker.call(lambda _: bench.worker.adopt(healthy)).result(20)
    until(lambda: healthy.steps > 0)
    assert (bench.worker.status().state, bench.worker.status().error) == ("training", "")


def test_no_two_maps_share_a_version() -> None:
    """Two that were saved at version 20, one older than both, and a new one."""
    worker, versions = Bench().worker, []
    for saved_at in (20, 20, 3, 0):
        worker.adopt(Recorder(), saved_at)
        assert worker.map_version() == 0  # none of its snapshots is there yet
        worker.settle()
        versions.append(worker.map_version())
    assert versions == [21, 22, 23, 24]


def test_a_map_that_was_loaded_goes_on_counting_its_steps(bench: Bench) -> None:
    loaded = Recorder()
    loaded.steps = 5000
    bench.worker.pause()
    bench.worker.call(lambda _: bench.worker.adopt(loaded)).result(20)
    assert bench.worker.status().steps == 5000
    bench.worker.resume()
    bench.add_frame()
    until(lambda: bench.worker.status().steps > 5001)
    bench.worker.pause()
    bench.worker.call(lambda _: bench.worker.adopt(None)).result(20)
    assert bench.worker.status().steps == 0  # a new map


def test_running_out_of_memory_shrinks_then_gives_up_clearly(bench: Bench) -> None:
    bench.add_frame()
    assert bench.worker.wait_for_snapshot(1, 20) is not None
    bench.recorder.fault = torch.OutOfMemoryError("no room")
    until(lambda: bench.worker.status().state == "failed")
    assert bench.worker.snapshot() is not None
    assert bench.recorder.halved == [1, 2, 3, 4]
    assert "out of memory" in bench.worker.status().error
    assert "training.rays" in bench.worker.status().error


def test_running_out_of_memory_now_and_then_never_ends_training(bench: Bench) -> None:
    bench.add_frame()
    for times in range(1, 7):
        steps = bench.recorder.steps
        bench.recorder.passing_fault = torch.OutOfMemoryError("no room")
        until(lambda times=times: bench.recorder.halved == [1, 0] * times)
        assert bench.recorder.steps >= steps + GOOD_STEPS
    assert bench.worker.status().state == "training"


def test_an_error_in_a_call_belongs_to_its_caller(bench: Bench) -> None:
    def broken(trainer: object) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        bench.worker.call(broken).result(20)
    assert bench.worker.status().state == "waiting"


def test_what_is_not_begun_in_time_is_not_done_at_all(bench: Bench) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []
    bench.worker.call(lambda _: (begun.set(), go_on.wait(20)))
    assert begun.wait(20)
    with pytest.raises(TimeoutError, match="within 0 s"):
        bench.worker.done(lambda _: done.append("late"), 0.01)
    go_on.set()
    assert bench.worker.done(lambda _: "in time", 20) == "in time"
    assert done == []


def test_it_idles_when_there_is_nothing_new_to_learn() -> None:
    config = TrainingConfig(
        keyframes_to_start=1, snapshot_every_s=0.02, max_steps_without_news=5, threads=1
    )
    bench = Bench(config)
    bench.worker.start()
    try:
        bench.add_frame()
        until(lambda: bench.worker.status().state == "idle")
        assert bench.recorder.steps == 5
        until(lambda: bench.worker.snapshot() is not None)
        newest = bench.worker.status().map_version
        bench.worker.call(lambda _: bench.worker.settle()).result(20)
        assert bench.worker.status().map_version == newest  # all was published
        bench.add_frame()
        until(lambda: bench.recorder.steps == 10)
    finally:
        bench.worker.stop()


def test_what_was_learnt_before_a_pause_can_be_published_at_once() -> None:
    bench = Bench(dataclasses.replace(CONFIG, snapshot_every_s=1e6))
    bench.worker.start()
    try:
        bench.add_frame()
        until(lambda: bench.recorder.steps > 3)
        bench.worker.pause()
        settled = bench.worker.call(lambda _: bench.worker.settle())
        settled.result(20)
        version = bench.worker.status().map_version
        bench.worker.call(lambda _: bench.worker.settle()).result(20)
        assert bench.worker.status().map_version == version >= 1
    finally:
        bench.worker.stop()


def test_a_second_start_is_refused(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="runs already"):
        bench.worker.start()


def test_moved_keyframes_are_observed_again(bench: Bench) -> None:
    with_features, without = bench.add_frame(), bench.add_frame()
    assert bench.memory.set_features(with_features, FEATURES)
    until(lambda: bench.recorder.steps > 0)
    version = bench.worker.status().map_version
    bench.worker.poses_changed()
    until(lambda: bench.recorder.observed == [with_features])
    assert bench.recorder.moved == 1 and without not in bench.recorder.observed
    assert bench.worker.status().map_version > version


def test_the_surface_follows_moved_keyframes_while_training_is_paused(bench: Bench) -> None:
    bench.add_frame()
    until(lambda: bench.recorder.steps > 0)
    bench.worker.pause()
    bench.worker.poses_changed()
    until(lambda: bench.recorder.moved == 1)


def test_a_map_is_settled_where_its_keyframes_are() -> None:
    """Whoever corrects poses and saves at once must not get the surface of before."""
    bench = Bench()
    bench.worker.adopt(bench.recorder)
    bench.worker.settle()
    assert (bench.recorder.moved, bench.worker.map_version()) == (1, 1)  # once it was loaded
    bench.worker.poses_changed()
    bench.worker.settle()
    assert (bench.recorder.moved, bench.worker.map_version()) == (2, 2)
    bench.worker.settle()
    assert bench.worker.map_version() == 2


def test_moved_keyframes_end_idleness() -> None:
    idle = Bench(replace(CONFIG, max_steps_without_news=5))
    idle.worker.start()
    try:
        idle.add_frame()
        until(lambda: idle.worker.status().state == "idle")
        steps = idle.recorder.steps
        idle.worker.poses_changed()
        until(lambda: idle.recorder.steps == steps + 5)
    finally:
        idle.worker.stop()
