"""What a measurement promises, and whether it was kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from semantic_field_ros.evaluation.browser import find_chromium
from semantic_field_ros.evaluation.report import figure
from semantic_field_ros.evaluation.subcommands import DATA_VARIABLE, Tree, data_folder


@dataclass(frozen=True)
class Check:
    """One figure and its bound.

    Attributes:
        path: where the figure is in the bar's tree, with dots.
        bound: the promised value.
        at_most: whether the figure must not exceed the bound, else it must reach it.
    """

    path: str
    bound: float
    at_most: bool = False

    def holds(self, value: float | None) -> bool:
        """Whether a measured figure keeps the promise; one that is missing does not."""
        if value is None:
            return False
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True)
class Bar:
    """A measurement with its promises.

    Attributes:
        what: in a few words.
        run: measures, in a folder for what it writes.
        checks: the promises.
        recording: folder under SEMANTIC_FIELD_DATA that it needs, or "".
        reported: figures without a promise.
        in_browser: whether it needs one.
    """

    what: str
    run: Callable[[Path], Tree]
    checks: tuple[Check, ...]
    recording: str = ""
    reported: tuple[str, ...] = ()
    in_browser: bool = False

    def lacks(self) -> str:
        """What it needs and is not here; "" = nothing."""
        if self.recording and not (data_folder() / self.recording).is_dir():
            return f"{DATA_VARIABLE} holds no {self.recording}"
        if self.in_browser and find_chromium() is None:
            return "there is no browser (apt-get install chromium)"
        return ""


def least(path: str, bound: float) -> Check:
    """A figure that must reach its bound."""
    return Check(path, bound)


def most(path: str, bound: float) -> Check:
    """A figure that must not exceed its bound."""
    return Check(path, bound, at_most=True)


def value_at(tree: Tree, path: str) -> Any:
    """The value at a dotted path, None if there is none."""
    value: Any = tree
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def judged(name: str, bar: Bar, tree: Tree) -> tuple[Table, int]:
    """A table of one bar's promises, and how many were missed."""
    table = Table(title=f"{name}: {bar.what}", title_justify="left")
    for heading in ("figure", "measured", "promised", ""):
        table.add_column(heading)
    missed = 0
    for check in bar.checks:
        value = value_at(tree, check.path)
        held = check.holds(value)
        missed += not held
        sign = "≤" if check.at_most else "≥"
        verdict = Text("held", "green") if held else Text("missed", "red")
        table.add_row(check.path, figure(value, digits=3), f"{sign} {check.bound:g}", verdict)
    for path in bar.reported:
        table.add_row(path, figure(value_at(tree, path), digits=3), "", "reported")
    return table, missed
