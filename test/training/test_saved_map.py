import tracemalloc

import numpy as np
import pytest

from semantic_field_ros.config import Config
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.saved_map import MapState, pack_map, saved_keyframes
from semantic_field_ros.types import PinholeCamera, PosedFrame

WIDTH, HEIGHT = 320, 240


def frame(x_m):
    camera = PinholeCamera(WIDTH, HEIGHT, 300.0, 300.0, 159.5, 119.5)
    pose = np.eye(4)
    pose[0, 3] = x_m
    return PosedFrame(1, "camera", camera, pose, np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def memory_of(count):
    memory = ReplayMemory(20)
    for x_m in range(count):
        memory.add(frame(float(x_m)))
    return memory


def test_keyframes_are_packed_as_they_are():
    memory = memory_of(3)
    state = MapState({}, {"map_version": 7}, memory.generation)
    memory.add(frame(9.0))
    saved = pack_map(Config(), state, memory, {"camera": 0.5}, "odom")
    assert (saved.meta["map_version"], saved.meta["image_scales"]) == (7, {"camera": 0.5})
    assert saved.meta["frame"] == "odom"
    at = [keyframe.frame.world_from_camera[0, 3] for keyframe in saved_keyframes(saved)]
    assert at == [0.0, 1.0, 2.0, 9.0]


@pytest.mark.parametrize(
    "replace", [ReplayMemory.clear, lambda memory: memory.restore([])], ids=["reset", "load"]
)
def test_the_keyframes_of_another_map_are_not_packed(replace):
    memory = memory_of(3)
    state = MapState({}, {"map_version": 7}, memory.generation)
    replace(memory)
    memory.add(frame(9.0))
    with pytest.raises(RuntimeError, match="replaced while it was being saved"):
        pack_map(Config(), state, memory, {})


def test_all_poses_are_of_one_moment_though_a_loop_is_closed_meanwhile():
    class Closing(ReplayMemory):
        def get(self, keyframe_id):
            self.update_poses({i: frame(100.0 + i).world_from_camera for i in range(3)})
            return super().get(keyframe_id)

    memory = Closing(20)
    for x_m in range(3):
        memory.add(frame(float(x_m)))
    saved = pack_map(Config(), MapState({}, {}, memory.generation), memory, {})
    at = [keyframe.frame.world_from_camera[0, 3] for keyframe in saved_keyframes(saved)]
    assert at == [0.0, 1.0, 2.0]
    assert memory.views()[0].world_from_camera[0, 3] == 100.0


def test_images_are_not_all_copied_at_once():
    memory = memory_of(20)
    state = MapState({}, {}, memory.generation)
    tracemalloc.start()
    try:
        pack_map(Config(), state, memory, {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * 3 * WIDTH * HEIGHT
