"""`semantic-field`: one program, one subcommand per job.

The parser is all that lives here; `commands/` holds what a subcommand does. Everything after
`--ros-args` goes to the ROS 2 graph as it is.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.text import Text
from rich.theme import Theme

from semantic_field_ros.interrupts import Interrupts

ROS_ARGS = "--ros-args"
RUN_UNTIL_INTERRUPTED = ("node", "replay", "view")
#: what is said in one line; anything else is a fault of the program.
_REFUSALS = (ValueError, TypeError, RuntimeError, OSError)
SOURCE_HELP = (
    "world:table:SEED, world:room:SEED, a folder of frames or of a data set, a transforms.json, "
    "or a bag"
)

_THEME = Theme({"help.option": "cyan", "help.heading": "bold", "help.metavar": "green"})


class _HelpColours(RegexHighlighter):
    base_style = "help."
    highlights = (
        r"(?P<heading>^(usage|positional arguments|options|commands|examples|bags):)",
        r"(?:^|[\s\[|])(?P<option>--?[a-z][a-z-]*)",
        r"(?P<metavar>\b[A-Z][A-Z_]{2,}\b)",
    )


class Parser(argparse.ArgumentParser):
    """argparse with coloured help on a terminal."""

    def print_help(self, file: Any = None) -> None:
        """As in argparse."""
        console = Console(file=file or sys.stdout, theme=_THEME, highlighter=_HelpColours())
        console.print(self.format_help(), markup=False, soft_wrap=True)


def build_parser(graph: str = "dds") -> Parser:
    """Every subcommand and option; `graph`: how ROS 2 is reached unless the options say it."""
    parser = Parser(
        prog="semantic-field",
        description="Ask a robot's surroundings questions: posed camera frames in, 3D masks out.",
        epilog="semantic-field COMMAND --help says more; arguments after --ros-args go to ROS 2.",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_node(commands, graph)
    _add_replay(commands, graph)
    _add_query(commands, graph)
    _add_train(commands)
    _add_ask(commands)
    _add_maps(commands)
    _add_export(commands)
    _add_view(commands)
    _add_eval(commands)
    doctor = _command(commands, "doctor", "what this machine has, what is missing, how to get it")
    _add_json_flag(doctor)
    bars = _command(commands, "bars", "repeat the measurements that the project promises")
    bars.add_argument("names", nargs="*", metavar="BAR", help="only these; none = all")
    bars.add_argument("--list", action="store_true", help="say which there are")
    bars.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    return parser


Commands = argparse._SubParsersAction


def _command(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    return added


def _add_json_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _add_source_options(parser: argparse.ArgumentParser, mapped: bool = True) -> None:
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument("--noise", choices=("on", "off"), default="on", help="built-in world only")
    parser.add_argument("--rgb-only", action="store_true", help="leave the depth out")
    as_kept = "; default: as wide as keyframes are kept" if mapped else ""
    parser.add_argument(
        "--width",
        type=int,
        default=None if mapped else 0,
        metavar="PX",
        help=f"reduce wider images; 0 = as they are{as_kept}",
    )
    parser.add_argument(
        "--frames",
        type=int,
        help="length of the built-in world's path; Replica, ScanNet: take so many, evenly spread",
    )
    parser.add_argument(
        "--scale",
        type=float,
        metavar="M",
        help="photos: metres per unit of poses; default: 1 for a transforms.json, else guessed",
    )
    _add_bag_options(parser)


def _add_bag_options(parser: argparse.ArgumentParser) -> None:
    bags = parser.add_argument_group("bags", "what types and names do not tell; '' = do without")
    for option, text in (
        ("--image-topic", "colour images"),
        ("--info-topic", "their CameraInfo"),
        ("--depth-topic", "depth images"),
        ("--depth-info-topic", "reprojects depth into the colour image; '' = it is aligned to it"),
        ("--pose-topic", "PoseStamped or Odometry; '' = TF alone"),
    ):
        bags.add_argument(option, metavar="TOPIC", help=text)
    bags.add_argument("--map-frame", metavar="FRAME", help="the world's frame")
    bags.add_argument(
        "--posed-frame", metavar="FRAME", help="what a PoseStamped poses; default: the camera"
    )
    bags.add_argument(
        "--rectified",
        choices=("auto", "always", "never"),
        default="auto",
        help="images and depth are undistorted already; auto = if their topics are named rect",
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="YAML", help="configuration tree")


def _add_demo(commands: Commands) -> None:
    demo = _command(commands, "demo", "node and replay as two processes over DDS, asked questions")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the results")
    demo.add_argument("--source", default="world:table:7", help="a built-in world")
    demo.add_argument(
        "--seconds", type=float, default=75.0, help="mapping time before the questions that count"
    )
    demo.add_argument("--frames", type=int, help="length of the camera's path")


def _add_node(commands: Commands, graph: str) -> None:
    node = _command(commands, "node", "the mapping node; takes --ros-args like every ROS 2 node")
    node.add_argument(
        "--graph", choices=("dds", "rclpy"), default=graph, help="how to reach ROS 2"
    )
    node.add_argument("--view", action="store_true", help="serve the web viewer beside it")
    _add_page(node)


def _add_replay(commands: Commands, graph: str) -> None:
    replay = _command(commands, "replay", "publish any stream as a robot's camera topics")
    _add_source_options(replay, mapped=False)
    replay.add_argument("--graph", choices=("dds", "rclpy"), default=graph)
    replay.add_argument(
        "--rate", type=float, default=1.0, help="multiple of the stream's own pace"
    )
    replay.add_argument(
        "--rate-hz", type=float, default=0.0, help="frames per second; 0 = by stamp"
    )
    replay.add_argument("--holdout", type=int, default=0, help="leave out one frame in this many")
    replay.add_argument("--clock", action="store_true", help="publish /clock too")
    replay.add_argument(
        "--loop", action="store_true", help="start again at the end, for ever; stamps go on"
    )


def _add_query(commands: Commands, graph: str) -> None:
    query = _command(commands, "query", "ask a running node; save and load its maps")
    kinds = query.add_subparsers(dest="kind", required=True, metavar="KIND")
    text = _command(kinds, "text", "find what a phrase names")
    text.add_argument("phrase")
    text.add_argument("--exclude", action="append", default=[], metavar="PHRASE")
    text.add_argument("--threshold", type=float, help="0 to 1; default: the model's calibration")
    click = _command(kinds, "click", "find what is pointed at")
    click.add_argument("--pixel", type=float, nargs=2, metavar=("U", "V"), help="in the image")
    click.add_argument("--camera", default="", help="name of the camera of --pixel")
    click.add_argument(
        "--stamp", type=int, default=0, metavar="NS", help="of the image; 0 = the newest keyframe"
    )
    click.add_argument("--point", type=float, nargs=3, metavar=("X", "Y", "Z"), help="metres")
    save = _command(kinds, "save", "have the node save its map")
    load = _command(kinds, "load", "have the node load a map that it saved")
    for parser in (save, load):
        parser.add_argument("name", help="of the map, in the node's folder")
    maps = _command(kinds, "maps", "which maps the node can load")
    for parser in (text, click, save, load, maps):
        parser.add_argument("--node", default="/semantic_field", help="absolute name of the node")
        parser.add_argument("--graph", choices=("dds", "rclpy"), default=graph)
        parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait")
        _add_json_flag(parser)


def _add_train(commands: Commands) -> None:
    train = _command(commands, "train", "map a source without ROS and save the map")
    _add_source_options(train)
    train.add_argument("--out", type=Path, required=True, metavar="MAP", help="the map to write")
    train.add_argument("--seconds", type=float, default=90.0, help="from the first frame")
    _add_config(train)


def _add_ask(commands: Commands) -> None:
    ask = _command(commands, "ask", "ask a saved map")
    ask.add_argument("map", type=Path, metavar="MAP")
    ask.add_argument("phrase")
    ask.add_argument("--ply", type=Path, help="write the map with the answer labelled here")
    ask.add_argument(
        "--mesh", type=Path, help="write a textured mesh of the answer here, .glb or .obj"
    )
    ask.add_argument(
        "--grasps", action="store_true", help="how a gripper can take the best answer, as JSON"
    )
    _add_config(ask)
    _add_json_flag(ask)


def _add_maps(commands: Commands) -> None:
    maps = _command(commands, "maps", "which maps a folder holds")
    maps.add_argument("folder", type=Path, nargs="?", default=Path("maps"), metavar="FOLDER")
    _add_json_flag(maps)


def _add_export(commands: Commands) -> None:
    export = _command(commands, "export", "write a saved map for other programs")
    export.add_argument("map", type=Path, metavar="MAP")
    export.add_argument("out", type=Path, metavar="FILE", help=".ply, .glb, .obj, or a folder")
    export.add_argument(
        "--what",
        choices=("surface", "instances", "mesh", "transforms"),
        help="default: by the ending of FILE; transforms = a folder for nerfstudio",
    )
    _add_config(export)


def _add_view(commands: Commands) -> None:
    view = _command(commands, "view", "map a source, or open a saved map, in the web browser")
    _add_source_options(view)
    _add_page(view)
    _add_config(view)


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of the page; 0.0.0.0 lets others in"
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="of the page; the next free one if it is taken"
    )
    parser.add_argument(
        "--points", type=int, default=60_000, help="most points that a browser gets"
    )


def _add_eval(commands: Commands) -> None:
    evaluate = _command(commands, "eval", "map a source, ask it, compare with its ground truth")
    _add_source_options(evaluate)
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    evaluate.add_argument("--seconds", type=float, help="mapping time; 90, RGB only 330")
    evaluate.add_argument("--steps", type=int, default=0, help="training steps instead of time")
    evaluate.add_argument(
        "--holdout",
        type=int,
        help="hold out one view in this many; default: as the data set does, else 8",
    )
    evaluate.add_argument(
        "--models",
        choices=("config", "labels", "labels-ideal"),
        default="config",
        help="2D models: those of the configuration, or driven by ground truth with or without "
        "faults (measures the lifting to 3D alone)",
    )
    evaluate.add_argument(
        "--methods",
        metavar="all|A,B",
        help="compare these methods on the same frames in one table instead, see docs/methods.md",
    )
    evaluate.add_argument(
        "--pictures", type=Path, metavar="FILE", help="write an answer sheet, .png, .jpg or .webp"
    )
    evaluate.add_argument("--refine", action="store_true", help="judge refined answers to clicks")
    evaluate.add_argument("--no-latency", action="store_true", help="skip the latency measurement")
    evaluate.add_argument("--seed", type=int, default=0, help="of what is asked")
    _add_config(evaluate)


def split_ros_args(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The program's own arguments, and `--ros-args` with all that follows."""
    at = argv.index(ROS_ARGS) if ROS_ARGS in argv else len(argv)
    return list(argv[:at]), list(argv[at:])


def main(argv: Sequence[str] | None = None, graph: str = "dds") -> int:
    """Runs one subcommand.

    Args:
        argv: the arguments of the program, None for `sys.argv[1:]`.
        graph: as for `build_parser`.

    Returns:
        0; 1 when something was refused or failed, with one line that says why; 130 interrupted,
        but 0 for a node, a replay or a viewer, whose ordinary end that is.
    """
    # Waiting threads that spin starve each other wherever cores are shared with other programs or
    # threads: OpenMP's are told not to, numpy's products, which are small, have none. Both are
    # read when torch and numpy are loaded, which no import has done yet.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    own, ros = split_ros_args(sys.argv[1:] if argv is None else argv)
    options = build_parser(graph).parse_args(own)
    options.ros_args = ros
    level = logging.INFO if options.verbose or options.command == "node" else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    with Interrupts() as interrupts:
        try:
            from semantic_field_ros.commands import COMMANDS

            return COMMANDS[options.command](options)
        except (KeyboardInterrupt, Exception) as error:
            if interrupts.came or isinstance(error, KeyboardInterrupt):
                return 0 if options.command in RUN_UNTIL_INTERRUPTED else 130
            if options.verbose or not isinstance(error, _REFUSALS):
                raise
            why = " ".join(line.strip() for line in str(error).splitlines())
            line = Text(f"semantic-field {options.command}: {why}", "red")
            Console(stderr=True).print(line, soft_wrap=True)
            return 1


if __name__ == "__main__":
    sys.exit(main())
