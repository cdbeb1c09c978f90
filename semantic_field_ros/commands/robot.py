"""The node and those who talk to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from semantic_field_ros.commands.mapping import page
from semantic_field_ros.commands.shared import (
    Options,
    plain_console,
    progress,
    show_answer,
    source_of,
)
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.queries.composition import parse
from semantic_field_ros.stream.holdout import split_every
from semantic_field_ros.types import PosedFrame

if TYPE_CHECKING:
    from semantic_field_ros.ros.client import NodeClient
    from semantic_field_ros.stream.base import FrameSource


class _Shown:
    """Frames that are not held out; can be read again and again, as a replay that loops does."""

    def __init__(self, frames: Iterable[PosedFrame], every: int) -> None:
        self._frames, self._every = frames, every

    def __iter__(self) -> Iterator[PosedFrame]:
        for frame, is_held_out in split_every(self._frames, self._every, self._every // 2):
            if not is_held_out:
                yield frame


def demo(options: Options) -> int:
    """Node and replay over DDS, asked questions."""
    from semantic_field_ros.evaluation.demo import DemoOptions, run_demo

    how = DemoOptions(options.out, options.source, options.seconds, options.frames)
    run_demo(how, plain_console())
    return 0


def node(options: Options) -> int:
    """The mapping node, until it is interrupted."""
    from semantic_field_ros.ros.connect import run_node

    run_node(options.graph, options.ros_args, page(options) if options.view else None)
    return 0


def replay(options: Options) -> int:
    """Publishes a source as topics, until its end or until it is interrupted."""
    from semantic_field_ros.ros.connect import connect
    from semantic_field_ros.ros.replay import ReplayOptions
    from semantic_field_ros.ros.replay import replay as publish

    source, console = source_of(options), plain_console(stderr=True)
    how = ReplayOptions(
        rate=options.rate, rate_hz=options.rate_hz, clock=options.clock, loop=options.loop
    )
    with progress(console) as bar:
        task = bar.add_task(f"rendering {source.name}", total=source.length)
        shown = _Shown(rendered(source, lambda: bar.advance(task)), options.holdout)
        bar.update(task, description=f"replaying {source.name}", completed=0)
        with connect(options.graph, "replay", options.ros_args) as graph:
            count = publish(
                shown, graph, how, source.cameras, on_frame=lambda _: bar.advance(task)
            )
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


def query(options: Options) -> int:
    """Asks a running node, or has it save, load or list maps."""
    from semantic_field_ros.ros.client import NodeClient
    from semantic_field_ros.ros.connect import connect

    wishes = {"text": text_of, "click": click_of}
    asked = wishes[options.kind](options) if options.kind in wishes else None
    with connect(options.graph, "query", options.ros_args) as graph:
        client = NodeClient(graph, options.node, options.timeout)
        if isinstance(asked, TextQuery):
            return show_answer(client.query_text(asked), options.json)
        if isinstance(asked, ClickQuery):
            return show_answer(client.query_click(asked), options.json)
        return _map_work(client, options)


def _map_work(client: NodeClient, options: Options) -> int:
    """`query save`, `query load` and `query maps`."""
    console = plain_console()
    told: list[str] | dict[str, str]
    if options.kind == "maps":
        told = client.maps()
        text = "\n".join(told) or "the node has no maps"
    else:
        text = (client.save if options.kind == "save" else client.load)(options.name)
        told = {"message": text}
    if options.json:
        console.print_json(json.dumps(told))
    else:
        console.print(text, soft_wrap=True)
    return 0


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
