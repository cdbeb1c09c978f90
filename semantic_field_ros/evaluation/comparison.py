"""The five papers' methods on the same frames, side by side."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rich.table import Table

from semantic_field_ros.config import Config, overlaid
from semantic_field_ros.evaluation.metrics import mean
from semantic_field_ros.evaluation.processes import forget_peak_memory
from semantic_field_ros.evaluation.report import Report, figure, only_finite
from semantic_field_ros.evaluation.run import EvalOptions, Recording, Step, mapped

logger = logging.getLogger(__name__)

ALL, ABLATIONS = "all", "ablations"


@dataclass(frozen=True)
class Entry:
    """What a method is in a comparison.

    Attributes:
        paper: short name of the paper that it comes from, and what is left out of it.
        trained: the semantic method that is trained, alone.
        asked: what it has answers of its own to, see `EvalOptions.asked`. Clicks on a map of a
            language field would be the segmenter's, on keyframes.
        refine: whether its answer to a click is the refined one.
        settings: laid over the configuration, as nested dicts.
    """

    paper: str
    trained: str
    asked: tuple[str, ...]
    refine: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def _san(paper: str, refine: bool = False, **options: Any) -> Entry:
    """Trained alone, with a step for every step of the geometry and the finer rays."""
    settings = {
        "queries": {"click_features": "rendered"},
        "semantics": {
            "sam_features": {"every": 1, "rays_per_cell": 2} | options,
            "object_field": {"pair_weight": 0.0},
        },
    }
    return Entry(paper, "sam_features", ("click",), refine, settings)


def _refined(paper: str, refine_with: str, **options: Any) -> Entry:
    settings = {
        "queries": {"refine_with": refine_with},
        "semantics": {"object_field": options},
    }
    return Entry(paper, "maskfield", ("click",), refine=True, settings=settings)


def _lerf(paper: str, override: str) -> Entry:
    settings = {"semantics": {"pyramid": {"override": override}}}
    return Entry(paper, "lerf", ("text",), settings=settings)


def _ovnerf(paper: str, **options: Any) -> Entry:
    return Entry(paper, "ovnerf", ("text",), settings={"semantics": {"ovnerf": options}})


METHODS = {
    "sam_features": _san("SAN", imagined_views=96),
    "object_field": _refined("SANeRF-HQ without ray pairs", "object_field", pair_weight=0.0),
    "lerf": _lerf("LERF with panoptic prior", "full"),
    "ovnerf": _ovnerf("OV-NeRF"),
    "maskfield": Entry("MaskField", "maskfield", ("click", "text", "instances")),
}

#: the papers' own ablations: a method without what it adds to the one before it, or with what is
#: left out of it here.
VARIANTS = {
    "sam_features_captured": _san("SAN without camera augmentation", imagined_views=0),
    "object_field_distilled": _san(
        "SANeRF-HQ on features that the field renders",
        refine=True,
        imagined_views=96,
    ),
    "object_field_raw": _refined("raw masks: the best one of each view", "masks"),
    "object_field_votes": _refined("votes of the same masks", "votes"),
    "object_field_pairs": _refined(
        "SANeRF-HQ with ray pairs", "object_field", pair_weight=0.5, steps=600
    ),
    "lerf_plain": _lerf("LERF", "none"),
    "lerf_single_scale": _lerf("single-scale override", "single_scale"),
    "ovnerf_plain": _ovnerf("neither RSR nor CSE", ranking="none", enhancement=False),
    "ovnerf_rsr": _ovnerf("RSR alone", ranking="majority", clear_majority=0.0, enhancement=False),
    "ovnerf_cse": _ovnerf("CSE alone", ranking="none", enhancement=True),
    "ovnerf_rsr_cse": _ovnerf(
        "RSR and CSE, as in the paper", ranking="majority", clear_majority=0.0
    ),
}
ENTRIES = METHODS | VARIANTS


@dataclass(frozen=True)
class Row:
    """One figure of the table: its key in the JSON tree, its heading, unit and digits."""

    key: str
    heading: str
    unit: str = ""
    digits: int = 2


ROWS = (
    Row("mean_iou", "classes: mIoU"),
    Row("mean_accuracy", "classes: mAcc"),
    Row("view_mean_iou", "classes in views: mIoU"),
    Row("view_mean_accuracy", "classes in views: mAcc"),
    Row("panoptic_quality", "instances: PQ"),
    Row("click_iou", "click: mean 3D IoU"),
    Row("teacher_iou", "rendered features: teacher IoU"),
    Row("teacher_picture_iou", "… teacher on the map's pictures"),
    Row("picture_iou", "segmenter on the map's pictures"),
    Row("view_click_iou", "click in views: pooled IoU"),
    Row("view_click_accuracy", "click in views: accuracy", digits=3),
    Row("text_iou", "phrase: mean 3D IoU"),
    Row("localisation", "phrase: best point on it"),
    Row("view_text_iou", "phrase in views: mean IoU"),
    Row("view_localisation", "phrase in views: best pixel"),
    Row("recall", "relevancy: recall"),
    Row("relevancy_distance", "relevancy: D", digits=4),
    Row("false_positives", "absent: found all the same"),
    Row("step_ms", "a step of the method", "ms", 1),
    Row("seconds", "the run", "s", 0),
    Row("text_s", "phrase: mean time", "s", 3),
    Row("click_s", "click: mean time", "s", 3),
    Row("peak_memory_mb", "peak memory", "MB", 0),
)


def chosen_methods(names: str) -> tuple[str, ...]:
    """The methods that "all", "ablations" or a list with commas of names means, each once.

    Raises:
        ValueError: a name that does not exist, with those that do.
    """
    groups = {ALL: METHODS, ABLATIONS: VARIANTS}
    given = [name.strip() for name in names.split(",")]
    chosen = dict.fromkeys(one for name in given for one in groups.get(name, (name,)))
    unknown = [name for name in chosen if name not in ENTRIES]
    if unknown:
        raise ValueError(
            f"unknown method {unknown[0]!r}; expected {ALL!r}, {ABLATIONS!r} or some of "
            f"{', '.join(ENTRIES)}"
        )
    return tuple(chosen)


def config_for(name: str, config: Config) -> Config:
    """The given configuration with one method alone, as the comparison asks it."""
    entry = ENTRIES[name]
    semantics = replace(config.semantics, methods=(entry.trained,), text_method=entry.trained)
    queries = replace(config.queries, click_features="cached")
    return overlaid(replace(config, semantics=semantics, queries=queries), entry.settings)


def compare(
    recording: Recording, config: Config, names: Sequence[str], how: EvalOptions, step: Step
) -> Iterator[dict[str, Any]]:
    """Maps the same frames for one method after the other; each map takes minutes.

    Methods that differ in how questions are answered alone share a map.

    Args:
        recording: what to map.
        config: everything but the choice of method.
        names: of `ENTRIES`.
        how: as for `run_eval`; which clicks are refined is the method's affair, latency under
            training is not measured, and every method has a picture of its own.
        step: as for `run_eval`.

    Yields:
        After each map {source, methods: {name: figures}} of those so far, see `comparison_tree`.
        A method that fails is logged and has no figures; the others go on.
    """
    reports: dict[str, Report | None] = {}
    for group in trained_alike(names, config):
        gc.collect()  # the map before this one
        reports |= _reports(group, recording, config, how, step)
        yield comparison_tree(
            recording.name, {name: reports[name] for name in names if name in reports}
        )


def trained_alike(names: Sequence[str], config: Config) -> list[list[str]]:
    """The methods in groups of which one map answers for all."""
    groups: list[tuple[Config, list[str]]] = []
    for name in names:
        training = _asked_as(config_for(name, config), config)
        alike = next((group for other, group in groups if other == training), None)
        if alike is None:
            groups.append((training, [name]))
        else:
            alike.append(name)
    return [group for _, group in groups]


def _asked_as(config: Config, other: Config) -> Config:
    """The configuration with the other's way to answer questions."""
    semantics = replace(config.semantics, object_field=other.semantics.object_field)
    return replace(config, queries=other.queries, semantics=semantics)


def _reports(
    names: Sequence[str], recording: Recording, config: Config, how: EvalOptions, step: Step
) -> dict[str, Report | None]:
    """Of methods that are trained alike, from one map; None for what failed."""
    reports: dict[str, Report | None] = dict.fromkeys(names)
    own_peak = forget_peak_memory()
    first, step = config_for(names[0], config), _named(names[0], step)
    with _logging_failure(names), mapped(recording, first, how, step) as built:
        if not own_peak:
            mapping = replace(built.report.mapping, peak_memory_mb=None)
            built = replace(built, report=replace(built.report, mapping=mapping))
        for name in names:
            asked = config_for(name, config)
            step(f"asking {name}")
            with _logging_failure([name]):
                built.field.retune(asked.queries, asked.semantics.object_field)
                reports[name] = built.answered(options_for(name, how))
    return reports


@contextmanager
def _logging_failure(names: Sequence[str]) -> Iterator[None]:
    """Whatever one method or one broken file does, the others go on."""
    try:
        yield
    except Exception as error:
        logger.exception("%s: no figures: %s", ", ".join(names), error)


def options_for(name: str, how: EvalOptions) -> EvalOptions:
    """The given options for one method: asked what it answers, with a picture of its own."""
    entry, pictures = ENTRIES[name], how.pictures
    if pictures is not None:
        pictures = pictures.with_stem(f"{pictures.stem}-{name}")
    asked = entry.asked
    return replace(how, refine=entry.refine, asked=asked, latency=False, pictures=pictures)


def _named(name: str, step: Step) -> Step:
    return lambda text, *done: step(f"{name}: {text}", *done)


def comparison_tree(source: str, reports: Mapping[str, Report | None]) -> dict[str, Any]:
    """{source, methods: {name: {paper, models, and the figures of `ROWS`}}}.

    A figure is None where the method failed, has no such answer, or nothing was measured.
    """
    methods = {name: _figures(name, report) for name, report in reports.items()}
    tree: dict[str, Any] = only_finite({"source": source, "methods": methods})
    return tree


def _figures(name: str, report: Report | None) -> dict[str, Any]:
    entry = ENTRIES[name]
    if report is None:
        return {"paper": entry.paper, "models": None, **{row.key: None for row in ROWS}}
    tree = report.to_dict()
    not_found = tree["absent"]["not_found_share"]
    return {
        "paper": entry.paper,
        "models": report.models,
        **tree["classes"],
        "view_mean_iou": tree["view_classes"]["mean_iou"],
        "view_mean_accuracy": tree["view_classes"]["mean_accuracy"],
        "panoptic_quality": None if report.panoptic is None else report.panoptic.quality,
        "view_click_iou": tree["views"]["pooled_iou"],
        "view_click_accuracy": tree["views"]["pooled_accuracy"],
        "view_text_iou": tree["text_views"]["mean_iou"],
        "view_localisation": tree["relevancy"]["localisation"],
        "click_iou": tree["click"]["mean_iou"],
        "text_iou": tree["text"]["mean_iou"],
        "localisation": tree["text"]["localisation"],
        "recall": tree["relevancy"]["recall"],
        "relevancy_distance": tree["relevancy"]["distance"],
        "false_positives": None if not_found is None else 1 - not_found,
        "teacher_iou": report.mapping.teacher_iou,
        "teacher_picture_iou": report.mapping.teacher_picture_iou,
        "picture_iou": report.mapping.picture_iou,
        "step_ms": None if entry.refine else report.method_ms.get(entry.trained),
        "seconds": report.mapping.seconds,
        "text_s": _mean_latency_s(report, "text"),
        "click_s": _mean_latency_s(report, "click"),
        "peak_memory_mb": report.mapping.peak_memory_mb,
    }


def _mean_latency_s(report: Report, kind: str) -> float | None:
    return mean([asked.latency_s for asked in report.asked if asked.kind == kind])


def comparison_table(tree: Mapping[str, Any]) -> Table:
    """A column per method of `compare`'s tree, a row per figure."""
    methods = tree["methods"]
    table = Table(title=f"{tree['source']} · {_models(methods.values())}", title_justify="left")
    table.add_column("")
    for name, figures in methods.items():
        table.add_column(f"{name}\n{figures['paper']}", justify="right")
    for row in ROWS:
        values = (figure(f[row.key], digits=row.digits) for f in methods.values())
        table.add_row(f"{row.heading}, {row.unit}" if row.unit else row.heading, *values)
    return table


def _models(methods: Iterable[Mapping[str, Any]]) -> str:
    return "; ".join(dict.fromkeys(f["models"] for f in methods if f["models"] is not None))
