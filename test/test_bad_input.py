"""What the façade does with input that is bad: a clear reason, and nothing lost."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import (
    Config,
    KeyframesConfig,
    TrainingConfig,
    from_dict,
    to_dict,
)
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.models.base import Prompts
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.training.checkpoint import SavedMap, load_map, save_map
from semantic_field_ros.training.image_models import ImageModels
from semantic_field_ros.training.map_builder import MapBuilder
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import FrameFeatures, PinholeCamera, PosedFrame, SurfaceCloud

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
CAPACITY = 8


def frame(index: int) -> PosedFrame:
    """On a circle; each far enough from the last to be kept."""
    angle = index * 0.4
    eye = np.array([2 * np.cos(angle), 2 * np.sin(angle), 1.0])
    rgb = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
    depth_m = np.full((48, 64), 2.0, np.float32)
    stamp_ns = (index + 1) * 10**9
    return PosedFrame(stamp_ns, "camera", CAMERA, look_at(eye, np.zeros(3)), rgb, depth_m)


@pytest.fixture()
def field() -> SemanticField:
    """Never started: frames are judged and kept, nothing is learnt."""
    keyframes, training = KeyframesConfig(capacity=CAPACITY), TrainingConfig(threads=1)
    return SemanticField(Config(keyframes=keyframes, training=training))


@pytest.fixture(scope="module")
def mapped() -> Iterator[SemanticField]:
    """A small map of a few frames, with features, paused."""
    tree = {
        "scene": {"box_m": [-3.0, -3.0, -1.0, 3.0, 3.0, 2.0]},
        "keyframes": {"capacity": CAPACITY},
        "field": {"grid": {"levels": 4, "log2_entries": 10}},
        "training": {"threads": 1, "rays": 64, "snapshot_every_s": 0.1},
        "imagination": {"time_share": 0.0},
    }
    with SemanticField(from_dict(tree)) as field:
        for index in range(6):
            assert field.ingest(frame(index)).keep
        assert field.wait_for_snapshot(2)
        while field.status()["features_done"] < 6:
            time.sleep(0.05)
        field.pause()
        yield field


def far(distance_m: float) -> NDArray[np.float64]:
    pose = frame(0).world_from_camera.copy()
    pose[0, 3] = distance_m
    return pose


@pytest.mark.parametrize(
    ("camera", "pose", "message"),
    [
        (CAMERA, far(1e39), "pose must lie within 100000 m, got 1e\\+39 m"),
        (CAMERA, far(np.nan), "pose must be finite"),
        (CAMERA, np.diag([2.0, 1.0, 1.0, 1.0]), "pose must be rigid"),
        (replace(CAMERA, fx=1e-43), np.eye(4), "sideways per metre"),
        (CAMERA.scaled_to(40000, 30000), np.eye(4), "at most 16777216 pixels, got 40000x30000"),
    ],
)
def test_a_view_that_nobody_could_have_is_refused(
    mapped: SemanticField, camera: PinholeCamera, pose: NDArray[np.float64], message: str
) -> None:
    looks: list[Callable[[], object]] = [
        lambda: mapped.render(camera, pose),
        lambda: mapped.render_embedding(camera, pose),
        lambda: mapped.segment_view(camera, pose, Prompts.click(30, 20)),
    ]
    for look in looks:
        with pytest.raises(ValueError, match=message):
            look()


@pytest.mark.parametrize("u", [-3000.0, np.nan])
def test_a_click_beside_a_rendered_view_has_no_mask(mapped: SemanticField, u: float) -> None:
    answer = mapped.segment_view(CAMERA, frame(0).world_from_camera, Prompts.click(u, 20))
    assert not answer.found and "must lie inside 64x48 pixels" in answer.reason
    assert (answer.score, answer.prompts, answer.on_surface) == (0.0, None, None)


@pytest.mark.parametrize("name", ["map.field.radiance.encoder.table", "map.trainer.log_gain"])
def test_a_map_whose_numbers_are_none_is_refused(
    mapped: SemanticField, tmp_path: Path, name: str
) -> None:
    mapped.save(tmp_path / "kitchen")
    saved = load_map(tmp_path, "kitchen")
    saved.tensors[name][0] = torch.nan
    save_map(tmp_path, "kitchen", saved)
    with pytest.raises(ValueError, match="must be finite, got NaN or Inf"):
        mapped.load(tmp_path / "kitchen")


def test_a_map_keeps_the_frame_that_it_was_saved_in_without_a_node(
    mapped: SemanticField, tmp_path: Path
) -> None:
    """A viewer opens what a node has saved, and saves it under another name."""
    mapped.save(tmp_path / "hall")
    saved = load_map(tmp_path, "hall")
    assert saved.meta.pop("frame") == ""
    save_map(tmp_path, "older", saved)
    save_map(tmp_path, "kitchen", SavedMap(saved.meta | {"frame": "odom"}, saved.tensors))
    field = SemanticField(mapped.config)
    for name, frame_name in (("kitchen", "odom"), ("older", ""), ("kitchen", "odom")):
        field.load(tmp_path / name)
        field.save(tmp_path / "again")
        assert load_map(tmp_path, "again").meta["frame"] == frame_name
    field.map_frame = "map"
    with pytest.raises(ValueError, match="got one that was saved in 'odom'"):
        field.load(tmp_path / "kitchen")
    field.load(tmp_path / "older")
    field.save(tmp_path / "again")
    assert load_map(tmp_path, "again").meta["frame"] == "map"


def untrained(config: Config) -> SemanticField:
    """Three keyframes that wait for their features; never started."""
    field = SemanticField(config)
    assert all(field.ingest(frame(10 + index)).keep for index in range(3))
    return field


def test_a_map_that_does_not_fit_is_refused_and_changes_nothing(
    mapped: SemanticField, tmp_path: Path
) -> None:
    mapped.save(tmp_path / "kitchen")
    field = untrained(replace(mapped.config, keyframes=KeyframesConfig(capacity=5)))
    with pytest.raises(ValueError, match="keyframes.capacity must be at least 6"):
        field.load(tmp_path / "kitchen")
    status = field.status()
    assert (status["keyframes"], status["feature_backlog"]) == (3, 3)


@pytest.mark.parametrize(
    ("kind", "ours"), [("language", "tiny"), ("segmenter", "tiny"), ("dense", "")]
)
def test_a_map_learnt_with_other_models_is_refused(
    mapped: SemanticField, tmp_path: Path, kind: str, ours: str
) -> None:
    mapped.save(tmp_path / "kitchen")
    saved = load_map(tmp_path, "kitchen")
    saved.meta["config"]["models"][kind] = "other:/models/x.pt"
    save_map(tmp_path, "kitchen", saved)
    why = (
        f"models.{kind} must be 'other:/models/x.pt', with which the map was learnt, got '{ours}'"
    )
    with pytest.raises(ValueError, match=why):
        mapped.load(tmp_path / "kitchen")


def test_a_map_whose_keyframe_ids_are_wrong_is_refused_and_changes_nothing(
    mapped: SemanticField, tmp_path: Path
) -> None:
    mapped.save(tmp_path / "kitchen")
    saved = load_map(tmp_path, "kitchen")
    field = untrained(mapped.config)
    for wrong in (-1, 1, 1 << 70):
        records = [dict(record) for record in saved.meta["keyframes"]]
        records[0]["id"] = wrong
        save_map(tmp_path, "kitchen", SavedMap(saved.meta | {"keyframes": records}, saved.tensors))
        with pytest.raises(ValueError, match="ids of a map must be different and not negative"):
            field.load(tmp_path / "kitchen")
        status = field.status()
        assert (status["keyframes"], status["feature_backlog"]) == (3, 3)


def test_a_refused_frame_is_counted_and_the_next_one_is_kept(field: SemanticField) -> None:
    bad = replace(frame(0), depth_m=np.full((48, 64), np.inf, np.float32))
    with pytest.raises(ValueError, match="got inf"):
        field.ingest(bad)
    status = field.status()
    assert (status["keyframes"], sum(status["refused"].values())) == (0, 1)
    assert field.ingest(frame(1)).keep
    assert field.status()["keyframes"] == 1


def test_a_full_memory_takes_new_keyframes_for_ever(field: SemanticField) -> None:
    kept = sum(field.ingest(frame(index)).keep for index in range(3 * CAPACITY))
    status = field.status()
    assert kept == 3 * CAPACITY
    assert (status["keyframes"], status["keyframes_evicted"]) == (CAPACITY, 2 * CAPACITY)


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_text_is_answered_with_the_reason(field: SemanticField, text: str) -> None:
    answer = field.query_text(TextQuery(text))
    assert not answer.found and "empty" in answer.reason and not answer.masks


def test_questions_before_the_first_snapshot_are_answered(field: SemanticField) -> None:
    click = ClickQuery(points_world=np.zeros((1, 3), np.float32))
    for answer in (field.query_text(TextQuery("mug")), field.query_click(click)):
        assert not answer.found and "no map yet" in answer.reason


def test_a_map_whose_json_lacks_something_is_refused_and_changes_nothing(
    field: SemanticField, tmp_path: Path
) -> None:
    assert field.ingest(frame(0)).keep
    whole = {
        "methods": list(field.config.semantics.methods),
        "config": to_dict(field.config),
        "map_version": 3,
        "image_scales": {"camera": 1.0},
        "keyframes": [],
        "box_m": [0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
    }
    faults = [{key: None} for key in whole]
    faults += [{"config": {"field": {}}}, {"keyframes": [7]}, {"map_version": -1}, {"box_m": 5}]
    for fault in faults:
        save_map(tmp_path, "kitchen", SavedMap(whole | fault, {"x": torch.zeros(1)}))
        with pytest.raises(ValueError, match="map"):
            field.load(tmp_path / "kitchen")
    assert field.status()["keyframes"] == 1


class Sampler:
    """A `Trainable` that draws a ray in every step, and fails without a keyframe."""

    def __init__(self, memory: ReplayMemory) -> None:
        self.memory, self.rng = memory, np.random.default_rng(0)

    def step(self) -> dict[str, float]:
        self.memory.sample(1, self.rng)
        return {}

    def snapshot(self, map_version: int) -> Snapshot:
        empty, none = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
        surface = SurfaceCloud(empty, empty, np.zeros((0, 3), np.uint8), none, {}, map_version)
        return Snapshot(map_version, 0, surface, None, None)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def test_a_memory_smaller_than_what_a_map_begins_with_begins_when_it_is_full() -> None:
    tree = {
        "keyframes": {"capacity": 5},
        "field": {"backend": "torch", "grid": {"levels": 2, "log2_entries": 8}},
        "training": {"threads": 1, "keyframes_to_start": 9},
        "semantics": {"methods": []},
    }
    config = from_dict(tree)
    assert config.scene.keyframes_to_fix_box == 8
    field = SemanticField(config)
    for index in range(4):
        field.ingest(frame(index))
    assert field._build.first() is None
    field.ingest(frame(4))
    with field:
        while not field.status()["steps"]:
            assert field.status()["state"] in ("waiting", "training")
            time.sleep(0.05)


def test_a_reset_map_does_not_begin_anew_with_what_goes(monkeypatch) -> None:
    """Training is due all the while: of the old keyframes it would make a map that has none."""
    nothing = FrameFeatures(np.zeros((1, 1, 1), np.float16), (), np.zeros((0, 2), np.float16))
    monkeypatch.setattr(ImageModels, "features", lambda *_: nothing)
    monkeypatch.setattr(ImageModels, "warm_up", lambda _: None)
    monkeypatch.setattr(MapBuilder, "first", lambda build: Sampler(build._memory))
    training = TrainingConfig(threads=1, snapshot_every_s=0.01)
    with SemanticField(Config(training=training)) as field:
        version = 0
        for round_ in range(10):
            for index in range(CAPACITY):
                assert field.ingest(frame(round_ * CAPACITY + index)).keep
            assert field.wait_for_snapshot(version + 1)
            version = field.status()["map_version"]
            field.reset()
            status = field.status()
            assert (status["keyframes"], status["state"]) == (0, "waiting"), status["message"]
            assert status["map_version"] == 0
