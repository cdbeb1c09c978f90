"""The five methods side by side, from reports made by hand."""

import json
from contextlib import contextmanager

import pytest
from rich.console import Console

from semantic_field_ros.config import Config, QueriesConfig
from semantic_field_ros.evaluation import comparison
from semantic_field_ros.evaluation.comparison import (
    METHODS,
    ROWS,
    VARIANTS,
    chosen_methods,
    compare,
    comparison_table,
    comparison_tree,
    config_for,
    options_for,
    trained_alike,
)
from semantic_field_ros.evaluation.metrics import ClassFigures
from semantic_field_ros.evaluation.panoptic import PanopticFigures
from semantic_field_ros.evaluation.report import Asked, Mapping, RelevancyFigures, Report
from semantic_field_ros.evaluation.run import EvalOptions, Recording
from semantic_field_ros.stream.holdout import Holdout

REPORT = Report(
    "world:table:1007",
    "tiny",
    Mapping(84, 61, 900, 90.4, 21.5, 22.5, 0.012, 1500.0, 12, 0.81, 0.84, 0.79),
    (
        Asked("click", "mug", True, True, 0.7, 0.9, 0.2, None, 0.5, 0.8, 0.99),
        Asked("click", "pan", True, True, 0.7, 0.5, 0.4, None, 0.5, 0.6, 0.97),
        Asked("text", "red mug", True, True, 0.7, 0.6, 0.1, True, 0.65, 0.5, 0.9),
        Asked("text", "blue mug", False, True, 0.7, None, 0.3),
        Asked("text", "green pan", False, False, 0.7, None, 0.2),
    ),
    classes=ClassFigures(0.55, 0.65),
    relevancy=RelevancyFigures(0.75, 0.0654, 8, 0.875),
    method_ms={"maskfield": 12.34, "sam_features": 45.67},
    view_classes=ClassFigures(0.45, 0.5),
    panoptic=PanopticFigures(0.7, 0.8, 0.875, 7, 1, 1),
)
CLICKED = Report(
    REPORT.source,
    REPORT.models,
    REPORT.mapping,
    tuple(one for one in REPORT.asked if one.kind == "click"),
    method_ms=REPORT.method_ms,
)
OF_TEXT = {
    "mean_iou": 0.55,
    "mean_accuracy": 0.65,
    "text_iou": 0.6,
    "localisation": 1.0,
    "recall": 0.75,
    "relevancy_distance": 0.0654,
    "view_mean_iou": 0.45,
    "view_mean_accuracy": 0.5,
    "view_text_iou": 0.65,
    "view_localisation": 0.875,
    "false_positives": 0.5,  # one of two absent phrases
    "text_s": 0.2,
}
OF_CLICKS = {
    "click_iou": 0.7,
    "view_click_iou": 0.7,
    "view_click_accuracy": 0.98,
    "click_s": 0.3,
}


def figures_of(name):
    tree = comparison_tree("world:table:1007", {name: REPORT})
    assert tree["source"] == "world:table:1007"
    return tree["methods"][name]


def test_a_method_with_language_and_clicks_has_every_figure():
    figures = figures_of("maskfield")
    assert figures["paper"] == "MaskField" and figures["models"] == "tiny"
    expected = OF_TEXT | OF_CLICKS
    expected |= {"step_ms": 12.34, "seconds": 90.4, "peak_memory_mb": 1500.0}
    expected |= {"teacher_iou": 0.81, "teacher_picture_iou": 0.84, "picture_iou": 0.79}
    expected |= {"panoptic_quality": 0.7}
    assert {key: figures[key] for key in expected} == pytest.approx(expected)
    assert set(expected) == {row.key for row in ROWS}


def test_what_was_not_asked_has_no_figure():
    figures = comparison_tree("", {"object_field": CLICKED})["methods"]["object_field"]
    assert all(figures[key] is None for key in OF_TEXT)
    assert {key: figures[key] for key in OF_CLICKS} == pytest.approx(OF_CLICKS)
    assert figures["panoptic_quality"] is None and figures["step_ms"] is None


def test_a_method_is_asked_what_it_has_answers_of_its_own_to(tmp_path):
    how = EvalOptions(seed=3, pictures=tmp_path / "sheet.png")
    asked = {name: options_for(name, how).asked for name in METHODS}
    assert asked == {
        "sam_features": ("click",),
        "object_field": ("click",),
        "lerf": ("text",),
        "ovnerf": ("text",),
        "maskfield": ("click", "text", "instances"),
    }
    refined = options_for("object_field", how)
    assert refined.refine and refined.seed == 3 and not refined.latency
    assert refined.pictures == tmp_path / "sheet-object_field.png"
    assert not options_for("maskfield", how).refine


def test_the_table_has_a_column_per_method_and_a_dash_for_what_there_is_not():
    tree = comparison_tree("world:table:1007", {"maskfield": REPORT, "sam_features": CLICKED})
    console = Console(width=120, record=True)
    console.print(comparison_table(json.loads(json.dumps(tree))))
    lines = {line.split("  ")[0].strip("│ "): line for line in console.export_text().splitlines()}
    assert "0.55" in lines["classes: mIoU"] and "–" in lines["classes: mIoU"]
    assert lines["click: mean 3D IoU"].count("0.70") == 2
    step = lines["a step of the method, ms"]
    assert "12.3" in step and "45.7" in step


def test_a_method_is_trained_alone():
    config = Config(queries=QueriesConfig(click_views=3))
    for name, entry in METHODS.items():
        alone = config_for(name, config)
        assert alone.semantics.methods == (alone.semantics.text_method,) == (entry.trained,)
        assert alone.queries.click_views == 3
        assert alone.queries.click_features == ("rendered" if name == "sam_features" else "cached")


def test_one_map_answers_for_all_methods_that_are_trained_alike():
    config = Config(queries=QueriesConfig(click_views=3))
    names = chosen_methods("all,ablations")
    groups = trained_alike(names, config)
    assert groups[0] == ["sam_features", "object_field_distilled"]
    assert groups[1] == [
        "object_field", "maskfield", "object_field_raw", "object_field_votes", "object_field_pairs"
    ]  # fmt: skip
    alone = [name for name in names if name not in (*groups[0], *groups[1])]
    assert groups[2:] == [[name] for name in alone]
    assert trained_alike(["maskfield"], config) == [["maskfield"]]


def test_a_variant_is_a_method_without_what_its_paper_adds():
    plain = config_for("ovnerf_plain", Config()).semantics.ovnerf
    assert (plain.ranking, plain.enhancement) == ("none", False)
    for name, enhancement in (("ovnerf_rsr", False), ("ovnerf_rsr_cse", True)):
        paper = config_for(name, Config()).semantics.ovnerf
        assert (paper.ranking, paper.clear_majority) == ("majority", 0.0)
        assert paper.enhancement == enhancement
    assert config_for("lerf_plain", Config()).semantics.pyramid.override == "none"
    assert config_for("sam_features", Config()).semantics.sam_features.imagined_views == 96
    captured = config_for("sam_features_captured", Config())
    assert captured.semantics.sam_features.imagined_views == 0
    assert captured.queries.click_features == "rendered"
    assert config_for("object_field_votes", Config()).queries.refine_with == "votes"
    assert config_for("object_field_raw", Config()).queries.refine_with == "masks"
    distilled = config_for("object_field_distilled", Config()).queries
    assert (distilled.click_features, distilled.refine_with) == ("rendered", "object_field")
    assert options_for("object_field_distilled", EvalOptions()).refine
    pairs = config_for("object_field_pairs", Config())
    assert pairs.queries.refine_with == "object_field"
    assert options_for("object_field_pairs", EvalOptions()).refine
    field = pairs.semantics.object_field
    assert field.pair_weight == 0.5 and field.steps == 2 * field.warm_up_steps == 600
    assert config_for("object_field", pairs).semantics.object_field.pair_weight == 0


def test_a_method_that_failed_has_a_column_without_figures():
    tree = comparison_tree("world:table:1007", {"maskfield": REPORT, "lerf": None})
    assert all(tree["methods"]["lerf"][row.key] is None for row in ROWS)
    console = Console(width=120, record=True)
    console.print(comparison_table(tree))
    assert "lerf" in console.export_text()


NOTHING = Recording("world:table:1007", 0, (), None, Holdout())


class Built:
    """A map in name alone."""

    def __init__(self) -> None:
        self.field, self.report = self, REPORT
        self.refine_with = ""

    def retune(self, queries, refining):
        self.refine_with = queries.refine_with

    def answered(self, how):
        if how.refine and self.refine_with == "votes":
            raise OSError("no answer")
        return REPORT


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError])
def test_figures_come_map_by_map_and_one_that_fails_stops_no_other(monkeypatch, caplog, error):
    trained = []

    @contextmanager
    def mapped(recording, config, *_):
        trained.append(config.semantics.methods)
        if "lerf" in config.semantics.methods:
            raise error("no map")
        yield Built()

    monkeypatch.setattr(comparison, "mapped", mapped)
    names = ("object_field_votes", "lerf", "maskfield", "ovnerf")
    trees = list(compare(NOTHING, Config(), names, EvalOptions(), lambda *_: None))
    assert trained == [("maskfield",), ("lerf",), ("ovnerf",)]
    assert [list(tree["methods"]) for tree in trees] == [
        ["object_field_votes", "maskfield"],
        ["object_field_votes", "lerf", "maskfield"],
        list(names),
    ]
    last = trees[-1]["methods"]
    assert [last[name]["text_iou"] for name in names] == [None, None, 0.6, 0.6]
    assert [record.message for record in caplog.records] == [
        "object_field_votes: no figures: no answer", "lerf: no figures: no map"
    ]  # fmt: skip
    assert "in mapped" in caplog.text  # where it came from


def test_an_interrupt_ends_a_comparison(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "mapped", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(compare(NOTHING, Config(), ("maskfield", "lerf"), EvalOptions(), lambda *_: None))


def test_methods_are_chosen_by_name():
    assert chosen_methods("all") == tuple(METHODS)
    assert chosen_methods("lerf,ablations") == ("lerf", *VARIANTS)
    assert chosen_methods("lerf, maskfield,lerf") == ("lerf", "maskfield")
    with pytest.raises(
        ValueError, match=r"unknown method 'nerf'; expected 'all', 'ablations' or some of "
    ):
        chosen_methods("lerf,nerf")
