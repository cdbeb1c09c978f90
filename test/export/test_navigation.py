from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.keepout import KeepOutZone
from semantic_field_ros.export.navigation import Navigation
from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(16, 12, 15.0, 15.0, 7.5, 5.5)
CONFIG = NavigationConfig(resolution_m=0.1)


def snapshot(room):
    return SimpleNamespace(surface=room.surface)


def test_a_costmap_is_made_once_for_each_snapshot(room):
    newest = [snapshot(room)]
    navigation = Navigation(CONFIG, ReplayMemory(8), lambda: newest[0])
    first = navigation.costmap()
    assert navigation.costmap() is first
    newest[0] = snapshot(room)
    assert navigation.costmap() is not first


def test_masks_lie_on_the_cells_of_the_costmap(room):
    navigation = Navigation(CONFIG, ReplayMemory(8), lambda: snapshot(room))
    mask = navigation.keep_out([KeepOutZone("box", room.box.points, 0.3)])
    costmap = navigation.costmap()
    assert mask.grid.shape == costmap.grid.shape
    np.testing.assert_array_equal(mask.grid.first, costmap.grid.first)


def test_goals_look_from_where_the_cameras_were(room):
    """A board 1 m above the floor hides the box from an eye that is higher, not from a low one."""
    from dataclasses import replace

    board = np.stack(
        [g.ravel() for g in np.meshgrid(np.arange(-2, 2, 0.04), np.arange(-2, 2, 0.04), [0.9])], 1
    ).astype(np.float32)
    count = len(board)
    surface = replace(
        room.surface,
        points=np.concatenate([room.surface.points, board]),
        normals=np.concatenate([room.surface.normals, np.tile(np.float32([0, 0, 1]), (count, 1))]),
        spacing_m=np.concatenate([room.surface.spacing_m, np.full(count, 0.04, np.float32)]),
    )
    config = NavigationConfig(resolution_m=0.1, obstacle_high_m=0.8)
    shown = SimpleNamespace(surface=surface)
    for eye_m, found in ((1.5, False), (0.5, True)):
        memory = ReplayMemory(8)
        pose = look_at(np.array([0.0, 0.0, eye_m]), np.array([1.0, 0.0, 0.0]))
        memory.add(PosedFrame(1, "camera", CAMERA, pose, np.zeros((12, 16, 3), np.uint8)))
        answer = Navigation(config, memory, lambda: shown).goals(room.box)  # type: ignore[arg-type]
        assert bool(answer.goals) == found
        assert bool(answer.reason) != found


def test_without_a_map_there_is_a_reason():
    navigation = Navigation(CONFIG, ReplayMemory(8), lambda: None)
    with pytest.raises(RuntimeError, match="no map"):
        navigation.costmap()
