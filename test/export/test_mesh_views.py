"""What a keyframe gives to a mesh."""

from types import SimpleNamespace

import numpy as np

from semantic_field_ros.export.mesh_views import MOST_VIEWS, mesh_views
from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)
SMALL = CAMERA.scaled_to(16, 12)


def depth_of(keyframe_id: int) -> KeyframeDepth:
    """Two metres everywhere but in the lowest rows, as where pixels are ignored."""
    depth_m = np.full((12, 16), 2.0, np.float32)
    depth_m[10:] = np.nan
    return KeyframeDepth(keyframe_id, SMALL, np.eye(4), depth_m)


def memory_of(count: int) -> ReplayMemory:
    memory = ReplayMemory(count + 5)
    for number in range(count):
        rgb = np.full((48, 64, 3), number % 256, np.uint8)
        memory.add(PosedFrame(number, "head", CAMERA, np.eye(4), rgb))
    return memory


def test_images_come_with_the_depth_that_the_surface_is_made_of() -> None:
    depths = (depth_of(1), depth_of(3), depth_of(77))  # 77 is no longer held
    snapshot = SimpleNamespace(depths=depths)
    views = mesh_views(snapshot, memory_of(5))  # type: ignore[arg-type]
    assert [int(view.rgb[0, 0, 0]) for view in views] == [1, 3]
    for view in views:
        assert (view.camera, view.depth_camera) == (CAMERA, SMALL)
        assert np.isfinite(view.depth_m[:10]).all() and np.isnan(view.depth_m[10:]).all()


def test_of_many_keyframes_some_are_taken_from_first_to_last() -> None:
    count = 3 * MOST_VIEWS
    snapshot = SimpleNamespace(depths=tuple(depth_of(i) for i in range(count)))
    views = mesh_views(snapshot, memory_of(count))  # type: ignore[arg-type]
    numbers = [int(view.rgb[0, 0, 0]) for view in views]
    assert len(numbers) == MOST_VIEWS and (numbers[0], numbers[-1]) == (0, count - 1)
    assert max(np.diff(numbers)) <= 4
