import numpy as np
import pytest
import torch

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


def keyframe(memory, depth_m=1.0):
    depths_m = None if depth_m is None else np.full((12, 16), depth_m, np.float32)
    rgb = np.zeros((12, 16, 3), np.uint8)
    return memory.add(PosedFrame(0, "c", CAMERA, np.eye(4), rgb, depths_m))


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


def test_methods_before_one_that_failed_are_not_shown_a_keyframe_twice():
    class Failing(Probe):
        def observe(self, keyframe):
            super().observe(keyframe)
            if len(self.observed) == 1:
                raise RuntimeError("no room")

    memory, before, failing, after = ReplayMemory(5), Probe(), Failing(), Probe()
    methods = {"before": before, "failing": failing, "after": after}
    first = Mapper(CONFIG, BOUNDS, memory, methods)
    kept = memory.get(keyframe(memory).keyframe_id)
    with pytest.raises(RuntimeError, match="no room"):
        first.observe(kept)
    for _ in range(2):
        first.observe(kept)
    assert (before.observed, failing.observed, after.observed) == ([0], [0, 0], [0])


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


def test_while_poses_are_learnt_anew_only_what_new_keyframes_measured_joins_the_surface():
    memory = ReplayMemory(5)
    first = Mapper(CONFIG, BOUNDS, memory, {})

    def depths_m():
        first.step()
        return {d.keyframe_id: np.unique(d.depth_m) for d in first.snapshot(1).depths}

    def add(depth_m):
        added = keyframe(memory, depth_m)
        first.add_keyframe(added.keyframe_id, added.slot)

    add(1.0)
    assert depths_m() == {0: 1.0}
    moved = np.eye(4)
    moved[0, 3] = 0.3
    memory.update_poses({0: moved})
    assert first.poses_changed()
    add(2.0)
    add(None)
    assert depths_m() == {0: 1.0, 1: 2.0}
    state, first = first.state(), Mapper(CONFIG, BOUNDS, memory, {})
    first.load_state(state)
    assert depths_m() == {0: 1.0, 1: 2.0}  # a map that is loaded waits as long


@pytest.mark.parametrize(
    ("places_m", "learns_anew"),
    [
        ([0.008, 0.016, 0.024, 0.032, 0.04, 0.048], [False, False, True, False, False, True]),
        ([0.015, 0.0, 0.015, 0.0], [False, False, False, False]),
        ([0.024, 0.024], [True, False]),
    ],
)
def test_corrections_that_add_up_are_learnt_like_one(places_m, learns_anew):
    """A SLAM node corrects its path by little at a time; what only trembles has not moved."""
    memory = ReplayMemory(5)
    first = Mapper(CONFIG, BOUNDS, memory, {})
    added = keyframe(memory)
    first.add_keyframe(added.keyframe_id, added.slot)
    first.step()
    first.snapshot(1)
    moved = np.eye(4)
    for place_m, anew in zip(places_m, learns_anew, strict=True):
        moved[0, 3] = place_m
        memory.update_poses({0: moved})
        assert first.poses_changed() == anew


def test_a_snapshot_tells_the_stamp_of_the_keyframe_that_came_last():
    """Time has jumped back before it."""
    memory = ReplayMemory(5)
    mapped = Mapper(CONFIG, BOUNDS, memory, {})
    assert mapped.snapshot(1).stamp_ns == 0
    for stamp_ns in (900, 5):
        rgb = np.zeros((12, 16, 3), np.uint8)
        memory.add(PosedFrame(stamp_ns, "c", CAMERA, np.eye(4), rgb))
    assert mapped.snapshot(2).stamp_ns == 5


def test_a_method_with_values_that_are_not_finite_is_refused():
    first = mapper(ReplayMemory(5), Probe())
    damaged = first.state() | {"methods.probe.table": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ValueError, match="methods.probe.table of the map must be finite"):
        mapper(ReplayMemory(5), Probe()).load_state(damaged)
