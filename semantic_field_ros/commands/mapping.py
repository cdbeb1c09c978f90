"""A map without ROS: made, asked, written for other programs, looked at."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from semantic_field_ros.commands.shared import (
    Options,
    config_of,
    plain_console,
    progress,
    show_answer,
    source_of,
)
from semantic_field_ros.queries.composition import parse
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.types import PosedFrame

if TYPE_CHECKING:
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.viewer.server import Viewer


def train(options: Options) -> int:
    """Maps a source and saves the map.

    Raises:
        RuntimeError: training failed; nothing is saved.
    """
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.evaluation.streaming import check_alive, stream_into, wait_until
    from semantic_field_ros.training.checkpoint import map_path

    map_path(options.out.parent, options.out.name)  # a bad name is refused before the work
    source, console = source_of(options), plain_console(stderr=True)
    with progress(console) as bar:
        task = bar.add_task(f"mapping {source.name}", total=source.length)
        field = SemanticField(config_of(options))

        def on_frame(frame: PosedFrame) -> None:
            check_alive(field.status())
            bar.advance(task)

        def on_time(seconds: float) -> None:
            check_alive(field.status())
            bar.update(task, completed=seconds)

        try:
            field.start()
            run = stream_into(field, source, Holdout(), on_frame)
            bar.update(task, description="training", total=options.seconds, completed=0)
            wait_until(run, options.seconds, on_time)
            field.pause()
            check_alive(field.status())
            field.save(options.out)
        finally:
            field.close()
    saved = f"{options.out}: {len(run.kept)} keyframes of {run.frames} frames"
    console.print(saved, soft_wrap=True)
    return 0


def ask(options: Options) -> int:
    """Asks a saved map.

    Raises:
        ValueError: files of an answer and grasps at once, or files of another kind.
    """
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.export.grasping import GraspQuery, plan_tree

    if options.grasps and (options.ply or options.mesh):
        raise ValueError("--ply and --mesh write an answer, got them with --grasps")
    _check_ending("--ply", options.ply, ".ply")
    _check_ending("--mesh", options.mesh, ".glb", ".obj")
    field = SemanticField(config_of(options))
    try:
        field.load(options.map)
        if options.grasps:
            plan = field.grasps(GraspQuery(parse(options.phrase)))
            plain_console().print_json(json.dumps(plan_tree(plan)))
            return 0
        answer = field.query_text(parse(options.phrase))
        if options.ply is not None:
            field.export(options.ply, "surface", answer.masks)
        if options.mesh is not None and answer.found:
            field.export(options.mesh, "mesh", answer.masks)
        return show_answer(answer, options.json)
    finally:
        field.close()


def _check_ending(option: str, path: Path | None, *endings: str) -> None:
    """A bad name is refused before the work."""
    if path is not None and path.suffix not in endings:
        raise ValueError(f"{option} must end in {' or '.join(endings)}, got {path.name!r}")


def maps(options: Options) -> int:
    """Lists the maps of a folder."""
    from semantic_field_ros.training.map_list import describe_maps

    known, console = describe_maps(options.folder), plain_console()
    if options.json:
        console.print_json(json.dumps([vars(one) for one in known]))
        return 0
    if not known:
        console.print(f"no maps in {options.folder}", soft_wrap=True)
        return 0
    table = Table("map", "saved", "MB", "keyframes", "version", "methods")
    for one in known:
        saved = datetime.fromtimestamp(one.saved_ns / 1e9).isoformat(" ", "seconds")
        facts = (str(one.keyframes), str(one.map_version), one.problem or ", ".join(one.methods))
        table.add_row(one.name, saved, f"{one.size_bytes / 1e6:.1f}", *facts)
    console.print(table)
    return 0


def export(options: Options) -> int:
    """Writes a saved map for other programs."""
    from semantic_field_ros.engine import SemanticField

    by_ending = {".ply": "surface", ".glb": "mesh", ".obj": "mesh", "": "transforms"}
    what = options.what or by_ending.get(options.out.suffix)
    if what is None:
        raise ValueError(f"FILE must end in one of {list(by_ending)}, got {options.out.name!r}")
    field = SemanticField(config_of(options))
    field.load(options.map)
    field.export(options.out, what)
    return 0


def view(options: Options) -> int:
    """Maps a source, or opens a saved map, in the web browser until it is interrupted."""
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.evaluation.streaming import stream_into

    saved = Path(options.source)
    is_map = (saved / "map.json").is_file()
    source, served = None if is_map else source_of(options), page(options)
    field = SemanticField(config_of(options))
    try:
        if is_map:
            field.load(saved)
            field.pause()
        field.start()
        with served(field):
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
