"""Imitation learns from views that the map shows between keyframes, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from semantic_field_ros.config import (
    FieldConfig,
    GridConfig,
    ImaginationConfig,
    SamFeaturesConfig,
)
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.geometry import interpolate_pose
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import Imagining
from semantic_field_ros.semantics.sam_features import SamFeatures
from semantic_field_ros.training.imagination import Imagination
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import FrameFeatures, ImaginedView

SMALL = SamFeaturesConfig(
    GridConfig(levels=4, log2_entries=12), hidden=32, window_cells=8, imagined_views=96
)
VIEWS = 5


class Training:
    """Stands for the training worker: a method, and a map that fog fills."""

    def __init__(self, method: SamFeatures, surface) -> None:
        config = FieldConfig(grid=GridConfig(levels=2, log2_entries=8), occupancy_resolution=8)
        fog = SceneField(config, SceneBounds((-1.5, -1.5, 0.5, 1.5, 1.5, 3.5))).frozen()
        fog.radiance.trunk[-1].bias.data[0] = 6.0
        self._snapshot = Snapshot(1, 0, surface, fog, None)  # type: ignore[arg-type]
        self._method = method
        self.handed: list[ImaginedView] = []

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def wanted(self) -> Imagining:
        return self._method.imagining

    def imagined(self, map_version: int, view: ImaginedView, features: FrameFeatures) -> None:
        self.handed.append(view)
        self._method.imagine(view, features)


def learnt_from(method: SamFeatures, wall, steps: int) -> set[tuple[float, ...]]:
    """Where the cameras were, metres, whose rays so many steps followed."""
    places = set()

    def watched(origins, directions, depth_m):
        places.update(map(tuple, np.unique(origins.astype(float).round(4), axis=0).tolist()))
        return wall.quadrature(origins, directions, depth_m)

    for _ in range(steps):
        assert method.step(watched)
    return places


def test_each_imagined_view_is_learnt_from_and_lies_between_two_keyframes(wall) -> None:
    """The second keyframe is 40 cm to the right of the first and 20 cm below, and turned."""
    method, memory = SamFeatures(SMALL, wall.setup), ReplayMemory(6)
    first, second = np.eye(4), np.eye(4)
    second[:3, 3] = 0.4, 0.2, 0.0
    second[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    for number, pose in enumerate((first, second)):
        keyframe = wall.keyframe(number, 0.0)
        keyframe.frame = replace(keyframe.frame, world_from_camera=pose)
        memory.add(keyframe.frame)
        method.observe(keyframe)
    captured = {(0.0, 0.0, 0.0), (0.4, 0.2, 0.0)}
    assert learnt_from(method, wall, 30) == captured

    training = Training(method, wall.surface())
    config = ImaginationConfig()
    for seed in range(VIEWS):  # each on its own, for one that has worked takes a rest
        imagination = Imagination(config, memory, training, seed)  # type: ignore[arg-type]
        imagination.work(lambda view, wanted: wall.keyframe(9, 0.0).features, lambda: False)
    assert len(training.handed) == VIEWS
    for view in training.handed:
        share = view.world_from_camera[0, 3] / 0.4
        assert 0 < share < 1
        between = interpolate_pose(first, second, share)
        np.testing.assert_allclose(view.world_from_camera, between, atol=1e-6)
    imagined = {tuple(view.world_from_camera[:3, 3].round(4)) for view in training.handed}
    assert len(imagined) == VIEWS
    assert learnt_from(method, wall, 150) == captured | imagined


@pytest.mark.parametrize("room", [0, 3])
def test_no_more_imagined_views_are_learnt_from_than_there_is_room_for(wall, room: int) -> None:
    method = SamFeatures(replace(SMALL, imagined_views=room), wall.setup)
    method.observe(wall.keyframe(0, 0.0))
    learnt_from(method, wall, 1)
    for number in range(1, VIEWS + 1):
        frame, features = wall.keyframe(number, 0.1 * number).frame, wall.keyframe(0, 0.0).features
        view = ImaginedView(frame.camera, frame.world_from_camera, frame.rgb, frame.depth_m)
        method.imagine(view, features)
    while method._new:
        learnt_from(method, wall, 1)
    places = learnt_from(method, wall, 60)
    assert (0.0, 0.0, 0.0) in places and len(places) == 1 + room
