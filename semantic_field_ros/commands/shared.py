"""What several subcommands need: sources, configurations, and how answers are shown."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from semantic_field_ros.config import Config, load_config
from semantic_field_ros.types import QueryAnswer

if TYPE_CHECKING:
    from semantic_field_ros.stream.base import FrameSource

Options = argparse.Namespace

#: characters of a line where there is no terminal.
WIDTH_IN_FILE = 200


def source_of(options: Options) -> FrameSource:
    """The source that the options of `_add_source_options` name.

    Images that are mapped come no wider than their keyframes are kept: what is done with whole
    recordings, and with pictures of their size, would take memory and time for nothing.
    """
    from semantic_field_ros.stream.bag_topics import TopicChoice
    from semantic_field_ros.stream.open import SourceOptions, open_source
    from semantic_field_ros.stream.rosbag import BagOptions

    topics = TopicChoice(
        image=options.image_topic,
        info=options.info_topic,
        depth="" if options.rgb_only else options.depth_topic,  # none that is waited for
        pose=options.pose_topic,
        depth_info=options.depth_info_topic,
    )
    width = options.width
    if width is None:
        width = config_of(options).keyframes.max_width_px
    rectified = {"auto": None, "always": True, "never": False}[options.rectified]
    how = SourceOptions(
        noise=options.noise == "on",
        frames=options.frames,
        max_width_px=width,
        scale=options.scale,
        rgb_only=options.rgb_only,
        bag=BagOptions(topics, options.map_frame, options.posed_frame, rectified),
    )
    return open_source(options.source, how)


def config_of(options: Options) -> Config:
    """The configuration of `--config`, or the default one."""
    return Config() if options.config is None else load_config(options.config)


def plain_console(stderr: bool = False) -> Console:
    """Prints text as it is: names and phrases from outside may look like markup.

    A file has no edge at which tables would have to be cut.
    """
    width = None if Console(stderr=stderr).is_terminal else WIDTH_IN_FILE
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def progress(console: Console) -> Progress:
    """A progress bar with a text, for things that take more than a moment."""
    text = TextColumn("{task.description}", markup=False)
    return Progress(text, BarColumn(), TimeElapsedColumn(), console=console)


def show_answer(answer: QueryAnswer, as_json: bool) -> int:
    """Prints an answer; 0 also when nothing was found, which is an answer."""
    console = plain_console()
    if as_json:
        console.print_json(json.dumps(answer_tree(answer)))
        return 0
    verdict = Text("found", "green") if answer.found else Text("not found", "yellow")
    figures = f"  score {answer.score:.2f}  {answer.latency_s:.3f} s  {answer.reason}"
    console.print(verdict + figures, soft_wrap=True)
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
