"""What waits for the training thread."""

import numpy as np
import pytest
from recorder import FEATURES, Recorder

from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.news import News
from semantic_field_ros.types import Keyframe, PinholeCamera, PosedFrame


class CountedMemory(ReplayMemory):
    """Counts how often it is asked for a keyframe."""

    asked = 0

    def get(self, keyframe_id: int) -> Keyframe | None:
        self.asked += 1
        return super().get(keyframe_id)


class Failing(Recorder):
    """Fails to observe one keyframe, so many times."""

    def __init__(self, keyframe_id: int, failures: int) -> None:
        super().__init__()
        self.keyframe_id, self.failures = keyframe_id, failures

    def observe(self, keyframe: Keyframe) -> None:
        if keyframe.id == self.keyframe_id and self.failures:
            self.failures -= 1
            raise RuntimeError("no room")
        super().observe(keyframe)


def news_of(memory: ReplayMemory, count: int) -> News:
    """So many keyframes, each a metre from the last, with features."""
    news = News(memory)
    camera = PinholeCamera(4, 3, 3.0, 3.0, 1.5, 1.0)
    for metres in range(count):
        pose = np.eye(4)
        pose[0, 3] = metres
        added = memory.add(PosedFrame(0, "c", camera, pose, np.zeros((3, 4, 3), np.uint8)))
        assert memory.set_features(added.keyframe_id, FEATURES)
        news.keyframe_added(added)
        news.features_arrived(added.keyframe_id)
    return news


def test_of_features_that_wait_through_a_pause_only_those_that_are_held_are_kept() -> None:
    memory = CountedMemory(5)
    recorder = Recorder()
    news = news_of(memory, 100)
    news.hold(recorder)
    assert len(recorder.added) == 100 and len(recorder.forgotten) == 95
    memory.asked = 0
    for _ in range(10):
        news.take_in(recorder, 0)
    assert sorted(recorder.observed) == sorted(view.keyframe_id for view in memory.views())
    assert memory.asked == 5


@pytest.mark.parametrize(("failures", "observed"), [(1, [1, 2, 0]), (99, [1, 2])])
def test_a_keyframe_that_could_not_be_observed_comes_once_more_after_the_others(
    failures: int, observed: list[int]
) -> None:
    news, failing = news_of(ReplayMemory(5), 3), Failing(0, failures)
    raised = 0
    for _ in range(10):
        try:
            news.take_in(failing, 0)
        except RuntimeError:
            raised += 1
    assert failing.observed == observed
    assert raised == min(failures, 2)


def test_before_the_first_map_no_more_waits_than_the_memory_holds() -> None:
    memory, recorder = ReplayMemory(5), Recorder()
    news = news_of(memory, 100)
    news.hold(None)
    held = [view.keyframe_id for view in memory.views()]
    for _ in range(10):
        news.take_in(recorder, 0)
    assert recorder.added == recorder.observed == held
    assert not set(recorder.forgotten) & set(held)
