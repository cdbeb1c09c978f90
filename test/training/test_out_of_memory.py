"""A map that learns where there is room for fewer rays at once than the configuration says."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from semantic_field_ros.config import Config, from_dict
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import FrozenMethod, Quadrature, SemanticMethod
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.training.worker import TrainingWorker
from semantic_field_ros.types import Keyframe, PinholeCamera, PosedFrame

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
BOUNDS = SceneBounds((-2.0, -2.0, -2.0, 2.0, 2.0, 2.0))
RAYS = 320
CONFIG: Config = from_dict(
    {
        "field": {"backend": "torch", "grid": {"levels": 2, "log2_entries": 8}},
        "training": {
            "rays": RAYS,
            "keyframes_to_start": 2,
            "snapshot_every_s": 0.05,
            "max_steps_without_news": 0,
            "threads": 1,
        },
    }
)


class Greedy(SemanticMethod):
    """Needs room for its rays, and learns nothing."""

    name, every, room = "greedy", 1, RAYS

    def step(self, quadrature: Quadrature) -> dict[str, float]:
        if (rays := self.rays_of(RAYS)) > self.room:
            raise torch.cuda.OutOfMemoryError("no room")
        return {"rays": float(rays)}

    def observe(self, keyframe: Keyframe) -> None: ...

    def forget(self, keyframe_id: int) -> None: ...

    def poses_changed(self) -> None: ...

    def surface_features(self, points: np.ndarray) -> np.ndarray:
        return np.zeros((len(points), 1), np.float16)

    def freeze(self) -> FrozenMethod:
        return FrozenMethod()

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def load_state(self, state: dict[str, torch.Tensor]) -> None: ...


@pytest.fixture
def memory() -> ReplayMemory:
    """Two views without depth, so that a snapshot renders all of the surface."""
    memory = ReplayMemory(5)
    for x_m in (0.0, 0.2):
        pose = np.eye(4)
        pose[0, 3] = x_m
        rgb = np.full((48, 64, 3), 90, np.uint8)
        memory.add(PosedFrame(1, "c", CAMERA, pose, rgb))
    return memory


@pytest.fixture
def method() -> Greedy:
    return Greedy()


@pytest.fixture
def worker(memory: ReplayMemory, method: Greedy) -> Iterator[TrainingWorker]:
    mapper = Mapper(CONFIG, BOUNDS, memory, {"greedy": method})
    worker = TrainingWorker(memory, lambda: mapper, CONFIG.training)
    yield worker
    worker.stop()


def room_for(monkeypatch: pytest.MonkeyPatch, name: str, rays: int) -> list[int]:
    """From now on a function of the field has room for so many rays; how many it really had."""
    had: list[int] = []
    whole = getattr(SceneField, name)

    def scarce(self, asked, *rest, **options):
        if len(asked) > rays:
            raise torch.cuda.OutOfMemoryError("no room")
        had.append(len(asked))
        return whole(self, asked, *rest, **options)

    monkeypatch.setattr(SceneField, name, scarce)
    return had


def trained(worker: TrainingWorker) -> dict[str, float]:
    """Losses after some steps and snapshots."""
    worker.start()
    for _ in range(3000):
        status = worker.status()
        assert status.state != "failed", status.error
        if status.steps > 20 and status.map_version > 2:
            return status.losses
        threading.Event().wait(0.01)
    raise AssertionError(f"it does not get anywhere: {worker.status()}")


def test_steps_of_geometry_get_smaller(
    worker: TrainingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    had = room_for(monkeypatch, "trace", 100)
    trained(worker)
    assert set(had) == {RAYS // 4}


def test_snapshots_are_rendered_in_smaller_chunks_and_steps_stay_as_they_are(
    worker: TrainingWorker, method: Greedy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each view 16 × 21 = 336 rays are rendered."""
    had = room_for(monkeypatch, "look", 100)
    losses = trained(worker)
    assert set(had) == {84}
    assert (method.share, losses["greedy/rays"]) == (1.0, RAYS)


def test_steps_of_methods_get_smaller(worker: TrainingWorker, method: Greedy) -> None:
    method.room = 50
    assert trained(worker)["greedy/rays"] == RAYS // 8
