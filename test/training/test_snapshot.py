"""What is worked out before a snapshot is published."""

from dataclasses import replace

import numpy as np

from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import SurfaceCloud


class Preparing:
    """A frozen method that counts the points of the surfaces it was prepared for."""

    def __init__(self) -> None:
        self.points: list[int] = []

    def prepare(self, surface: SurfaceCloud) -> None:
        self.points.append(len(surface.features["preparing"]))


def test_methods_are_prepared_for_a_surface_and_not_for_fog() -> None:
    method, points = Preparing(), np.zeros((3, 3), np.float32)
    features = {"preparing": np.zeros((3, 2), np.float16)}
    surface = SurfaceCloud(points, points, points.astype(np.uint8), points[:, 0], features)
    snapshot = Snapshot(1, 0, surface, None, None, {"preparing": method})  # type: ignore[arg-type]
    snapshot.prepare()
    fog = replace(surface, points=points[:0], features={})
    replace(snapshot, surface=fog).prepare()
    assert method.points == [3]
