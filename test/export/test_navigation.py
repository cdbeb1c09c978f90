from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.keepout import KeepOutZone, QueryZones
from semantic_field_ros.export.navigation import Navigation
from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(16, 12, 15.0, 15.0, 7.5, 5.5)
CONFIG = NavigationConfig(resolution_m=0.1)


def snapshot(room):
    return SimpleNamespace(surface=room.surface, depths=())


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


@pytest.mark.parametrize("radius_m", [0.8, 5.0])
def test_goals_lie_outside_of_zones(room, radius_m):
    """The robot's edge too, whose radius is 0.25 m; the box is 0.4 m wide."""
    navigation = Navigation(CONFIG, ReplayMemory(8), lambda: snapshot(room))
    zone = KeepOutZone("box", room.box.points, radius_m)
    asked = QueryZones(TextQuery("box"), (zone,))
    assert navigation.goals(room.box).goals[0].distance_m < 1.3
    assert navigation.zones.swap(navigation.zones.asked, (asked,))
    answer = navigation.goals(room.box)
    assert bool(answer.goals) == (radius_m < 1)
    assert all(goal.distance_m > 0.8 + 0.25 for goal in answer.goals)
    assert answer.goals or answer.reason.endswith("keep-out zones count as walls")


def test_without_a_map_there_is_a_reason():
    navigation = Navigation(CONFIG, ReplayMemory(8), lambda: None)
    with pytest.raises(RuntimeError, match="no map"):
        navigation.costmap()


def wall_seen_from(x_m: float, stamp_ns: int) -> PosedFrame:
    """A camera at (x, 0, 1) looks along +y, at a wall 2 m away."""
    pose = look_at(np.array([x_m, 0.0, 1.0]), np.array([x_m, 1.0, 1.0]))
    return PosedFrame(stamp_ns, "camera", CAMERA, pose, np.zeros((12, 16, 3), np.uint8))


def test_zones_follow_the_keyframe_that_shows_them(room):
    """Of two keyframes 10 m apart one is corrected by a metre; what the other shows stays."""
    memory = ReplayMemory(8)
    ids = [memory.add(wall_seen_from(x, n)).keyframe_id for n, x in enumerate((0.0, 10.0))]
    wall = np.full((12, 16), 2.0, np.float32)
    depths = tuple(
        KeyframeDepth(v.keyframe_id, v.camera, v.world_from_camera, wall) for v in memory.views()
    )
    shown = SimpleNamespace(surface=room.surface, depths=depths)
    navigation = Navigation(CONFIG, memory, lambda: shown)
    near = KeepOutZone("near", np.array([[0.0, 2.0, 1.0], [0.1, 2.0, 1.2]]), 0.3)
    far = KeepOutZone("far", near.points + [10.0, 0, 0], 0.3)
    unseen = KeepOutZone("unseen", near.points + [0, 1.0, 0], 0.3)
    tied = navigation.followed([near, far, unseen])
    assert [zone.anchor and zone.anchor.keyframe_id for zone in tied] == [*ids, None]
    assert all(a is b for a, b in zip(tied, navigation.followed(tied), strict=True))

    memory.update_poses({ids[0]: wall_seen_from(-1.0, 0).world_from_camera})
    moved, stayed, still_unseen = navigation.followed(tied)
    np.testing.assert_allclose(moved.points, near.points - [1.0, 0, 0], atol=1e-9)
    assert stayed is tied[1] and still_unseen is tied[2]
    assert navigation.followed([moved])[0] is moved


def test_a_zone_whose_keyframe_is_gone_gets_another(room):
    memory = ReplayMemory(8)
    first = memory.add(wall_seen_from(0.0, 1)).keyframe_id
    wall = np.full((12, 16), 2.0, np.float32)
    pose = wall_seen_from(0.0, 1).world_from_camera
    shown = SimpleNamespace(
        surface=room.surface, depths=[KeyframeDepth(i, CAMERA, pose, wall) for i in (0, 1)]
    )
    navigation = Navigation(CONFIG, memory, lambda: shown)
    zone = KeepOutZone("box", np.array([[0.0, 2.0, 1.0]]), 0.3)
    (tied,) = navigation.followed([zone])
    assert tied.anchor.keyframe_id == first
    memory.clear()
    second = memory.add(wall_seen_from(0.0, 2)).keyframe_id
    (again,) = navigation.followed([tied])
    assert again.anchor.keyframe_id == second
    np.testing.assert_array_equal(again.points, zone.points)
