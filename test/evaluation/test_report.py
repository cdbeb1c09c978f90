import json

import pytest
from rich.console import Console

from semantic_field_ros.evaluation.report import (
    Asked,
    Latency,
    Mapping,
    Report,
    figure,
    mapping_table,
    measured_latency,
    only_finite,
    queries_table,
    summary_table,
    write_json,
)

MAPPING = Mapping(84, 61, 900, 90.0, 21.5, 22.5, 0.012, 1500.0, 12)


def asked(kind, present, found, iou=None, localised=None):
    return Asked(kind, "red mug", present, found, 0.7, iou, 0.1, localised)


REPORT = Report(
    "world:table:7",
    "tiny",
    MAPPING,
    (
        asked("click", True, True, 0.9),
        asked("click", True, True, 0.7),
        asked("text", True, True, 0.6, True),
        asked("text", True, False, 0.0, False),
        asked("text", False, False),
        asked("text", False, True),
        asked("text", False, False),
    ),
    Latency(0.2, 0.5, 200_000, 60),
)


def test_the_tree_has_the_keys_that_programs_read():
    tree = REPORT.to_dict()
    assert tree["source"] == "world:table:7"
    assert set(tree["mapping"]) >= {
        "frames", "keyframes", "steps", "seconds", "psnr_db", "depth_median_m", "peak_memory_mb",
    }  # fmt: skip
    assert tree["click"] == {"mean_iou": pytest.approx(0.8), "count": 2}
    assert tree["text"] == {
        "mean_iou": pytest.approx(0.3),
        "share_over_half": 0.5,
        "localisation": 0.5,
        "count": 2,
    }
    assert tree["absent"] == {"not_found_share": pytest.approx(2 / 3), "count": 3}
    assert tree["latency"]["text_p95_s"] == 0.2
    assert tree["latency"]["surface_points"] == 200_000


def test_without_ground_truth_figures_are_null_and_not_zero():
    nothing = Report("x", "tiny", MAPPING, (asked("text", None, True),))
    tree = json.loads(json.dumps(nothing.to_dict()))
    assert tree["click"] == {"mean_iou": None, "count": 0}
    assert tree["text"]["mean_iou"] is None and tree["absent"]["not_found_share"] is None
    assert tree["latency"]["text_p95_s"] is None
    console = Console(width=120, record=True)
    console.print(summary_table(nothing))
    assert "p95" not in console.export_text()


def test_infinite_figures_become_null(tmp_path):
    tree = {"a": [float("inf"), 1.0], "b": {"c": float("nan")}}
    assert only_finite(tree) == {"a": [None, 1.0], "b": {"c": None}}
    write_json(tmp_path / "new" / "report.json", tree)
    assert json.loads((tmp_path / "new" / "report.json").read_text())["b"] == {"c": None}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.json"]


def test_latency_is_the_95th_percentile():
    latency = measured_latency([i / 100 for i in range(1, 101)], [1.0], 200_000)
    assert (latency.text_p95_s, latency.click_p95_s, latency.queries) == (0.95, 1.0, 101)


def test_figures_read_well():
    assert figure(None) == "–" and figure(True) == "yes"
    assert figure(0.125, "s", 3) == "0.125 s" and figure(7) == "7"


def test_tables_print_every_figure():
    console = Console(width=120, record=True)
    tree = REPORT.to_dict()
    for table in (mapping_table(tree["mapping"], "Map"), summary_table(REPORT)):
        console.print(table)
    console.print(queries_table(tree["queries"]))
    text = console.export_text()
    for expected in ("84 / 61", "21.50 dB", "1.20 cm", "0.80", "0.67", "200000", "red mug"):
        assert expected in text
