"""What waits for the training thread."""

import numpy as np
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


def test_of_features_that_wait_through_a_pause_only_those_that_are_held_are_kept() -> None:
    memory = CountedMemory(5)
    recorder = Recorder()
    camera = PinholeCamera(4, 3, 3.0, 3.0, 1.5, 1.0)
    news = News(memory)
    for metres in range(100):
        pose = np.eye(4)
        pose[0, 3] = metres
        added = memory.add(PosedFrame(0, "c", camera, pose, np.zeros((3, 4, 3), np.uint8)))
        assert memory.set_features(added.keyframe_id, FEATURES)
        news.keyframe_added(added)
        news.features_arrived(added.keyframe_id)
    news.hold(recorder)
    assert len(recorder.added) == 100 and len(recorder.forgotten) == 95
    memory.asked = 0
    for _ in range(10):
        news.take_in(recorder, 0)
    assert sorted(recorder.observed) == sorted(view.keyframe_id for view in memory.views())
    assert memory.asked == 5
