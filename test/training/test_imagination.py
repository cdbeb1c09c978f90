"""Views between keyframes: which, when, and never in a keyframe's way."""

import numpy as np
import pytest

from semantic_field_ros.config import FieldConfig, GridConfig, ImaginationConfig
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.training import imagination as module
from semantic_field_ros.training.imagination import Imagination, neighbouring_views, render_view
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import (
    FrameFeatures,
    ImaginedView,
    PinholeCamera,
    PosedFrame,
    SurfaceCloud,
)

CAMERA = PinholeCamera(40, 30, 35.0, 35.0, 19.5, 14.5)
BOUNDS = SceneBounds((-1.0, -1.0, -1.0, 1.0, 1.0, 1.0))


def pose_at(x_m: float, turned_rad: float = 0.0) -> np.ndarray:
    """Turned about the camera's vertical axis."""
    pose = np.eye(4)
    cosine, sine = np.cos(turned_rad), np.sin(turned_rad)
    pose[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    pose[:3, 3] = (x_m, 0, -0.5)
    return pose


def memory_of(*poses: np.ndarray, names: str = "") -> ReplayMemory:
    memory = ReplayMemory(20)
    rgb = np.zeros((30, 40, 3), np.uint8)
    for number, pose in enumerate(poses):
        name = names[number] if names else "camera"
        memory.add(PosedFrame(number, name, CAMERA, pose, rgb))
    return memory


@pytest.fixture(scope="module")
def field() -> SceneField:
    """Fog that stops every ray."""
    config = FieldConfig(grid=GridConfig(levels=2, log2_entries=8), occupancy_resolution=8)
    fog = SceneField(config, BOUNDS).frozen()
    fog.radiance.trunk[-1].bias.data[0] = 6.0
    return fog


class Bench:
    """Stands for the training worker: wants something, and keeps what it gets."""

    def __init__(self, field: SceneField, wants: Imagining = Imagining.EMBEDDING) -> None:
        empty, none = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
        surface = SurfaceCloud(empty, empty, np.zeros((0, 3), np.uint8), none)
        self._snapshot = Snapshot(1, 0, surface, field, None)  # type: ignore[arg-type]
        self.wants = wants
        self.views: list[ImaginedView] = []

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def wanted(self) -> Imagining:
        return self.wants

    def imagined(self, map_version: int, view: ImaginedView, features: FrameFeatures) -> None:
        assert map_version == self._snapshot.map_version
        self.views.append(view)


def look(view: ImaginedView, wanted: Imagining) -> FrameFeatures:
    return FrameFeatures(np.zeros((1, 1, 1), np.float16), (), np.zeros((0, 2), np.float16))


def imagination(bench: Bench, memory: ReplayMemory, **options: float) -> Imagination:
    return Imagination(ImaginationConfig(**options), memory, bench)  # type: ignore[arg-type]


def test_pairs_are_near_each_other_of_one_camera_and_look_a_similar_way() -> None:
    near = [pose_at(0.01 * number) for number in range(module.NEIGHBOURS + 1)]
    memory = memory_of(*near, pose_at(0.0, 2.0), pose_at(0.0), names="aaaaaaaab")
    rng = np.random.default_rng(0)
    for _ in range(50):
        pair = neighbouring_views(memory.views(), rng)
        if pair is not None:
            assert {view.camera_name for view in pair} == {"a"}
            assert all(view.keyframe_id <= module.NEIGHBOURS for view in pair)
            assert pair[0].keyframe_id != pair[1].keyframe_id


def test_there_is_no_pair_of_one_view() -> None:
    assert neighbouring_views(memory_of(pose_at(0)).views(), np.random.default_rng(0)) is None


def test_a_view_lies_between_its_keyframes_and_has_their_shape(field: SceneField) -> None:
    bench = Bench(field)
    made = imagination(bench, memory_of(pose_at(0.0), pose_at(0.4)), max_width_px=20)
    made.work(look, lambda: False)
    (view,) = bench.views
    assert (view.camera.width, view.camera.height) == (20, 15)
    assert view.rgb.shape == (15, 20, 3) and view.rgb.dtype == np.uint8
    assert view.depth_m.shape == (15, 20) and view.depth_m.dtype == np.float32
    assert 0 < view.world_from_camera[0, 3] < 0.4
    assert made.delivered == 1 and made.abandoned == 0


def test_a_waiting_keyframe_goes_first(field: SceneField) -> None:
    bench = Bench(field)
    made = imagination(bench, memory_of(pose_at(0.0), pose_at(0.4)))
    made.work(look, lambda: True)
    assert not bench.views and made.abandoned == 1


def test_nothing_is_made_that_nobody_wants(field: SceneField) -> None:
    bench = Bench(field, Imagining.NOTHING)
    made = imagination(bench, memory_of(pose_at(0.0), pose_at(0.4)))
    made.work(look, lambda: False)
    assert not bench.views and made.abandoned == 0


def test_rest_follows_work_and_none_is_for_ever(field: SceneField) -> None:
    memory = memory_of(pose_at(0.0), pose_at(0.4))
    assert imagination(Bench(field), memory, time_share=0.0).pause_s() is None
    made = imagination(Bench(field), memory, time_share=1e-6)
    made.work(look, lambda: False)
    # A millisecond of work at this share is followed by 1000 s of rest.
    assert (made.pause_s() or 0) > 10


@pytest.mark.parametrize(("time_share", "delivered"), [(0.0, 0), (1e-6, 1)])
def test_nothing_is_made_in_a_rest_whoever_asks(
    field: SceneField, time_share: float, delivered: int
) -> None:
    """The thread may come by because keyframes may have lacked features."""
    made = imagination(Bench(field), memory_of(pose_at(0.0), pose_at(0.4)), time_share=time_share)
    for _ in range(3):
        made.work(look, lambda: False)
    assert made.delivered == delivered


def test_a_share_of_all_the_time_is_refused(field: SceneField) -> None:
    with pytest.raises(ValueError, match=r"time_share must be in \[0, 1\), got 1"):
        imagination(Bench(field), memory_of(), time_share=1.0)


def test_a_view_into_the_void_is_left_out(field: SceneField) -> None:
    away = pose_at(0.0, np.pi)
    away[:3, 3] = (0, 0, -500.0)
    empty = field.frozen()
    empty.radiance.trunk[-1].bias.data[0] = -40.0  # the fog is gone
    assert render_view(empty, CAMERA, away, lambda: False) is None
