"""What the project promises, as measurements that anyone can repeat.

Every bar that maps a source runs `semantic-field eval` in a process of its own, so that its memory
and time are its own too. Real recordings are looked for in the folder that the environment
variable SEMANTIC_FIELD_DATA names; bars whose recording is not there are skipped, and say so, and
so is the web viewer's where there is no browser.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from semantic_field_ros.evaluation import method_bars
from semantic_field_ros.evaluation.promises import Bar, Check, judged, least, most
from semantic_field_ros.evaluation.report import write_json
from semantic_field_ros.evaluation.subcommands import Tree, evaluated, finished, recording

#: seeds of the built-in world that no model and no tuning saw.
TABLES, ROOMS = (911, 912, 913), (921, 922, 923)
#: of mapping, to be done within 90: what is under way at the end is finished, a second or two.
SECONDS = "88"


def demo(folder: Path) -> Tree:
    """The demo and the time it takes."""
    seconds = finished(["demo", "--out", str(folder / "demo")], folder / "demo.log")
    tree: Tree = json.loads((folder / "demo" / "report.json").read_text())
    return {"seconds": seconds, "mapping": tree["mapping"]}


def _worlds(kind: str, seeds: Sequence[int]) -> list[str]:
    return [f"world:{kind}:{seed}" for seed in seeds]


def _lazily(module: str, function: str) -> Callable[[Path], Tree]:
    """A measurement of another module of this room, imported when it runs."""

    def run(folder: Path) -> Tree:
        part = importlib.import_module(f"semantic_field_ros.evaluation.{module}")
        tree: Tree = getattr(part, function)()
        return tree

    return run


def _methods(
    what: str, run: Callable[[Path], Tree], *checks: Check, reported: tuple[str, ...] = ()
) -> Bar:
    seeds = method_bars.TABLES
    return Bar(f"tables {seeds[0]} to {seeds[-1]}: {what}", run, checks, reported=reported)


_QUERIES = (
    least("click.mean_iou", 0.75),
    least("text.mean_iou", 0.65),
    least("text.share_over_half", 0.8),
    least("absent.not_found_share", 0.9),
    most("latency.text_p95_s", 0.3),
    most("latency.click_p95_s", 1.0),
)
_IOUS = ("click.mean_iou", "views.mean_iou")
_RGBD = (
    most("mapping.seconds", 90.0),
    least("mapping.psnr_db", 20.5),
    most("mapping.depth_median_m", 0.02),
)

BARS: dict[str, Bar] = {
    "demo": Bar(
        "make demo after set-up",
        demo,
        (most("seconds", 180.0), most("mapping.peak_memory_mb", 4000.0)),
    ),
    "table": Bar(
        f"tables {TABLES}, RGB-D, 90 s",
        evaluated(_worlds("table", TABLES), "--seconds", SECONDS),
        (*_RGBD, *_QUERIES),
    ),
    "table-clean": Bar(
        f"tables {TABLES}, sensor noise off",
        evaluated(_worlds("table", TABLES), "--noise", "off", "--no-latency"),
        (least("mapping.psnr_db", 23.0),),
    ),
    "room": Bar(
        f"rooms {ROOMS}, RGB-D, 90 s",
        evaluated(_worlds("room", ROOMS), "--seconds", SECONDS),
        (*_RGBD, *_QUERIES),
    ),
    "table-rgb": Bar(
        f"tables {TABLES[:1]}, RGB only",
        evaluated(_worlds("table", TABLES[:1]), "--rgb-only", "--no-latency"),
        (
            most("mapping.seconds", 360.0),
            least("mapping.psnr_db", 19.5),
            most("mapping.depth_median_m", 0.06),
            least("click.mean_iou", 0.55),
        ),
    ),
    "models": Bar(
        "bundled models alone, on noisy views of unseen tables and rooms",
        _lazily("part_bars", "bundled_models"),
        (least("click_iou", 0.82), least("crop_top1", 0.90)),
    ),
    "encoder": Bar(
        "numba hash grid against the torch reference, forward + backward",
        _lazily("part_bars", "encoder_speed"),
        (least("times_faster", 12.0),),
    ),
    "forgetting": Bar(
        "a room of 200 keyframes with replay memory for 40",
        _lazily("part_bars", "forgetting"),
        (most("lost_db", 1.5), least("keyframes", 200)),
    ),
    "grasps": Bar(
        "tables (961, 962, 963), 700 steps, a gripper that opens 10 cm, exact meshes",
        _lazily("grasping", "measure_grasps"),
        (least("all.top1_closes", 0.8),),
        reported=tuple(
            f"all.{name}"
            for name in ("asked", "answered", "unholdable", "offered_share", "closes_share")
        ),
    ),
    "reposing": Bar(
        "a table, poses of the second half corrected by 30 cm; after 60 s",
        _lazily("reposing", "reposing"),
        (
            most("last.surface_mean_m", 0.03),
            most("last.depth_median_m", 0.03),
            least("last.mapped_share", 0.9),
        ),
    ),
    "stream": Bar(
        "30 Hz 640x480 RGB-D over DDS for 4 min, replay memory for 40 keyframes",
        _lazily("stream_bar", "measure_stream"),
        (
            most("frames_lost", 0),
            most("dropped", 0),
            most("callback_p99_s", 0.010),
            most("memory_growth_mb", 50.0),
        ),
        reported=("keyframes", "features_dropped", "features_failed"),
    ),
    "relations": Bar(
        "100 questions about space, masks of the ground truth: the geometry of relations alone",
        _lazily("navigation_bars", "relations_of_true_masks"),
        (least("questions", 100), least("right_share", 0.9)),
    ),
    "keepout": Bar(
        "footprints in rooms under keep-out zones of 0.3 m, masks of the ground truth",
        _lazily("navigation_bars", "keepout_of_true_masks"),
        (least("mean_coverage", 0.95),),
        reported=("covered_share", "without_radius.mean_coverage"),
    ),
    "navigation": Bar(
        "the same questions and zones, and goals, asked of maps with the bundled models",
        _lazily("navigation_bars", "asked_of_maps"),
        (least("relations.right_share", 0.9), least("keepout.mean_coverage", 0.95)),
        reported=(
            "relations.right_where_words_are_known",
            "keepout.found_share",
            "goals.found_share",
            "goals.stands_free_share",
            "goals.sees_it_share",
        ),
    ),
    "viewer": Bar(
        "web viewer in headless Chromium on the same cores, table 1007 after 60 s",
        _lazily("viewer_bar", "viewer_times"),
        (most("first_picture_s", 2.0), most("click_to_mask_s", 1.5)),
        reported=("training.first_picture_s", "training.click_to_mask_s"),
        in_browser=True,
    ),
    "methods-answers": _methods(
        "clicks, phrases and instances; the object field beside raw masks",
        method_bars.answers,
        least("object_field.click_iou", 0.85),
        least("raw_error_removed", 0.25),
        least("maskfield.text_iou", 0.75),
        least("maskfield.localisation", 0.92),
        most("maskfield.false_positives", 0.06),
        least("maskfield.panoptic_quality", 0.65),
        most("maskfield.seconds", 120.0),
    ),
    "methods-classes": _methods(
        "classes of a given list, with RSR and CSE and without",
        method_bars.classes,
        least("ovnerf.mean_iou", 0.65),
        least("plain_error_removed", 0.25),
        reported=("plain_error_removed_by_majority",),
    ),
    "methods-segments": _methods(
        "a language field with segments and without; tables on which they make it better",
        method_bars.segments,
        least("tables_with_better.recall", 4),
        least("tables_with_better.distance", 4),
    ),
    "methods-imitation": _methods(
        "the segmenter's features, imitated; from every fourth keyframe, views between add",
        _lazily("imitation_bar", "imitation"),
        least("finished.picture", 0.80),
        least("error_removed.picture", 0.10),
        reported=(
            "finished.captured",
            "finished.without",
            "mapping.picture",
            "mapping.captured",
            "error_removed.captured",
        ),
    ),
    "office": Bar(
        "office_rgbd at 270 pixels width",
        recording("office_rgbd", "--width", "270", "--seconds", "240", "--no-latency"),
        (
            least("mapping.psnr_db", 18.5),
            most("mapping.depth_median_m", 0.03),
            most("mapping.seconds", 300.0),
        ),
        "office_rgbd",
    ),
    "fox": Bar(
        "fox_rgb at a quarter of its size",
        recording("fox_rgb", "--width", "270", "--seconds", "280", "--no-latency"),
        (least("mapping.psnr_db", 21.0), most("mapping.seconds", 300.0)),
        "fox_rgb",
    ),
    "shelf": Bar(
        "shelf_rgbd_labelled, segmenter driven by its labels with the default faults",
        recording("shelf_rgbd_labelled", "--models", "labels", "--holdout", "5", "--no-latency"),
        (least("views.mean_iou", 0.75),),
        "shelf_rgbd_labelled",
    ),
    "shelf-ceiling": Bar(
        "the same without faults: the ceiling",
        recording(
            "shelf_rgbd_labelled", "--models", "labels-ideal", "--holdout", "5", "--no-latency"
        ),
        (),
        "shelf_rgbd_labelled",
        _IOUS,
    ),
    "shelf-tiny": Bar(
        "the same clicks with the bundled models, as they are",
        recording("shelf_rgbd_labelled", "--holdout", "5", "--no-latency"),
        (),
        "shelf_rgbd_labelled",
        _IOUS,
    ),
}


def run_bars(names: Sequence[str], file: Path | None, console: Console) -> int:
    """Measures and prints as it goes; a bar that fails has missed, and the others go on.

    Args:
        names: of BARS.
        file: where to write all figures as JSON, or None.
        console: to print on.

    Returns:
        0 if every promise held, else 1.

    Raises:
        ValueError: an unknown name.
    """
    unknown = sorted(set(names) - set(BARS))
    if unknown:
        raise ValueError(f"unknown bar {unknown[0]!r}; expected some of {list(BARS)}")
    trees: Tree = {}
    missed = 0
    with tempfile.TemporaryDirectory(prefix="semantic-field-bars-") as temporary:
        for name in names:
            bar = BARS[name]
            if lacking := bar.lacks():
                console.print(f"{name}: skipped, {lacking}", style="yellow", soft_wrap=True)
                continue
            folder = (file.parent if file is not None else Path(temporary)) / "bars" / name
            folder.mkdir(parents=True, exist_ok=True)
            try:
                trees[name] = bar.run(folder)
            except (RuntimeError, OSError) as error:
                trees[name] = {"failed": str(error)}
                console.print(f"{name}: failed, {error}", style="red", soft_wrap=True)
                missed += 1
            table, missing = judged(name, bar, trees[name])
            missed += missing
            console.print(table)
            if file is not None:
                write_json(file, trees)
    return int(missed > 0)
