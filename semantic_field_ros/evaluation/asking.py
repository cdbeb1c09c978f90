"""Asks a finished map everything that its ground truth allows, and judges the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.clicks import Click
from semantic_field_ros.evaluation.ground_truth import GroundTruth, sample_surface, spacing_for
from semantic_field_ros.evaluation.metrics import (
    REACH_M,
    MapToTruth,
    PooledMasks,
    TrueSurface,
    iou_2d,
    iou_3d,
    lies_on,
    mean,
    register,
)
from semantic_field_ros.evaluation.questions import Questions, choose_questions
from semantic_field_ros.evaluation.report import Asked
from semantic_field_ros.evaluation.streaming import Run
from semantic_field_ros.evaluation.views import mask_in_view
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.types import PosedFrame, QueryAnswer, SurfaceCloud
from semantic_field_ros.viewer.pictures import Answered, answer_sheet, best_view

#: from here on answers stand in three columns.
MANY = 16


@dataclass(frozen=True)
class Bench:
    """A map that has been built, and what its answers are compared with.

    Attributes:
        surface: of the map; answers index it, so the map must be paused.
        true_surface: what the keyframes saw.
        link: how the one lies on the other.
        questions: what to ask.
    """

    field: SemanticField
    run: Run
    truth: GroundTruth
    surface: SurfaceCloud
    true_surface: TrueSurface
    link: MapToTruth
    questions: Questions


@dataclass(frozen=True)
class Judged:
    """An answer, the surface points in it, how it compares, and where it was clicked."""

    asked: Asked
    answer: QueryAnswer
    indices: NDArray[np.int64]
    click: Click | None = None


def open_bench(field: SemanticField, run: Run, truth: GroundTruth, seed: int) -> Bench:
    """Gathers what judging needs; the map must be paused.

    Raises:
        RuntimeError: there is no map yet.
    """
    surface = field.surface()
    if surface is None:
        raise RuntimeError(f"there is no map after {run.elapsed_s():.0f} s to ask")
    views = {frame.stamp_ns: truth.of(frame) for frame in run.kept}
    whole = [truth.at(frame.stamp_ns) for frame in run.kept]
    true_surface = sample_surface(whole, spacing_for(whole))
    questions = choose_questions(truth, views, seed)
    link = register(surface.points, true_surface)
    return Bench(field, run, truth, surface, true_surface, link, questions)


def ask_all(bench: Bench, refine: bool = False) -> list[Judged]:
    """Every question once: clicks, then what is present, then what is absent.

    Args:
        bench: what to ask, and what is right.
        refine: whether to wait for refined answers to clicks.
    """
    judged = [_judge_click(bench, click, refine) for click in bench.questions.clicks]
    judged += [_judge_text(bench, phrase, ids) for phrase, ids in bench.questions.present.items()]
    judged += [_judge_text(bench, phrase, ()) for phrase in bench.questions.absent]
    return _with_views(bench, judged)


def answer_indices(answer: QueryAnswer) -> NDArray[np.int64]:
    """The union of an answer's masks; nothing if it was not found."""
    parts = [mask.indices for mask in answer.masks] if answer.found else []
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _judge_click(bench: Bench, click: Click, refine: bool) -> Judged:
    camera = next(f.camera_name for f in bench.run.kept if f.stamp_ns == click.stamp_ns)
    pixel = np.array([click.pixel], np.float32)
    query = ClickQuery(pixels=pixel, camera_name=camera, stamp_ns=click.stamp_ns, refine=refine)
    answer = bench.field.query_click(query)
    u, v = click.pixel
    phrase = bench.truth.things[click.id].phrase
    prompt = f"({u}, {v}) at {click.stamp_ns / 1e9:.1f} s: {phrase}"
    return _judge(bench, "click", prompt, (click.id,), answer, click)


def _judge_text(bench: Bench, phrase: str, ids: tuple[int, ...]) -> Judged:
    return _judge(bench, "text", phrase, ids, bench.field.query_text(TextQuery(phrase)))


def _judge(
    bench: Bench,
    kind: str,
    prompt: str,
    ids: tuple[int, ...],
    answer: QueryAnswer,
    click: Click | None = None,
) -> Judged:
    indices = answer_indices(answer)
    asked = Asked(
        kind=kind,
        prompt=prompt,
        present=bool(ids),
        found=answer.found,
        score=answer.score,
        iou=iou_3d(indices, ids, bench.true_surface, bench.link) if ids else None,
        latency_s=answer.latency_s,
        localised=_localised(bench, ids, answer) if ids and kind == "text" else None,
    )
    return Judged(asked, answer, indices, click)


def _localised(bench: Bench, ids: tuple[int, ...], answer: QueryAnswer) -> bool:
    """Whether the best point of the best mask lies on what was meant."""
    if not answer.found or not answer.masks:
        return False
    best = answer.masks[0]
    return lies_on(best.points[int(best.point_scores.argmax())], ids, bench.true_surface)


def _with_views(bench: Bench, judged: Sequence[Judged]) -> list[Judged]:
    """Adds how click answers look in the held-out views, whose labels nothing has seen."""
    ious: dict[int, list[float]] = {}
    pooled: dict[int, PooledMasks] = {}
    for frame in bench.run.held_out:
        depth_m = bench.field.render(frame.camera, frame.world_from_camera, "depth")
        project = mask_in_view(frame, depth_m, bench.surface, REACH_M)
        instance = bench.truth.of(frame).instance
        for item in judged:
            if item.click is None:
                continue
            shown, true = project(item.indices), instance == item.click.id
            pooled.setdefault(item.click.id, PooledMasks()).add(shown, true)
            if true.any():
                ious.setdefault(item.click.id, []).append(iou_2d(shown, true))
    return [item if item.click is None else _with_pooled(item, ious, pooled) for item in judged]


def _with_pooled(
    item: Judged, ious: Mapping[int, list[float]], pooled: Mapping[int, PooledMasks]
) -> Judged:
    assert item.click is not None
    all_views = pooled.get(item.click.id, PooledMasks())
    asked = replace(
        item.asked,
        view_iou=mean(ious.get(item.click.id, [])),
        pooled_iou=all_views.iou(),
        pooled_accuracy=all_views.accuracy(),
    )
    return replace(item, asked=asked)


def write_sheet(path: Path, heading: str, bench: Bench, judged: Sequence[Judged]) -> None:
    """Writes a picture of every answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [_answered(bench, item) for item in judged]
    note = f"{len(bench.run.kept)} keyframes, {len(bench.surface.points)} surface points"
    columns = 2 if len(rows) <= MANY else 3
    Image.fromarray(answer_sheet(heading, note, rows, columns)).save(path)


def _answered(bench: Bench, item: Judged) -> Answered:
    pixel = None if item.click is None else item.click.pixel
    title, verdict, right = caption(item.asked)
    view = _view_of(bench, item)
    return Answered(title, verdict, right, view, bench.surface, item.indices, pixel)


def _view_of(bench: Bench, item: Judged) -> PosedFrame:
    if item.click is not None:
        stamp_ns = item.click.stamp_ns
        return next(frame for frame in bench.run.kept if frame.stamp_ns == stamp_ns)
    return best_view(bench.run.kept, bench.surface.points[item.indices])


def caption(asked: Asked) -> tuple[str, str, bool]:
    """Title, verdict and rightness of an answer, for people; right is an IoU of a half."""
    verdict = f"found, score {asked.score:.2f}" if asked.found else f"not found, {asked.score:.2f}"
    if asked.iou is not None:
        verdict += f", IoU {asked.iou:.2f}"
    right = (asked.iou or 0.0) >= 0.5 if asked.present else not asked.found
    title = f"click on {asked.prompt}" if asked.kind == "click" else f"“{asked.prompt}”"
    return title, verdict, right
