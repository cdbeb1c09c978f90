"""The whole evaluation on the built-in world, with the bundled models and latency."""

from semantic_field_ros.config import Config
from semantic_field_ros.evaluation import latency
from semantic_field_ros.evaluation.run import EvalOptions, open_recording, run_eval
from semantic_field_ros.stream.synthetic import SyntheticSource


def test_a_world_is_mapped_asked_and_timed(monkeypatch) -> None:
    monkeypatch.setattr(latency, "TEXT_QUERIES", 3)
    monkeypatch.setattr(latency, "SURFACE_POINTS", 30_000)
    recording = open_recording(SyntheticSource("table", 5, frames=18))
    report = run_eval(recording, Config(), EvalOptions(steps=100, holdout=6), lambda *told: None)
    tree = report.to_dict()
    assert tree["source"] == "world:table:5"
    assert tree["mapping"]["frames"] == 15 and tree["mapping"]["held_out"] == 3
    assert tree["click"]["count"] >= 4 and tree["click"]["mean_iou"] > 0.6
    assert tree["text"]["count"] >= 4 and tree["text"]["mean_iou"] > 0.6
    # Twelve phrases of what is not there, and hardly one is found.
    assert tree["absent"]["count"] == 12 and tree["absent"]["not_found_share"] >= 0.75
    assert tree["latency"]["surface_points"] == 30_000
    assert 0 < tree["latency"]["text_p95_s"] and 0 < tree["latency"]["click_p95_s"]
