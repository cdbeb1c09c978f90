"""Bars of the comparison: the papers' methods on tables that no model and no tuning saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from semantic_field_ros.evaluation.subcommands import Tree, finished, mean_tree

TABLES = (941, 942, 943, 944, 945)
STEPS = 1000
#: a recall from which on there is nothing left to be better at.
FULL_RECALL = 0.98


def answers(folder: Path) -> Tree:
    """Clicks, phrases and instances, asked of one map a table; and what the object field adds."""
    tables = compared(folder, "maskfield", "object_field", "object_field_raw")
    removed = error_removed(tables, "click_iou", "object_field_raw", "object_field")
    return mean_tree(tables) | {"raw_error_removed": removed}


def classes(folder: Path) -> Tree:
    """Segmentation by a list of classes; and what ranking regions and enhancement add, also with
    the ranking of the paper."""
    ways = {"plain_error_removed": "ovnerf", "plain_error_removed_by_majority": "ovnerf_rsr_cse"}
    tables = compared(folder, "ovnerf_plain", *ways.values())
    return mean_tree(tables) | {
        name: error_removed(tables, "mean_iou", "ovnerf_plain", way) for name, way in ways.items()
    }


def segments(folder: Path) -> Tree:
    """Relevancy of a language field; and on how many tables segments make it better."""
    tables = compared(folder, "lerf", "lerf_plain")
    return mean_tree(tables) | {"tables_with_better": better_with_segments(tables)}


def compared(folder: Path, *names: str) -> list[Tree]:
    """Runs `eval --methods` on every table; per table {name: figures}."""
    tables = []
    for seed in TABLES:
        file = folder / f"table-{seed}.json"
        command = ["eval", f"world:table:{seed}", "--methods", ",".join(names)]
        command += ["--steps", str(STEPS), "--no-latency", "--json", str(file)]
        finished(command, file.with_suffix(".log"))
        tables.append(json.loads(file.read_text())["methods"])
    return tables


def error_removed(
    tables: Sequence[Mapping[str, Tree]], key: str, baseline: str, method: str
) -> float | None:
    """The share of a baseline's mean error 1 - figure that a method takes away.

    None where a figure was not measured, or there is no error.
    """
    pairs = [(table[baseline][key], table[method][key]) for table in tables]
    if any(figure is None for pair in pairs for figure in pair):
        return None
    before, after = (sum(1 - figure for figure in figures) for figures in zip(*pairs, strict=True))
    return None if before == 0 else float(1 - after / before)


def better_with_segments(tables: Sequence[Mapping[str, Tree]]) -> dict[str, int]:
    """On how many tables recall is higher and D lower; equal recall counts where it is full."""
    better = {"recall": 0, "distance": 0}
    for table in tables:
        plain, full = table["lerf_plain"], table["lerf"]
        before, after = plain["recall"], full["recall"]
        if before is not None and after is not None:
            better["recall"] += after > before or after == before >= FULL_RECALL
        before, after = plain["relevancy_distance"], full["relevancy_distance"]
        if before is not None and after is not None:
            better["distance"] += after < before
    return better
