"""The whole evaluation on a labelled folder that the test writes."""

import json
import logging
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from semantic_field_ros.cli import main
from semantic_field_ros.config import Config, overlaid
from semantic_field_ros.evaluation import run
from semantic_field_ros.evaluation.comparison import config_for
from semantic_field_ros.evaluation.recording import write_folder
from semantic_field_ros.evaluation.run import EvalOptions, open_recording, run_eval, scheduled
from semantic_field_ros.models.tiny.load import load_tiny_sam
from semantic_field_ros.semantics.ovnerf import OvNerf
from semantic_field_ros.stream.open import open_source
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table of the built-in world, recorded with labels."""
    path = tmp_path_factory.mktemp("table")
    source = SyntheticSource("table", 5, frames=20, camera=CAMERA)
    frames = list(source)
    write_folder(path, frames)
    for index, frame in enumerate(frames):
        instance = source.truth(frame.stamp_ns)[1].instance.astype(np.uint16)
        cv2.imwrite(str(path / f"frame-{index:06d}.instance.png"), instance)
    labels = {o.id: o.phrase for o in source.world.objects if o.is_object}
    (path / "labels.json").write_text(json.dumps(labels))
    return path


def test_a_labelled_folder_from_the_command_line(folder, tmp_path, capsys, caplog):
    file, picture, config = (tmp_path / name for name in ("f.json", "answers.png", "c.yaml"))
    config.write_text("training: {threads: 1}\nimagination: {time_share: 0.8}\n")
    how = "--models labels-ideal --holdout 5 --steps 200 --no-latency".split()
    files = ["--json", str(file), "--pictures", str(picture), "--config", str(config)]
    code = main(["eval", str(folder), *how, *files])
    assert code == 0
    tree = json.loads(file.read_text())
    assert tree["source"] == str(folder)
    assert "ground-truth labels without faults" in tree["models"]
    assert tree["mapping"]["frames"] == 16 and tree["mapping"]["held_out"] == 4
    assert tree["mapping"]["psnr_db"] > 12 and tree["mapping"]["depth_median_m"] < 0.2
    assert tree["click"]["count"] >= 4 and tree["click"]["mean_iou"] > 0.3
    assert tree["views"]["count"] == tree["click"]["count"]
    assert tree["absent"] == {"not_found_share": None, "count": 0}  # labels need not be complete
    assert tree["latency"]["text_p95_s"] is None
    assert tree["classes"]["mean_iou"] > 0.3 and tree["relevancy"]["count"] >= 4
    assert 0 <= tree["relevancy"]["distance"] < 0.2
    assert set(tree["method_ms"]) == {"sam_features", "maskfield"}
    assert cv2.imread(str(picture)) is not None
    assert "PSNR on held-out views" in capsys.readouterr().out
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_field_cannot_imitate_models_that_know_labels(folder):
    recording, options = open_recording(open_source(str(folder))), EvalOptions(models="labels")
    with pytest.raises(RuntimeError, match="queries.click_features to 'cached'"):
        run_eval(recording, config_for("sam_features", Config()), options, lambda *told: None)


def test_label_driven_models_need_labels(folder, tmp_path):
    for path in folder.iterdir():
        if path.name != "labels.json":
            (tmp_path / path.name).symlink_to(path)
    recording = open_recording(open_source(str(tmp_path)))
    with pytest.raises(ValueError, match="has no ground-truth labels"):
        run_eval(recording, Config(), EvalOptions(models="labels"), lambda *told: None)


def test_too_few_keyframes_for_training_are_an_error_after_a_while(folder, monkeypatch):
    monkeypatch.setattr(run, "SLOW_S", 0.5)
    recording = open_recording(open_source(str(folder)))
    few = replace(recording, frames=list(recording.frames)[:3])  # four start training
    with pytest.raises(RuntimeError, match="no surface after .* 0 steps on 3 keyframes"):
        run_eval(few, Config(), EvalOptions(holdout=0, steps=10), lambda *told: None)


def test_answers_are_made_of_nothing_that_came_after_the_clock(folder, monkeypatch):
    segmenter, looked_s, rendering_s = load_tiny_sam(), [], []
    embed = segmenter.embed

    def slowly(image):
        time.sleep(1.0)
        looked_s.append(time.monotonic())
        return embed(image)

    def step(text, *done):
        if text == "rendering held-out views":
            rendering_s.append(time.monotonic())

    monkeypatch.setattr(segmenter, "embed", slowly)
    monkeypatch.setattr(run, "load_segmenter", lambda name: segmenter)
    config = replace(Config(), training=replace(Config().training, threads=1))
    config = replace(config, semantics=replace(config.semantics, methods=("maskfield",)))
    recording = open_recording(open_source(str(folder)))
    options = EvalOptions(steps=20, latency=False)
    report = run_eval(recording, config, options, step)
    assert report.asked and max(looked_s) < rendering_s[0]
    assert len(looked_s) - 1 < report.mapping.keyframes  # one is the warm-up; the others waited


@pytest.mark.parametrize(("every", "run_steps"), [(1, 500), (4, 125), (600, 1)])
def test_schedules_are_shares_of_the_steps_that_are_asked_for(every, run_steps):
    config = overlaid(Config(), {"semantics": {"ovnerf": {"every": every, "run_steps": 900}}})
    assert scheduled(config, 500).semantics.ovnerf.run_steps == run_steps
    assert scheduled(config, 0) == config


def test_a_run_of_a_few_steps_trains_on_the_fields_own_classes(folder, monkeypatch):
    renewed_at, renew = [], OvNerf._class_map

    def noted(method, *looked):
        renewed_at.append(method._steps)
        return renew(method, *looked)

    monkeypatch.setattr(OvNerf, "_class_map", noted)
    config = replace(Config(), training=replace(Config().training, threads=1))
    config = replace(config, semantics=replace(config.semantics, methods=("ovnerf",)))
    recording = open_recording(open_source(str(folder)))
    options = EvalOptions(models="labels-ideal", steps=150, asked=(), latency=False)
    run_eval(recording, config, options, lambda *told: None)
    assert renewed_at and min(renewed_at) >= 100  # two thirds


def test_methods_that_know_no_words_are_clicked_alone(folder):
    config = replace(Config(), training=replace(Config().training, threads=1))
    config = replace(config, semantics=replace(config.semantics, methods=("sam_features",)))
    recording = open_recording(open_source(str(folder)))
    report = run_eval(recording, config, EvalOptions(steps=20, latency=False), lambda *told: None)
    assert {asked.kind for asked in report.asked} == {"click"}
    assert report.classes is report.view_classes is report.relevancy is report.panoptic is None
    assert report.text() == {
        "mean_iou": None, "share_over_half": None, "localisation": None, "count": 0
    }  # fmt: skip
