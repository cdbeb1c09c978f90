"""Loading a map while cameras go on."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semantic_field_ros.config import Config, from_dict, overlaid
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.keyframes.store import FrameStore
from semantic_field_ros.training.checkpoint import load_map, save_map
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)
KEYFRAMES = 6
CONFIG: Config = from_dict(
    {
        "scene": {"box_m": [-1.0, -2.0, -1.0, 3.0, 3.0, 3.0]},
        "keyframes": {"capacity": 8},
        "field": {"grid": {"levels": 4, "log2_entries": 10}},
        "training": {"threads": 1, "rays": 64, "snapshot_every_s": 0.1},
        "imagination": {"time_share": 0.0},
    }
)


def frame(number: int) -> PosedFrame:
    """Each 20 cm from the last, with its own grey."""
    pose = np.eye(4)
    pose[0, 3] = 0.2 * number
    rgb = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
    depth_m = np.full((48, 64), 2.0, np.float32)
    return PosedFrame((number + 1) * 10**9, "camera", CAMERA, pose, rgb, depth_m)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map whose keyframes have no features."""
    path = tmp_path_factory.mktemp("maps") / "kitchen"
    with SemanticField(CONFIG) as field:
        for number in range(KEYFRAMES):
            assert field.ingest(frame(number)).keep
        assert field.wait_for_snapshot()
        field.save(path)
    whole = load_map(path.parent, path.name)
    bare = [{**record, "proposals": None} for record in whole.meta["keyframes"]]
    save_map(path.parent, path.name, replace(whole, meta=whole.meta | {"keyframes": bare}))
    return path


def test_no_camera_waits_while_keyframes_are_copied(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    field, copied = SemanticField(CONFIG), FrameStore.write
    loading, answers = threading.current_thread(), []

    def callback() -> None:
        kept = field.ingest(frame(len(answers))).keep
        answers.append((kept, field.status()["keyframes"]))

    def write(self: FrameStore, slot: int, keyframe_id: int, picture: PosedFrame) -> None:
        if threading.current_thread() is loading:
            camera = threading.Thread(target=callback)
            camera.start()
            camera.join(30)
            assert not camera.is_alive(), "a camera waits until a map is loaded"
        copied(self, slot, keyframe_id, picture)

    monkeypatch.setattr(FrameStore, "write", write)
    field.load(saved)
    monkeypatch.undo()
    # The map that is about to go took them in.
    assert answers == [(True, number + 1) for number in range(KEYFRAMES)]
    assert [view.keyframe_id for view in field.keyframes()] == list(range(KEYFRAMES))
    assert field.status()["feature_backlog"] == KEYFRAMES
    assert field.ingest(frame(9)).keep
    assert field.keyframes()[-1].keyframe_id == KEYFRAMES


def test_all_keyframes_of_a_map_without_features_get_them_however_short_the_queue_is(
    saved: Path,
) -> None:
    field = SemanticField(overlaid(CONFIG, {"models": {"queue": 2}}))
    field.load(saved)
    status = field.status()
    assert (status["feature_backlog"], status["features_dropped"]) == (KEYFRAMES, 0)
    with field:
        deadline_s = time.monotonic() + 120
        while field.status()["features_done"] < KEYFRAMES:
            assert time.monotonic() < deadline_s, field.status()
            time.sleep(0.05)
    assert all(view.has_features for view in field.keyframes())
    assert field.status()["features_dropped"] == 0
