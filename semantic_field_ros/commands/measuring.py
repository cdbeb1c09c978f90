"""What a map is worth, and this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from semantic_field_ros.commands.shared import (
    Options,
    config_of,
    plain_console,
    progress,
    source_of,
)

if TYPE_CHECKING:
    from semantic_field_ros.evaluation.run import EvalOptions


def evaluate(options: Options) -> int:
    """Maps a source, asks it, prints and writes the figures."""
    from semantic_field_ros.evaluation.report import (
        mapping_table,
        queries_table,
        summary_table,
        write_json,
    )
    from semantic_field_ros.evaluation.run import open_recording, run_eval

    if options.methods is not None:
        return compare_methods(options)
    source, config, how = source_of(options), config_of(options), eval_options(options)
    with steps_shown() as step:
        step("reading the source")
        report = run_eval(open_recording(source), config, how, step)
    tree, console = report.to_dict(), plain_console()
    console.print(mapping_table(tree["mapping"], f"{source.name} · {report.models}"))
    console.print(queries_table(tree["queries"]))
    console.print(summary_table(report))
    if options.json is not None:
        write_json(options.json, tree)
    return 0


def compare_methods(options: Options) -> int:
    """Maps a source once per method, writes the figures as they come, prints them side by side.

    Returns:
        1 if every method failed.

    Raises:
        ValueError: an unknown method, or an option of a single run.
    """
    from semantic_field_ros.evaluation.comparison import chosen_methods, compare, comparison_table
    from semantic_field_ros.evaluation.report import write_json
    from semantic_field_ros.evaluation.run import open_recording

    names = chosen_methods(options.methods)
    if options.refine:
        raise ValueError("--refine is for a single run, got it with --methods")
    source, config, how = source_of(options), config_of(options), eval_options(options)
    with steps_shown() as step:
        step("reading the source")
        for tree in compare(open_recording(source), config, names, how, step):
            if options.json is not None:
                write_json(options.json, tree)
    plain_console().print(comparison_table(tree))
    return int(all(figures["models"] is None for figures in tree["methods"].values()))


def eval_options(options: Options) -> EvalOptions:
    """How `eval` measures."""
    from semantic_field_ros.evaluation.run import EvalOptions

    usual_s = 330.0 if options.rgb_only else 90.0
    return EvalOptions(
        seconds=usual_s if options.seconds is None else options.seconds,
        steps=options.steps,
        holdout=options.holdout,
        models=options.models,
        refine=options.refine,
        latency=not options.no_latency,
        seed=options.seed,
        pictures=options.pictures,
    )


@contextmanager
def steps_shown() -> Iterator[Callable[..., None]]:
    """A progress bar that is told what is being done, how much of it is, and how much there is."""
    with progress(plain_console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def step(text: str, done: float | None = None, total: float | None = None) -> None:
            bar.update(task, description=text, completed=done or 0, total=total)

        yield step


def doctor(options: Options) -> int:
    """What this machine has; 1 if something that is needed is missing."""
    from semantic_field_ros.doctor import examine

    findings, console = examine(), plain_console()
    if options.json:
        console.print_json(json.dumps([vars(finding) for finding in findings]))
    else:
        table = Table(title="This machine", title_justify="left")
        table.add_column("")
        table.add_column("part")
        table.add_column("detail", overflow="fold")
        marks = {True: Text("ok", "green"), False: Text("–", "yellow")}
        for finding in findings:
            missing = Text("missing", "red") if finding.is_needed_and_gone else None
            table.add_row(missing or marks[finding.available], finding.name, finding.detail)
        console.print(table)
    return int(any(finding.is_needed_and_gone for finding in findings))


def bars(options: Options) -> int:
    """Repeats the project's promised measurements; 1 if one is missed."""
    from semantic_field_ros.evaluation.bars import BARS, run_bars

    if options.list:
        for name, bar in BARS.items():
            plain_console().print(f"{name:17} {bar.what}", soft_wrap=True)
        return 0
    return run_bars(options.names or list(BARS), options.json, plain_console())
