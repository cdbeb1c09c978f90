from types import SimpleNamespace

import numpy as np

from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import SurfaceCloud


def snapshot_of(count, prepared):
    points = np.zeros((count, 3), np.float32)
    spacing_m = np.ones(count, np.float32)
    surface = SurfaceCloud(points, points, points.astype(np.uint8), spacing_m)
    methods = {"any": SimpleNamespace(prepare=prepared.append)}
    return Snapshot(1, 0, surface, None, None, methods)


def test_methods_prepare_what_there_is_and_nothing_of_a_map_that_is_all_fog():
    prepared = []
    assert snapshot_of(0, prepared).prepare().map_version == 1
    assert not prepared
    shown = snapshot_of(3, prepared)
    assert shown.prepare() is shown
    assert prepared == [shown.surface]
