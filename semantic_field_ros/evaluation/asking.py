"""Asks a finished map everything that its ground truth allows, and judges the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from semantic_field_ros.geometry import unproject
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
    """An answer, the surface points in it, how it compares, what was meant, and the click."""

    asked: Asked
    answer: QueryAnswer
    indices: NDArray[np.int64]
    ids: tuple[int, ...] = ()
    click: Click | None = None


def open_bench(field: SemanticField, run: Run, truth: GroundTruth, seed: int) -> Bench:
    """Gathers what judging needs; the map must be paused.

    Where the keyframes have no labels, questions come from the held-out views that have.

    Raises:
        RuntimeError: there is no map yet.
    """
    surface = field.surface()
    if surface is None:
        raise RuntimeError(f"there is no map after {run.elapsed_s():.0f} s to ask")
    kept = [frame for frame in run.kept if truth.knows(frame)]
    asked_of = kept or [frame for frame in run.held_out if truth.knows(frame)]
    views = {frame.stamp_ns: truth.of(frame) for frame in asked_of}
    whole = [truth.at(frame.stamp_ns) for frame in kept]
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
    query = _click_query(bench, click, refine)
    if query is None:
        version = bench.surface.map_version
        answer = QueryAnswer(False, "the map is empty at the click", [], 0.0, 0.0, version, 0)
    else:
        answer = bench.field.query_click(query)
    u, v = click.pixel
    phrase = bench.truth.things[click.id].phrase
    prompt = f"({u}, {v}) at {click.stamp_ns / 1e9:.1f} s: {phrase}"
    return _judge(bench, "click", prompt, (click.id,), answer, click)


def _click_query(bench: Bench, click: Click, refine: bool) -> ClickQuery | None:
    """The pixel of a keyframe that is still held; of any other view, one that was never mapped or
    one that was evicted, the place that the map shows there.

    None where the map shows nothing.
    """
    frames = (*bench.run.kept, *bench.run.held_out)
    frame = next(frame for frame in frames if frame.stamp_ns == click.stamp_ns)
    held = {(view.stamp_ns, view.camera_name) for view in bench.field.keyframes()}
    if (frame.stamp_ns, frame.camera_name) in held:
        return ClickQuery(
            pixels=np.array([click.pixel], np.float32),
            camera_name=frame.camera_name,
            stamp_ns=click.stamp_ns,
            refine=refine,
        )
    u, v = click.pixel
    depth_m = bench.field.render(frame.camera, frame.world_from_camera, "depth")[v, u]
    if not np.isfinite(depth_m):
        return None
    pixel, depths_m = np.array([[u, v]], np.float32), np.array([depth_m], np.float32)
    point = unproject(frame.camera, frame.world_from_camera, pixel, depths_m)
    return ClickQuery(points_world=point, refine=refine)


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
    in_3d = bool(ids) and len(bench.true_surface.points) > 0
    asked = Asked(
        kind=kind,
        prompt=prompt,
        present=bool(ids),
        found=answer.found,
        score=answer.score,
        iou=iou_3d(indices, ids, bench.true_surface, bench.link) if in_3d else None,
        latency_s=answer.latency_s,
        localised=_localised(bench, ids, answer) if in_3d and kind == "text" else None,
    )
    return Judged(asked, answer, indices, ids, click)


def _localised(bench: Bench, ids: tuple[int, ...], answer: QueryAnswer) -> bool:
    """Whether the best point of the best mask lies on what was meant."""
    if not answer.found or not answer.masks:
        return False
    best = answer.masks[0]
    return lies_on(best.points[int(best.point_scores.argmax())], ids, bench.true_surface)


@dataclass
class _InViews:
    """An answer in the held-out views: IoUs of those that show what was meant, and of all."""

    ious: list[float] = field(default_factory=list)
    pooled: PooledMasks = field(default_factory=PooledMasks)


def _with_views(bench: Bench, judged: Sequence[Judged]) -> list[Judged]:
    """Adds how answers look in the held-out views, whose labels nothing has seen."""
    seen = [_InViews() for _ in judged]
    for frame in bench.run.held_out:
        if not bench.truth.knows(frame):
            continue
        depth_m = bench.field.render(frame.camera, frame.world_from_camera, "depth")
        project = mask_in_view(frame, depth_m, bench.surface, REACH_M)
        view = bench.truth.of(frame)
        for item, in_views in zip(judged, seen, strict=True):
            if not item.ids:
                continue
            shown, true = project(item.indices), view.mask(item.ids)
            in_views.pooled.add(shown, true)
            if true.any():
                in_views.ious.append(iou_2d(shown, true))
    return [
        replace(item, asked=_with_pooled(item.asked, in_views))
        for item, in_views in zip(judged, seen, strict=True)
    ]


def _with_pooled(asked: Asked, in_views: _InViews) -> Asked:
    return replace(
        asked,
        view_iou=mean(in_views.ious),
        pooled_iou=in_views.pooled.iou(),
        pooled_accuracy=in_views.pooled.accuracy(),
    )


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
        frames = (*bench.run.kept, *bench.run.held_out)
        return next(frame for frame in frames if frame.stamp_ns == item.click.stamp_ns)
    return best_view(bench.run.kept, bench.surface.points[item.indices])


def caption(asked: Asked) -> tuple[str, str, bool]:
    """Title, verdict and rightness of an answer, for people; right is an IoU of a half.

    The IoU is the one in 3D, or in views where nothing is known in 3D.
    """
    verdict = f"found, score {asked.score:.2f}" if asked.found else f"not found, {asked.score:.2f}"
    iou = asked.view_iou if asked.iou is None else asked.iou
    if iou is not None:
        verdict += f", IoU {iou:.2f}"
    right = (iou or 0.0) >= 0.5 if asked.present else not asked.found
    title = f"click on {asked.prompt}" if asked.kind == "click" else f"“{asked.prompt}”"
    return title, verdict, right
