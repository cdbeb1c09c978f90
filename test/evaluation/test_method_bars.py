"""What the bars of the comparison make of its figures, worked out by hand."""

from pathlib import Path

import pytest

from semantic_field_ros.evaluation import method_bars
from semantic_field_ros.evaluation.method_bars import better_with_segments, error_removed


def clicks(raw: float | None, field: float) -> dict[str, dict[str, float | None]]:
    return {"object_field_raw": {"click_iou": raw}, "object_field": {"click_iou": field}}


def test_an_error_is_removed_in_the_mean() -> None:
    # Errors of 0.20 and 0.40 become 0.10 and 0.35: 0.45 is left of 0.60.
    tables = [clicks(0.8, 0.9), clicks(0.6, 0.65)]
    removed = error_removed(tables, "click_iou", "object_field_raw", "object_field")
    assert removed == pytest.approx(0.25)


@pytest.mark.parametrize("raw", [None, 1.0])
def test_without_a_figure_or_an_error_nothing_is_removed(raw: float | None) -> None:
    tables = [clicks(raw, 0.9)]
    assert error_removed(tables, "click_iou", "object_field_raw", "object_field") is None


def test_the_rankings_of_this_package_and_of_the_paper_are_both_compared(monkeypatch) -> None:
    mean_iou = {"ovnerf_plain": 0.5, "ovnerf": 0.8, "ovnerf_rsr_cse": 0.6}
    tables = [{name: {"mean_iou": mean_iou[name]} for name in mean_iou}]
    monkeypatch.setattr(method_bars, "compared", lambda folder, *names: tables)
    tree = method_bars.classes(Path())
    assert tree["plain_error_removed"] == pytest.approx(0.6)
    assert tree["plain_error_removed_by_majority"] == pytest.approx(0.2)


def relevancy(
    plain: tuple[float | None, float | None], full: tuple[float | None, float | None]
) -> dict[str, dict[str, float | None]]:
    keys = ("recall", "relevancy_distance")
    return {
        "lerf_plain": dict(zip(keys, plain, strict=True)),
        "lerf": dict(zip(keys, full, strict=True)),
    }


@pytest.mark.parametrize(
    ("plain", "full", "recall", "distance"),
    [
        ((0.5, 0.02), (0.6, 0.01), 1, 1),
        ((0.5, 0.02), (0.5, 0.02), 0, 0),
        ((0.98, 0.02), (0.98, 0.03), 1, 0),
        ((0.99, 0.02), (0.985, 0.01), 0, 1),
        ((None, 0.02), (0.9, None), 0, 0),
    ],
)
def test_tables_are_counted_on_which_segments_help(plain, full, recall, distance) -> None:
    other = relevancy((0.1, 0.5), (0.2, 0.4))
    counted = better_with_segments([other, relevancy(plain, full)])
    assert counted == {"recall": 1 + recall, "distance": 1 + distance}
