"""The main job end to end: a node and a replay as two processes over DDS, asked questions.

Ground truth chooses what is asked and judges the answers; the node and the replay never see it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from semantic_field_ros.evaluation.clicks import Click
from semantic_field_ros.evaluation.demo_results import Live, Scene, Told, judge, measure, sheet
from semantic_field_ros.evaluation.demo_session import NODE, DemoSession
from semantic_field_ros.evaluation.ground_truth import WorldTruth
from semantic_field_ros.evaluation.processes import Child
from semantic_field_ros.evaluation.questions import Questions, choose_questions
from semantic_field_ros.evaluation.recording import write_folder
from semantic_field_ros.evaluation.report import (
    mapping_table,
    only_finite,
    queries_table,
    write_json,
)
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.stream.holdout import split_every
from semantic_field_ros.stream.open import SourceOptions, open_source
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import QueryAnswer

HOLDOUT = 8
PRESENT, ABSENT, CLICKS = 6, 4, 4
#: how long the node may take to be ready; the first start compiles kernels.
START_S = 120.0
SEED = 0
#: views in which things to ask for are looked for; more would take time from the node.
FEW_VIEWS = 16


@dataclass(frozen=True)
class DemoOptions:
    """What is mapped, for how long, and where the results go.

    Attributes:
        out: folder for report.json, answers.png, map.ply and the logs.
        source: a built-in world.
        seconds: from the first frame to the first question that counts.
        frames: length of the camera's path; None = the world's default.
    """

    out: Path
    source: str = "world:table:7"
    seconds: float = 75.0
    frames: int | None = None


def run_demo(options: DemoOptions, console: Console) -> dict[str, Any]:
    """Runs it, writes the results, prints the same.

    Returns:
        The tree of report.json.

    Raises:
        ValueError: the source is not a built-in world.
        RuntimeError: a process failed or did not start in time; says where its log is.
    """
    source = open_source(options.source, SourceOptions(frames=options.frames))
    if not isinstance(source, SyntheticSource):
        raise ValueError(f"the demo needs a built-in world, got {options.source!r}")
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    console.print(f"Demo on {source.name}: a node and a replay talk over DDS")
    with _bars(console) as bars, _running(out, source, bars) as live:
        told = _ask_everything(options, live, bars)
        seconds = live.elapsed_s()
        live.session.client.pause(True)
        task = bars.add_task("rendering held-out views", total=len(live.scene.held_out))
        mapping = measure(live, seconds, lambda: bars.advance(task))
        live.session.client.export("map.ply", "surface")
    console.print("judging the answers and drawing them")
    judged = judge(told, live.scene.truth, live.scene.shown)
    tree = only_finite(
        {
            "source": source.name,
            "mapping": asdict(mapping),
            "queries": [asdict(asked) for asked in judged],
        }
    )
    write_json(out / "report.json", tree)
    picture = sheet(source.name, mapping, told, judged, live.scene.shown)
    Image.fromarray(picture).save(out / "answers.png")
    console.print(mapping_table(tree["mapping"], f"Map of {source.name}"))
    console.print(queries_table(tree["queries"]))
    wrote = f"wrote report.json, answers.png and map.ply to {options.out}"
    console.print(wrote, soft_wrap=True)
    return dict(tree)


def demo_environment() -> dict[str, str]:
    """The process's environment with a DDS domain of its own on this machine only."""
    environment = {k: v for k, v in os.environ.items() if k != "ROS_STATIC_PEERS"}
    environment["ROS_DOMAIN_ID"] = str(100 + os.getpid() % 100)
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return environment


def _bars(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console)


@contextlib.contextmanager
def _running(out: Path, source: SyntheticSource, bars: Progress) -> Iterator[Live]:
    """Node, session and replay, up and talking; all gone afterwards whatever happens.

    The scene is rendered once, while the node starts; rendering it as it is replayed would take
    the processor from the map.
    """
    environment = demo_environment()
    # Reliable: which frames come must not depend on how busy the machine is.
    node_arguments = ["node", "--ros-args", "-p", f"map.folder:={out}", "-p", "reliable:=true"]
    with contextlib.ExitStack() as stack:
        task = bars.add_task("starting the node", total=None)
        node = stack.enter_context(Child("node", node_arguments, out / "node.log", environment))
        session = DemoSession(environment)
        stack.callback(session.close)
        scene = _scene(source)
        recording = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demo-")))
        write_folder(recording, scene.shown)
        _wait(lambda: session.status() is not None, node, f"{NODE} is not there")
        bars.update(task, description="waiting for the first frame")
        replay = Child("replay", ["replay", str(recording)], out / "replay.log", environment)
        stack.enter_context(replay)

        def is_mapping() -> bool:
            replay.check()
            return bool(session.status().frames_accepted)

        _wait(is_mapping, node, "no frame has arrived")
        bars.update(task, total=1, completed=1, description="node and replay run")
        yield Live(session, node, scene, time.monotonic())


def _scene(source: SyntheticSource) -> Scene:
    frames = list(split_every(source, HOLDOUT, HOLDOUT // 2))
    return Scene(
        source,
        WorldTruth(source),
        tuple(frame for frame, is_held_out in frames if not is_held_out),
        tuple(frame for frame, is_held_out in frames if is_held_out),
    )


def _wait(condition: Callable[[], bool], node: Child, complaint: str) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        node.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{complaint} after {START_S:.0f} s; see {node.log}")
        time.sleep(0.1)


def _ask_everything(options: DemoOptions, live: Live, bars: Progress) -> list[Told]:
    """Rehearses while the map grows, then asks what counts; the node maps all the time."""
    truth = live.scene.truth
    stride = len(live.scene.shown) // FEW_VIEWS + 1
    some = {f.stamp_ns: truth.at(f.stamp_ns) for f in live.scene.shown[::stride]}
    phrases = _pick(choose_questions(truth, some, SEED))
    _rehearse(list(phrases.present), live, options.seconds, bars)
    told = [_tell_text(phrase, ids, live.session) for phrase, ids in phrases.present.items()]
    told += [_tell_text(phrase, (), live.session) for phrase in phrases.absent]
    stamps = {frame.stamp_ns for frame in live.scene.shown} & live.session.keyframe_stamps
    seen = {stamp: truth.at(stamp) for stamp in sorted(stamps)}
    clicks = _pick(choose_questions(truth, seen, SEED)).clicks
    return told + [_tell_click(click, truth, live.session) for click in clicks]


def _pick(questions: Questions) -> Questions:
    """As many of each kind as the demo shows, chosen by the seed alone."""
    rng = np.random.default_rng(SEED)
    phrases = [list(questions.present)[i] for i in rng.permutation(len(questions.present))]
    clicks = [questions.clicks[i] for i in rng.permutation(len(questions.clicks))]
    half = len(questions.absent) // 2
    absent = [*questions.absent[: ABSENT // 2], *questions.absent[half : half + ABSENT // 2]]
    return Questions(
        {phrase: questions.present[phrase] for phrase in phrases[:PRESENT]},
        tuple(absent),
        tuple(clicks[:CLICKS]),
    )


def _rehearse(phrases: list[str], live: Live, seconds: float, bars: Progress) -> None:
    """Asks once a second while the map grows, and shows what the young map says."""
    task = bars.add_task("mapping", total=seconds)
    turn = 0
    while (elapsed := live.elapsed_s()) < seconds:
        live.node.check()
        phrase = phrases[turn % len(phrases)]
        turn += 1
        answer = live.session.remember(live.session.client.query_text(TextQuery(phrase)))
        verdict = f"found, {answer.score:.2f}" if answer.found else "not found"
        text = f"{live.session.status().keyframes} keyframes; {phrase}: {verdict}"
        bars.update(task, completed=elapsed, description=text)
        time.sleep(1.0)
    bars.update(task, completed=seconds, description="mapping goes on, asking")
    _wait(lambda: live.session.status().surface_points > 0, live.node, "there is no surface")


def _tell_text(phrase: str, ids: tuple[int, ...], session: DemoSession) -> Told:
    return _tell(
        "text", phrase, ids, session, lambda: session.client.query_text(TextQuery(phrase))
    )


def _tell_click(click: Click, truth: WorldTruth, session: DemoSession) -> Told:
    u, v = click.pixel
    query = ClickQuery(
        pixels=np.array([[u, v]], np.float32), camera_name="camera", stamp_ns=click.stamp_ns
    )
    prompt = f"({u}, {v}) at {click.stamp_ns / 1e9:.1f} s: {truth.things[click.id].phrase}"
    told = _tell("click", prompt, (click.id,), session, lambda: session.client.query_click(query))
    return replace(told, click=click)


def _tell(
    kind: str,
    prompt: str,
    ids: tuple[int, ...],
    session: DemoSession,
    ask: Callable[[], QueryAnswer],
) -> Told:
    """Asks through the service; the latency is what the caller waited."""
    start = time.perf_counter()
    answer = session.remember(ask())
    latency_s = time.perf_counter() - start
    surface = session.surface_of(answer)
    if surface is None:
        raise RuntimeError(f"map version {answer.map_version} never came on {NODE}/surface")
    return Told(kind, prompt, ids, answer, surface, latency_s)
