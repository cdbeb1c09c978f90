"""What a measurement says, as data, as JSON and as a table."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from semantic_field_ros.evaluation.metrics import ClassFigures, mean, percentile
from semantic_field_ros.evaluation.panoptic import PanopticFigures

#: an answer with at least this IoU counts as right in `share_over_half`.
HALF = 0.5


@dataclass(frozen=True)
class Mapping:
    """How well the map shows what it was not trained on.

    Attributes:
        frames: posed frames that were streamed into the map.
        keyframes: those that were kept, evicted ones included.
        steps: of training until the measurement.
        seconds: from the first frame to the measurement.
        psnr_db: over held-out views, as they came from the camera.
        psnr_fitted_db: the same after fitting gain and offset per view and channel.
        depth_median_m: median over held-out views of their median depth error, metres.
        peak_memory_mb: most resident memory of the process so far, MB (10⁶ bytes).
        held_out: views measured.
        teacher_iou: mean IoU over held-out views of masks decoded from rendered features and from
            the segmenter's own of the captured image, see `TeacherIou`; None where not measured.
        teacher_picture_iou, picture_iou: its `picture` and `without`.
    """

    frames: int
    keyframes: int
    steps: int
    seconds: float
    psnr_db: float | None
    psnr_fitted_db: float | None
    depth_median_m: float | None
    peak_memory_mb: float | None
    held_out: int
    teacher_iou: float | None = None
    teacher_picture_iou: float | None = None
    picture_iou: float | None = None


@dataclass(frozen=True)
class Asked:
    """One query and how its answer compares with the truth.

    Attributes:
        kind: "text" or "click".
        prompt: the phrase, or what was clicked and where.
        present: whether what was asked for is there; None where nobody knows.
        found: what the map said.
        score: in [0, 1].
        iou: 3D IoU with the truth, 0 for a miss; None without truth, or if it is absent.
        localised: whether the best point of the answer lies on what was meant; None for clicks
            and where `iou` is None.
        latency_s: from question to answer.
        view_iou: mean IoU of the answer projected into the labelled held-out views that show what
            was meant, or None.
        pooled_iou, pooled_accuracy: of the pixels of all held-out views together, or None.
    """

    kind: str
    prompt: str
    present: bool | None
    found: bool
    score: float
    iou: float | None
    latency_s: float
    localised: bool | None = None
    view_iou: float | None = None
    pooled_iou: float | None = None
    pooled_accuracy: float | None = None


@dataclass(frozen=True)
class Latency:
    """Times of queries on a surface of a fixed size while training goes on, seconds."""

    text_p95_s: float | None
    click_p95_s: float | None
    surface_points: int
    queries: int


@dataclass(frozen=True)
class RelevancyFigures:
    """Means over pairs of a labelled held-out view and a phrase of something that it shows.

    Attributes:
        recall: share of them whose most relevant pixels lie where they should.
        distance: D_relevancy.
        count: pairs.
        localisation: share of them whose most relevant pixel is one of what is meant.
    """

    recall: float | None
    distance: float | None
    count: int
    localisation: float | None = None


@dataclass(frozen=True)
class Report:
    """Everything that `semantic-field eval` measured of one source.

    Attributes:
        source: as it was named.
        models: which 2D models ran; says so where ground truth drove them.
        mapping: the map.
        asked: every query.
        latency: None if it was not measured.
        classes: of the surface in the source's list of classes; None without truth, or where the
            text method does not name places.
        relevancy: None without truth.
        view_classes: of class maps in the labelled held-out views; None as `classes`.
        panoptic: of everything that the map tells apart; None without a true surface.
        method_ms: mean milliseconds of a step of each semantic method that took one.
    """

    source: str
    models: str
    mapping: Mapping
    asked: tuple[Asked, ...] = ()
    latency: Latency | None = None
    classes: ClassFigures | None = None
    relevancy: RelevancyFigures | None = None
    method_ms: dict[str, float] = field(default_factory=dict)
    view_classes: ClassFigures | None = None
    panoptic: PanopticFigures | None = None

    def clicks(self) -> dict[str, Any]:
        """{mean_iou, count} over clicks with known truth."""
        ious = [a.iou for a in self.asked if a.kind == "click" and a.iou is not None]
        return {"mean_iou": mean(ious), "count": len(ious)}

    def text(self) -> dict[str, Any]:
        """{mean_iou, share_over_half, localisation, count} over phrases of what is present."""
        asked = [a for a in self.asked if a.kind == "text" and a.iou is not None]
        ious = [a.iou for a in asked if a.iou is not None]
        return {
            "mean_iou": mean(ious),
            "share_over_half": mean([iou >= HALF for iou in ious]),
            "localisation": mean([bool(a.localised) for a in asked]),
            "count": len(ious),
        }

    def absent(self) -> dict[str, Any]:
        """{not_found_share, count} over phrases of what is known to be absent."""
        answers = [not a.found for a in self.asked if a.present is False]
        return {"not_found_share": mean(answers), "count": len(answers)}

    def views(self, kind: str = "click") -> dict[str, Any]:
        """Of answers of a kind projected into labelled held-out views.

        {mean_iou, count} by view; {pooled_iou, pooled_accuracy} over the pixels of all views, as
        means over objects or phrases.
        """
        seen = [a for a in self.asked if a.kind == kind and a.view_iou is not None]
        return {
            "mean_iou": mean([a.view_iou for a in seen if a.view_iou is not None]),
            "pooled_iou": mean([a.pooled_iou for a in seen if a.pooled_iou is not None]),
            "pooled_accuracy": mean(
                [a.pooled_accuracy for a in seen if a.pooled_accuracy is not None]
            ),
            "count": len(seen),
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON tree; numbers that are not finite become None."""
        latency = Latency(None, None, 0, 0) if self.latency is None else self.latency
        nowhere: dict[str, Any] = {"mean_iou": None, "mean_accuracy": None}
        relevancy = self.relevancy or RelevancyFigures(None, None, 0)
        tree = {
            "source": self.source,
            "models": self.models,
            "mapping": asdict(self.mapping),
            "click": self.clicks(),
            "text": self.text(),
            "absent": self.absent(),
            "views": self.views(),
            "text_views": self.views("text"),
            "latency": asdict(latency),
            "classes": nowhere if self.classes is None else asdict(self.classes),
            "view_classes": nowhere if self.view_classes is None else asdict(self.view_classes),
            "panoptic": None if self.panoptic is None else asdict(self.panoptic),
            "relevancy": asdict(relevancy),
            "method_ms": self.method_ms,
            "queries": [asdict(asked) for asked in self.asked],
        }
        finite: dict[str, Any] = only_finite(tree)
        return finite


def measured_latency(
    text_s: Sequence[float], click_s: Sequence[float], surface_points: int
) -> Latency:
    """95th percentiles of two samples of latencies."""
    return Latency(
        percentile(text_s, 0.95),
        percentile(click_s, 0.95),
        surface_points,
        len(text_s) + len(click_s),
    )


def only_finite(tree: Any) -> Any:
    """The same tree of dicts, lists and scalars with NaN and infinities replaced by None."""
    if isinstance(tree, dict):
        return {key: only_finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [only_finite(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree


def write_json(path: Path, tree: Any) -> None:
    """Writes a tree so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(only_finite(tree), indent=2) + "\n")
    os.replace(partial, path)


def figure(value: Any, unit: str = "", digits: int = 2) -> str:
    """A number as a person reads it; "–" for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.{digits}f}" if isinstance(value, float) else str(value)
    return f"{text} {unit}".rstrip()


def mapping_table(mapping: dict[str, Any], title: str) -> Table:
    """The figures of a map, one per row; from `Report.to_dict()["mapping"]` or a demo's."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    rows = [
        ("frames streamed / keyframes", f"{mapping['frames']} / {mapping['keyframes']}"),
        ("time from the first frame", figure(mapping["seconds"], "s", 1)),
        ("training steps", str(mapping["steps"])),
        ("PSNR on held-out views", figure(mapping["psnr_db"], "dB")),
        ("… after fitting exposure", figure(mapping.get("psnr_fitted_db"), "dB")),
        ("median depth error", _centimetres(mapping["depth_median_m"])),
        ("peak memory", figure(mapping["peak_memory_mb"], "MB", 0)),
    ]
    if mapping.get("teacher_iou") is not None:
        rows.append(("rendered features: teacher IoU", figure(mapping["teacher_iou"])))
        rows.append(("… teacher on the map's pictures", figure(mapping["teacher_picture_iou"])))
        rows.append(("segmenter on the map's pictures", figure(mapping["picture_iou"])))
    for name, value in rows:
        table.add_row(name, value)
    return table


def _centimetres(value_m: float | None) -> str:
    return figure(None if value_m is None else value_m * 100, "cm")


def summary_table(report: Report) -> Table:
    """Answers, latency and the lot of one source, one figure per row."""
    tree = report.to_dict()
    table = Table(title="Answers", title_justify="left")
    table.add_column("")
    table.add_column("figure", justify="right")
    table.add_column("of", justify="right", style="dim")
    click, text, absent = tree["click"], tree["text"], tree["absent"]
    table.add_row("one click: mean 3D IoU", figure(click["mean_iou"]), str(click["count"]))
    table.add_row("phrase: mean 3D IoU", figure(text["mean_iou"]), str(text["count"]))
    table.add_row("phrase: IoU ≥ 0.5", figure(text["share_over_half"]), str(text["count"]))
    table.add_row("phrase: best point on it", figure(text["localisation"]), str(text["count"]))
    table.add_row("absent: not found", figure(absent["not_found_share"]), str(absent["count"]))
    for kind, what in (("views", "click"), ("text_views", "phrase")):
        _view_rows(table, tree[kind], what)
    if report.latency is not None:
        _latency_rows(table, tree["latency"])
    return table


def _view_rows(table: Table, views: dict[str, Any], what: str) -> None:
    if views["count"]:
        of = str(views["count"])
        table.add_row(f"{what} mask in held-out views: IoU", figure(views["mean_iou"]), of)
        pooled = f"{figure(views['pooled_iou'])} / {figure(views['pooled_accuracy'], digits=3)}"
        table.add_row("… all views pooled: IoU / accuracy", pooled, of)


def _latency_rows(table: Table, latency: dict[str, Any]) -> None:
    of = str(latency["queries"])
    for kind in ("text", "click"):
        value = figure(latency[f"{kind}_p95_s"], "s", 3)
        table.add_row(f"{kind} p95 on {latency['surface_points']} points", value, of)


def queries_table(queries: Sequence[dict[str, Any]]) -> Table:
    """One row per query, from `Report.to_dict()["queries"]` or a demo's report."""
    table = Table(title="Queries", title_justify="left")
    for heading in ("", "asked", "there", "found"):
        table.add_column(heading)
    for heading in ("score", "IoU", "time"):
        table.add_column(heading, justify="right")
    for query in queries:
        right = query["present"] is None or query["present"] == query["found"]
        table.add_row(
            query["kind"],
            query["prompt"],
            {True: "yes", False: "no", None: "?"}[query["present"]],
            figure(query["found"]),
            figure(query["score"]),
            figure(query["iou"]),
            figure(query["latency_s"], "s", 3),
            style=None if right else "red",
        )
    return table
