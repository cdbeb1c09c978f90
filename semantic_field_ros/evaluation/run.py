"""Maps a source through the façade, asks it, and compares with the ground truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semantic_field_ros.config import Config
from semantic_field_ros.evaluation.asking import Bench, ask_all, open_bench, write_sheet
from semantic_field_ros.evaluation.dense import (
    ClassList,
    class_list,
    judge_classes,
    judge_instances,
    judge_relevancy,
    judge_view_classes,
)
from semantic_field_ros.evaluation.ground_truth import GroundTruth
from semantic_field_ros.evaluation.label_faults import NO_FAULTS, Faults
from semantic_field_ros.evaluation.label_models import LabelledView, label_models
from semantic_field_ros.evaluation.latency import measure_latency
from semantic_field_ros.evaluation.measured_field import MeasuredField
from semantic_field_ros.evaluation.metrics import mean
from semantic_field_ros.evaluation.open_truth import open_truth
from semantic_field_ros.evaluation.processes import peak_memory_mb
from semantic_field_ros.evaluation.report import Mapping, Report
from semantic_field_ros.evaluation.streaming import (
    Run,
    check_alive,
    recorded,
    stream_into,
)
from semantic_field_ros.evaluation.views import ViewErrors, compare_view
from semantic_field_ros.models.base import LanguageModel, Segmenter
from semantic_field_ros.models.registry import load_language_model, load_segmenter
from semantic_field_ros.semantics.ovnerf import OvNerf
from semantic_field_ros.semantics.registry import text_method
from semantic_field_ros.semantics.sam_features import SamFeatures
from semantic_field_ros.stream.base import FrameSource
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.types import PosedFrame

#: a slow machine gets this much longer for its first map, which `mapping.seconds` then tells.
SLOW_S = 240.0
#: how models are named where ground truth drives them.
LABELLED = {
    "labels": (Faults(), "driven by ground-truth labels with the default faults"),
    "labels-ideal": (NO_FAULTS, "driven by ground-truth labels without faults (ceiling)"),
}

#: what a map can be asked: phrases come with classes and relevancy.
ASKED = ("click", "text", "instances")
#: endings of answer sheets.
PICTURES = (".png", ".jpg", ".jpeg", ".webp")

Step = Callable[..., None]


@dataclass(frozen=True)
class EvalOptions:
    """How a source is measured.

    Attributes:
        seconds: mapping time from the first frame.
        steps: training steps to take instead, however long that takes; 0 = by time. Schedules
            that are shares of a run, as `ovnerf`'s, are made for so many.
        holdout: one frame in this many is held out; None = those that the source holds out.
        models: "config", "labels" or "labels-ideal".
        asked: some of `ASKED`.
        refine: whether to judge the refined answers to clicks instead of the fast ones.
        latency: whether to measure it.
        seed: of what is asked.
        pictures: where to write an answer sheet, in a format of `PICTURES`; or None.

    Raises:
        ValueError: pictures of another format.
    """

    seconds: float = 90.0
    steps: int = 0
    holdout: int | None = None
    models: str = "config"
    asked: tuple[str, ...] = ASKED
    refine: bool = False
    latency: bool = True
    seed: int = 0
    pictures: Path | None = None

    def __post_init__(self) -> None:
        """Checks what would fail only after minutes."""
        if self.pictures is not None and self.pictures.suffix.lower() not in PICTURES:
            raise ValueError(f"pictures must end in one of {PICTURES}, got {self.pictures.name!r}")


@dataclass(frozen=True)
class Recording:
    """A source that is mapped once or several times.

    Attributes:
        name: of the source.
        length: frames, None if nobody knows.
        frames: can be read again and again.
        truth: None where there is none.
        held_out: frames that are kept back unless somebody wishes otherwise.
    """

    name: str
    length: int | None
    frames: Iterable[PosedFrame]
    truth: GroundTruth | None
    held_out: Holdout


def open_recording(source: FrameSource) -> Recording:
    """Reads the source, unless it is too long to be kept."""
    truth, held_out = open_truth(source), source.held_out
    if truth is not None and truth.labelled is not None:
        held_out = Holdout(stamps=truth.labelled)
    return Recording(source.name, source.length, recorded(source), truth, held_out)


def _held_out(recording: Recording, how: EvalOptions) -> Holdout:
    return recording.held_out if how.holdout is None else Holdout.one_in(how.holdout)


@dataclass(frozen=True)
class Mapped:
    """A map that has been built and is paused.

    Attributes:
        field: the map.
        run: what it was built from.
        bench: what answers are compared with; None where there is no truth.
        classes: of the truth.
        report: what came of building it, without answers.
    """

    field: MeasuredField
    run: Run
    bench: Bench | None
    classes: ClassList | None
    report: Report

    def answered(self, how: EvalOptions) -> Report:
        """The report with what was asked, where there is truth to compare answers with."""
        if self.bench is None or self.classes is None:
            return self.report
        how = _answerable(how, self.field.config)
        return _answered(self.report, self.bench, self.classes, how)


def run_eval(recording: Recording, config: Config, how: EvalOptions, step: Step) -> Report:
    """Maps, asks, and measures latency while training goes on; arguments as `mapped`."""
    with mapped(recording, config, how, step) as built:
        step("asking")
        report = built.answered(how)
        if how.latency:
            built.field.resume()
            step("measuring latency")
            report = replace(report, latency=measure_latency(built.field, built.run, how.seed))
    return report


@contextmanager
def mapped(recording: Recording, config: Config, how: EvalOptions, step: Step) -> Iterator[Mapped]:
    """Streams at 5 Hz with the 2D models running, and measures at `how.seconds`.

    Args:
        recording: what to map.
        config: of the map; an `ovnerf` without classes gets those of the truth.
        how: see there.
        step: told what is being done, how much of it is done, and how much there is.

    Raises:
        ValueError: label-driven models without labels, or nothing to map.
        RuntimeError: no map came about, or label-driven models whose features are to be imitated.
    """
    truth = recording.truth
    segmenter, language = _models(recording, config, how)
    classes = None if truth is None else class_list(truth, language.calibration.negatives)
    config = scheduled(_with_classes(config, classes), how.steps)
    if how.models in LABELLED:
        config = _without_imagination(config)
    field = MeasuredField(config, language, segmenter)
    try:
        run = _mapped(field, recording, how, step)
        field.pause(features=True)
        seconds = run.elapsed_s()
        step("rendering held-out views")
        figures = _map_figures(field, run, truth, seconds, how)
        report = Report(recording.name, _models_name(config, how), figures)
        report = replace(report, method_ms=field.status()["method_ms"])
        bench = None if truth is None else open_bench(field, run, truth, how.seed)
        yield Mapped(field, run, bench, classes, report)
    finally:
        field.close()


def _answered(report: Report, bench: Bench, classes: ClassList, how: EvalOptions) -> Report:
    """The report with what was asked, and with a picture of it if one is wanted."""
    bench = replace(bench, questions=bench.questions.only(how.asked))
    answers = ask_all(bench, how.refine)
    report = replace(report, asked=tuple(judged.asked for judged in answers))
    if "text" in how.asked:
        report = replace(
            report,
            classes=judge_classes(bench, classes),
            view_classes=judge_view_classes(bench, classes),
            relevancy=judge_relevancy(bench),
        )
    if "instances" in how.asked:
        report = replace(report, panoptic=judge_instances(bench))
    if how.pictures is not None:
        write_sheet(how.pictures, f"Answers from {report.source}", bench, answers)
    return report


def _models_name(config: Config, how: EvalOptions) -> str:
    if how.models in LABELLED:
        return LABELLED[how.models][1]
    return f"segmenter {config.models.segmenter}, language {config.models.language}"


def _with_classes(config: Config, classes: ClassList | None) -> Config:
    semantics = config.semantics
    if classes is None or OvNerf.name not in semantics.methods or semantics.ovnerf.classes:
        return config
    ovnerf = replace(semantics.ovnerf, classes=classes.phrases)
    return replace(config, semantics=replace(semantics, ovnerf=ovnerf))


def scheduled(config: Config, steps: int) -> Config:
    """The configuration with schedules that are over after so many steps; 0 = as they are."""
    if not steps:
        return config
    semantics = config.semantics
    run_steps = max(1, steps // semantics.ovnerf.every)
    ovnerf = replace(semantics.ovnerf, run_steps=run_steps)
    return replace(config, semantics=replace(semantics, ovnerf=ovnerf))


def _answerable(how: EvalOptions, config: Config) -> EvalOptions:
    """Where no method knows words, clicks are all that is asked."""
    if text_method(config.semantics) is not None:
        return how
    return replace(how, asked=tuple(kind for kind in how.asked if kind == "click"))


def _without_imagination(config: Config) -> Config:
    """Labels are of captured views."""
    return replace(config, imagination=replace(config.imagination, time_share=0.0))


def _models(
    recording: Recording, config: Config, how: EvalOptions
) -> tuple[Segmenter, LanguageModel]:
    """Those of the configuration, or a pair that knows the labels of the training views."""
    if how.models not in LABELLED:
        models = config.models
        return load_segmenter(models.segmenter), load_language_model(models.language)
    if config.queries.click_features == "rendered":
        raise RuntimeError(
            "models that know labels have no features that a field could imitate; "
            "set queries.click_features to 'cached'"
        )
    truth, frames = recording.truth, recording.frames
    if truth is None or truth.labelled is not None:
        raise ValueError(
            f"{recording.name} has no ground-truth labels of what is mapped to drive models with"
        )
    views = [
        LabelledView(frame.rgb, truth.of(frame).instance)
        for frame, is_held_out in _held_out(recording, how).split(frames)
        if not is_held_out
    ]
    named = {thing.id: thing.phrase for thing in truth.things.values()}
    return label_models(views, named, LABELLED[how.models][0], how.seed)


def _mapped(field: MeasuredField, recording: Recording, how: EvalOptions, step: Step) -> Run:
    step("loading the 2D models")
    field.start()
    done = 0

    def on_frame(frame: PosedFrame) -> None:
        nonlocal done
        done += 1
        step(f"mapping {recording.name}", done, recording.length)

    run = stream_into(field, recording.frames, _held_out(recording, how), on_frame)
    if not run.kept:
        raise ValueError(f"{recording.name} has no frame that could be mapped")
    _train(field, run, how, step)
    return run


def _train(field: MeasuredField, run: Run, how: EvalOptions, step: Step) -> None:
    """Waits for the wanted time or steps, and for something to ask about."""
    steps, stuck_since_s = 0, 0.0
    while True:
        status, elapsed_s = field.status(), run.elapsed_s()
        check_alive(status)
        if status["steps"] != steps:
            steps, stuck_since_s = status["steps"], elapsed_s
        enough = steps >= how.steps if how.steps else elapsed_s >= how.seconds
        if enough and has_surface(field):
            return
        late_s = elapsed_s - (stuck_since_s if how.steps else how.seconds)
        if late_s > SLOW_S:
            raise RuntimeError(
                f"no surface after {elapsed_s:.0f} s and {steps} steps on "
                f"{len(run.kept)} keyframes; give it more frames, or this program more CPU"
            )
        if how.steps:
            step("training", steps, how.steps)
        else:
            step("training", elapsed_s, how.seconds)
        time.sleep(0.2)


def has_surface(field: MeasuredField) -> bool:
    """Whether there is anything to ask about."""
    surface = field.surface()
    return surface is not None and len(surface.points) > 0


def _map_figures(
    field: MeasuredField,
    run: Run,
    truth: GroundTruth | None,
    seconds: float,
    how: EvalOptions,
) -> Mapping:
    # Models driven by labels know no view that was held out.
    methods = field.config.semantics.methods
    imitates = SamFeatures.name in methods and how.models not in LABELLED
    errors, teacher = ViewErrors(), []
    for frame in run.held_out:
        pose = frame.world_from_camera
        picture = field.render(frame.camera, pose, "rgb")
        depth_m = field.render(frame.camera, pose, "depth")
        errors.add(compare_view(frame, picture.astype(np.float32) / 255, depth_m, truth))
        if imitates:
            teacher.append(field.teacher_iou(frame, picture))
    return Mapping(
        frames=run.frames,
        keyframes=len(run.kept),
        steps=field.status()["steps"],
        seconds=seconds,
        psnr_db=errors.psnr_db(),
        psnr_fitted_db=errors.psnr_fitted_db(),
        depth_median_m=errors.depth_median_m(),
        peak_memory_mb=peak_memory_mb(),
        held_out=len(run.held_out),
        teacher_iou=mean([iou.captured for iou in teacher]),
        teacher_picture_iou=mean([iou.picture for iou in teacher]),
        picture_iou=mean([iou.without for iou in teacher]),
    )
