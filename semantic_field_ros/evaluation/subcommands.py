"""Measurements that other processes make, so that their memory and time are their own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from semantic_field_ros.evaluation.metrics import mean
from semantic_field_ros.evaluation.processes import Child

#: names the folder of real recordings.
DATA_VARIABLE = "SEMANTIC_FIELD_DATA"
#: nothing here takes longer, seconds.
TIMEOUT_S = 1800.0

#: what was written as JSON.
Tree = dict[str, Any]


def evaluated(sources: Sequence[str], *arguments: str) -> Callable[[Path], Tree]:
    """Runs `eval` on each source and returns the mean of each figure."""

    def run(folder: Path) -> Tree:
        trees = []
        for source in sources:
            file = folder / f"{source.replace(':', '-').replace('/', '-')}.json"
            command = ["eval", source, "--json", str(file), *arguments]
            finished(command, file.with_suffix(".log"))
            trees.append(json.loads(file.read_text()))
        return mean_tree(trees)

    return run


def finished(command: Sequence[str], log: Path) -> float:
    """Runs a subcommand to its end; returns the seconds it took.

    Raises:
        RuntimeError: it failed or took longer than `TIMEOUT_S`.
    """
    start = time.monotonic()
    with Child(command[0], command, log, os.environ) as child:
        while not child.finished():
            if time.monotonic() - start > TIMEOUT_S:
                raise RuntimeError(f"{command[0]} took longer than {TIMEOUT_S:.0f} s; see {log}")
            time.sleep(0.2)
    return time.monotonic() - start


def mean_tree(trees: Sequence[Tree]) -> Tree:
    """The mean of every number that all trees have at the same place; lists are left out.

    What one of them has not measured is None, with all that is below it.
    """
    merged: Tree = {}
    for key, first in trees[0].items():
        values = [tree.get(key) for tree in trees]
        if isinstance(first, dict):
            below = [value for value in values if isinstance(value, dict)]
            merged[key] = mean_tree(below) if len(below) == len(trees) else None
        elif isinstance(first, int | float) and not isinstance(first, bool):
            numbers = [v for v in values if isinstance(v, int | float)]
            merged[key] = mean(numbers) if len(numbers) == len(trees) else None
    return merged


def recording(name: str, *arguments: str) -> Callable[[Path], Tree]:
    """Runs `eval` on a real recording."""

    def run(folder: Path) -> Tree:
        return evaluated([str(data_folder() / name)], *arguments)(folder)

    return run


def data_folder() -> Path:
    """Where recordings are looked for."""
    return Path(os.environ.get(DATA_VARIABLE, "data")).expanduser()
