import json

import pytest
from rich.console import Console

from semantic_field_ros.evaluation.bars import BARS, run_bars
from semantic_field_ros.evaluation.promises import Bar, judged, least, most, value_at
from semantic_field_ros.evaluation.subcommands import mean_tree


def test_a_missing_figure_is_a_missed_promise():
    assert least("a", 1.0).holds(1.0) and not least("a", 1.0).holds(0.99)
    assert most("a", 1.0).holds(1.0) and not most("a", 1.0).holds(1.01)
    assert not least("a", 1.0).holds(None) and not most("a", 1.0).holds(None)


def test_values_are_found_by_path():
    tree = {"mapping": {"psnr_db": 21.0}, "list": [1]}
    assert value_at(tree, "mapping.psnr_db") == 21.0
    assert value_at(tree, "mapping.none") is None and value_at(tree, "list.x") is None


def test_means_are_taken_place_by_place():
    trees = [
        {"a": {"x": 1.0, "n": None}, "source": "one", "list": [1]},
        {"a": {"x": 3.0, "n": 2.0}, "source": "two", "list": [2]},
    ]
    assert mean_tree(trees) == {"a": {"x": 2.0}}
    assert mean_tree(trees[::-1]) == {"a": {"x": 2.0, "n": None}}


@pytest.mark.parametrize("other", [{"a": None}, {}])
def test_what_one_source_has_not_measured_has_no_mean(other):
    """Such as instances of a map that fails where it is hardest."""
    assert mean_tree([{"a": {"x": 1.0}}, other]) == {"a": None}


def test_a_bar_counts_what_it_missed():
    bar = Bar("a thing", lambda folder: {}, (least("x", 2.0), most("y", 1.0)))
    table, missed = judged("thing", bar, {"x": 1.0, "y": 0.5})
    console = Console(width=100, record=True)
    console.print(table)
    text = console.export_text()
    assert missed == 1 and "missed" in text and "held" in text and "≥ 2" in text


def test_bars_run_and_write(tmp_path, monkeypatch):
    monkeypatch.setitem(BARS, "one", Bar("one", lambda folder: {"x": 3.0}, (least("x", 2.0),)))
    monkeypatch.setitem(BARS, "far", Bar("far", lambda folder: {}, (), "no_such_recording"))
    console = Console(width=100, record=True)
    assert run_bars(["one", "far"], tmp_path / "bars.json", console) == 0
    assert json.loads((tmp_path / "bars.json").read_text()) == {"one": {"x": 3.0}}
    assert "far: skipped" in console.export_text()
    with pytest.raises(ValueError, match="unknown bar 'two'"):
        run_bars(["two"], None, console)


def test_a_bar_that_fails_has_missed_and_the_others_go_on(tmp_path, monkeypatch):
    def broken(folder):
        raise RuntimeError("the node ended with 1")

    monkeypatch.setitem(BARS, "broken", Bar("a thing", broken, ()))
    monkeypatch.setitem(BARS, "one", Bar("one", lambda folder: {"x": 3.0}, (least("x", 2.0),)))
    console = Console(width=100, record=True)
    assert run_bars(["broken", "one"], tmp_path / "bars.json", console) == 1
    trees = {"broken": {"failed": "the node ended with 1"}, "one": {"x": 3.0}}
    assert json.loads((tmp_path / "bars.json").read_text()) == trees
    text = console.export_text()
    assert "broken: failed, the node ended with 1\n" in text and "held" in text


def test_the_web_viewer_is_skipped_where_there_is_no_browser(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    console = Console(width=100, record=True)
    assert run_bars(["viewer"], None, console) == 0
    assert console.export_text() == (
        "viewer: skipped, there is no browser (apt-get install chromium)\n"
    )
