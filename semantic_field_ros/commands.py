"""What the subcommands of `semantic-field` do; each takes its options and returns an exit code."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from semantic_field_ros.config import Config, load_config
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.queries.composition import parse
from semantic_field_ros.stream.holdout import Holdout, split_every
from semantic_field_ros.types import PosedFrame, QueryAnswer

if TYPE_CHECKING:
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.evaluation.run import EvalOptions
    from semantic_field_ros.stream.base import FrameSource
    from semantic_field_ros.viewer.server import Viewer

Options = argparse.Namespace


def demo(options: Options) -> int:
    """Node and replay over DDS, asked questions."""
    from semantic_field_ros.evaluation.demo import DemoOptions, run_demo

    how = DemoOptions(options.out, options.source, options.seconds, options.frames)
    run_demo(how, Console())
    return 0


def node(options: Options) -> int:
    """The mapping node, until it is interrupted."""
    from semantic_field_ros.ros.connect import run_node

    run_node(options.graph, options.ros_args, page(options) if options.view else None)
    return 0


def replay(options: Options) -> int:
    """Publishes a source as topics, until its end or until it is interrupted."""
    from semantic_field_ros.ros.connect import connect, interrupt_when_terminated
    from semantic_field_ros.ros.replay import ReplayOptions
    from semantic_field_ros.ros.replay import replay as publish

    source, console = source_of(options), Console(stderr=True)
    interrupt_when_terminated()
    how = ReplayOptions(
        rate=options.rate, rate_hz=options.rate_hz, clock=options.clock, loop=options.loop
    )
    with progress(console) as bar:
        task = bar.add_task(f"rendering {source.name}", total=source.length)
        shown = _Shown(rendered(source, lambda: bar.advance(task)), options.holdout)
        bar.update(task, description=f"replaying {source.name}", completed=0)
        with connect(options.graph, "replay", options.ros_args) as graph:
            count = publish(shown, graph, how, on_frame=lambda _: bar.advance(task))
    console.print(f"published {count} frames")
    return 0


def rendered(source: FrameSource, on_frame: Callable[[], None]) -> Iterable[PosedFrame]:
    """A world's frames, made before they are needed; rendering must not slow the replay down."""
    from semantic_field_ros.stream.synthetic import SyntheticSource

    if not isinstance(source, SyntheticSource):
        return source
    frames = []
    for frame in source:
        frames.append(frame)
        on_frame()
    return frames


class _Shown:
    """Frames that are not held out; can be read again and again, as a replay that loops does."""

    def __init__(self, frames: Iterable[PosedFrame], every: int) -> None:
        self._frames, self._every = frames, every

    def __iter__(self) -> Iterator[PosedFrame]:
        for frame, is_held_out in split_every(self._frames, self._every, self._every // 2):
            if not is_held_out:
                yield frame


def query(options: Options) -> int:
    """Asks a running node."""
    from semantic_field_ros.ros.client import NodeClient
    from semantic_field_ros.ros.connect import connect

    asked = text_of(options) if options.kind == "text" else click_of(options)
    with connect(options.graph, "query", options.ros_args) as graph:
        client = NodeClient(graph, options.node, options.timeout)
        if isinstance(asked, TextQuery):
            return show_answer(client.query_text(asked), options.json)
        return show_answer(client.query_click(asked), options.json)


def text_of(options: Options) -> TextQuery:
    """The query of `query text`."""
    query = parse(options.phrase)
    exclude = (*query.exclude, *options.exclude)
    return replace(query, exclude=exclude, threshold=options.threshold)


def click_of(options: Options) -> ClickQuery:
    """The query of `query click`.

    Raises:
        ValueError: not exactly one of --pixel and --point.
    """
    if (options.pixel is None) == (options.point is None):
        raise ValueError("give either --pixel U V or --point X Y Z")
    if options.point is not None:
        return ClickQuery(points_world=np.array([options.point], np.float32))
    return ClickQuery(
        pixels=np.array([options.pixel], np.float32),
        camera_name=options.camera,
        stamp_ns=options.stamp,
    )


def train(options: Options) -> int:
    """Maps a source and saves the map."""
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.evaluation.streaming import stream_into, wait_until

    source, console = source_of(options), Console(stderr=True)
    with progress(console) as bar:
        task = bar.add_task(f"mapping {source.name}", total=source.length)
        field = SemanticField(config_of(options))
        try:
            field.start()
            run = stream_into(field, source, Holdout(), lambda _: bar.advance(task))
            bar.update(task, description="training", total=options.seconds, completed=0)
            wait_until(run, options.seconds, lambda s: bar.update(task, completed=s))
            field.pause()
            field.save(options.out)
        finally:
            field.close()
    console.print(f"{options.out}: {len(run.kept)} keyframes of {run.frames} frames")
    return 0


def ask(options: Options) -> int:
    """Asks a saved map."""
    from semantic_field_ros.engine import SemanticField

    field = SemanticField(config_of(options))
    try:
        field.load(options.map)
        answer = field.query_text(parse(options.phrase))
        if options.ply is not None:
            field.export(options.ply, "surface", answer.masks)
        if options.mesh is not None and answer.found:
            field.export(options.mesh, "mesh", answer.masks)
        return show_answer(answer, options.json)
    finally:
        field.close()


def view(options: Options) -> int:
    """Maps a source, or opens a saved map, in the web browser until it is interrupted."""
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.evaluation.streaming import stream_into

    saved = Path(options.source)
    is_map = (saved / "map.json").is_file()
    source = None if is_map else source_of(options)
    field = SemanticField(config_of(options))
    try:
        if is_map:
            field.load(saved)
            field.pause()
        field.start()
        with page(options)(field):
            if source is not None:
                stream_into(field, source, Holdout())
            threading.Event().wait()
    finally:
        field.close()
    return 0


def page(options: Options) -> Callable[[SemanticField], Viewer]:
    """Makes the web viewer of a map; it says itself where it is."""
    from semantic_field_ros.viewer.server import Viewer, ViewerOptions

    return partial(Viewer, options=ViewerOptions(options.host, options.port, options.points))


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
    source, console = source_of(options), Console()
    with steps_shown() as step:
        step("reading the source")
        report = run_eval(open_recording(source), config_of(options), eval_options(options), step)
    tree = report.to_dict()
    console.print(mapping_table(tree["mapping"], f"{source.name} · {report.models}"))
    console.print(queries_table(tree["queries"]))
    console.print(summary_table(report))
    if options.json is not None:
        write_json(options.json, tree)
    return 0


def compare_methods(options: Options) -> int:
    """Maps a source once per method, prints and writes the figures side by side.

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
        tree = compare(open_recording(source), config, names, how, step)
    Console().print(comparison_table(tree))
    if options.json is not None:
        write_json(options.json, tree)
    return 0


def eval_options(options: Options) -> EvalOptions:
    """How `eval` measures."""
    from semantic_field_ros.evaluation.run import EvalOptions

    return EvalOptions(
        seconds=options.seconds or (330.0 if options.rgb_only else 90.0),
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
    with progress(Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def step(text: str, done: float | None = None, total: float | None = None) -> None:
            bar.update(task, description=text, completed=done or 0, total=total)

        yield step


def doctor(options: Options) -> int:
    """What this machine has; 1 if something that is needed is missing."""
    from semantic_field_ros.doctor import examine

    findings = examine()
    if options.json:
        Console().print_json(json.dumps([vars(finding) for finding in findings]))
    else:
        table = Table(title="This machine", title_justify="left")
        table.add_column("")
        table.add_column("part")
        table.add_column("detail", overflow="fold")
        marks = {True: "[green]ok[/]", False: "[yellow]–[/]"}
        for finding in findings:
            mark = "[red]missing[/]" if finding.is_needed_and_gone else marks[finding.available]
            table.add_row(mark, finding.name, finding.detail)
        Console().print(table)
    return int(any(finding.is_needed_and_gone for finding in findings))


def bars(options: Options) -> int:
    """Repeats the project's promised measurements; 1 if one is missed."""
    from semantic_field_ros.evaluation.bars import BARS, run_bars

    if options.list:
        for name, bar in BARS.items():
            Console().print(f"{name:12} {bar.what}", highlight=False)
        return 0
    return run_bars(options.names or list(BARS), options.json, Console())


def source_of(options: Options) -> FrameSource:
    """The source that the options of `_add_source_options` name."""
    from semantic_field_ros.stream.open import SourceOptions, open_source

    how = SourceOptions(
        noise=options.noise == "on",
        frames=options.frames,
        max_width_px=options.width,
        scale=options.scale,
        rgb_only=options.rgb_only,
    )
    return open_source(options.source, how)


def config_of(options: Options) -> Config:
    """The configuration of `--config`, or the default one."""
    return Config() if options.config is None else load_config(options.config)


def progress(console: Console) -> Progress:
    """A progress bar with a text, for things that take more than a moment."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
    )


def show_answer(answer: QueryAnswer, as_json: bool) -> int:
    """Prints an answer; 0 also when nothing was found, which is an answer."""
    if as_json:
        Console().print_json(json.dumps(answer_tree(answer)))
        return 0
    console = Console()
    verdict = "[green]found[/]" if answer.found else "[yellow]not found[/]"
    console.print(
        f"{verdict}  score {answer.score:.2f}  {answer.latency_s:.3f} s  {answer.reason}"
    )
    table = Table("", "score", "points", "centre [m]", "size [m]")
    for mask in answer.masks:
        centre, size = (
            " ".join(f"{v:.2f}" for v in part) for part in (mask.box.centre, mask.box.size)
        )
        table.add_row(mask.label, f"{mask.score:.2f}", str(len(mask.indices)), centre, size)
    if answer.masks:
        console.print(table)
    return 0


def answer_tree(answer: QueryAnswer) -> dict[str, Any]:
    """An answer for programs, without its points."""
    return {
        "found": answer.found,
        "reason": answer.reason,
        "score": answer.score,
        "latency_s": answer.latency_s,
        "map_version": answer.map_version,
        "stamp_ns": answer.stamp_ns,
        "masks": [
            {
                "label": mask.label,
                "score": mask.score,
                "points": len(mask.indices),
                "centre_m": mask.box.centre.tolist(),
                "size_m": mask.box.size.tolist(),
                "quaternion_xyzw": mask.box.quaternion.tolist(),
            }
            for mask in answer.masks
        ],
    }


COMMANDS: dict[str, Callable[[Options], int]] = {
    "demo": demo,
    "node": node,
    "replay": replay,
    "query": query,
    "train": train,
    "ask": ask,
    "view": view,
    "eval": evaluate,
    "doctor": doctor,
    "bars": bars,
}
