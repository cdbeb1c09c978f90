import numpy as np

from semantic_field_ros.config import from_dict
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(16, 12, 14.0, 14.0, 7.5, 5.5)
CONFIG = from_dict({"field": {"backend": "torch", "grid": {"levels": 2, "log2_entries": 8}}})
BOUNDS = SceneBounds((-2.0, -2.0, -2.0, 2.0, 2.0, 2.0))


class Probe:
    """A method that writes down what it is shown."""

    def __init__(self):
        self.observed, self.recalled = [], []

    def observe(self, keyframe):
        self.observed.append(keyframe.id)

    def recall(self, keyframe):
        self.recalled.append(keyframe.id)

    def forget(self, keyframe_id):
        pass

    def poses_changed(self):
        pass

    def state(self):
        return {}

    def load_state(self, state):
        pass


def mapper(memory, probe):
    return Mapper(CONFIG, BOUNDS, memory, {"probe": probe})


def keyframe(memory):
    depth_m = np.ones((12, 16), np.float32)
    rgb = np.zeros((12, 16, 3), np.uint8)
    return memory.add(PosedFrame(0, "c", CAMERA, np.eye(4), rgb, depth_m))


def test_features_are_observed_once_whoever_brings_them():
    memory, probe = ReplayMemory(5), Probe()
    first = mapper(memory, probe)
    kept = memory.get(keyframe(memory).keyframe_id)
    for _ in range(2):
        first.observe(kept)
    assert probe.observed == [0]
    first.forget_keyframe(0)
    first.observe(kept)
    assert probe.observed == [0, 0]


def test_features_of_a_loaded_map_are_recalled_once():
    memory, probe = ReplayMemory(5), Probe()
    first = mapper(memory, probe)
    kept = memory.get(keyframe(memory).keyframe_id)
    first.observe(kept)
    second = mapper(memory, probe)
    second.load_state(first.state())
    for _ in range(2):
        second.observe(kept)
    assert (probe.observed, probe.recalled) == ([0], [0])
