"""How long answers take on a surface of a fixed size while training goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.measured_field import MeasuredField
from semantic_field_ros.evaluation.phrases import new_phrases
from semantic_field_ros.evaluation.questions import vocabulary_of
from semantic_field_ros.evaluation.report import Latency, measured_latency
from semantic_field_ros.evaluation.streaming import Run
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import SurfaceCloud

SURFACE_POINTS = 200_000
TEXT_QUERIES = 50


def measure_latency(field: MeasuredField, run: Run, seed: int) -> Latency:
    """Asks phrases that were never asked, and random pixels of random keyframes, in turn.

    Training goes on, and pays for what is prepared for every snapshot; whenever it has published
    a new one, the next question is about that.
    """
    rng = np.random.default_rng(seed + 1)
    phrases = new_phrases(vocabulary_of(None), TEXT_QUERIES, rng)
    text_s, click_s = [], []
    snapshot = fixed_snapshot(field)
    for phrase in phrases:
        text_s.append(field.timed_text(snapshot, TextQuery(phrase)))
        click_s.append(field.timed_click(snapshot, _random_click(run, rng)))
        if field.status()["map_version"] != snapshot.map_version:
            snapshot = fixed_snapshot(field)
    return measured_latency(text_s, click_s, SURFACE_POINTS)


def _random_click(run: Run, rng: np.random.Generator) -> ClickQuery:
    frame = run.kept[int(rng.integers(len(run.kept)))]
    size = np.array([frame.camera.width, frame.camera.height])
    pixel = np.floor(rng.uniform(0.1, 0.9, (1, 2)) * size).astype(np.float32)
    return ClickQuery(pixels=pixel, camera_name=frame.camera_name, stamp_ns=frame.stamp_ns)


def fixed_snapshot(field: MeasuredField) -> Snapshot:
    """The newest snapshot with exactly `SURFACE_POINTS` points, prepared as for publishing."""
    snapshot = field.newest()
    return replace(snapshot, surface=resampled(snapshot.surface, SURFACE_POINTS)).prepare()


def resampled(surface: SurfaceCloud, count: int, seed: int = 0) -> SurfaceCloud:
    """The surface with exactly `count` points: a random part of it, or all of it and repeats.

    Repeated points are moved within half their distance to the next one, as a finer sampling
    would have them.

    Raises:
        ValueError: the surface is empty.
    """
    have = len(surface.points)
    if have == 0:
        raise ValueError("an empty surface cannot be resampled")
    rng = np.random.default_rng(seed)
    if have >= count:
        index = np.sort(rng.choice(have, count, replace=False))
    else:
        index = np.sort(np.concatenate([np.arange(have), rng.integers(0, have, count - have)]))
    points = surface.points[index]
    repeats = np.flatnonzero(np.diff(index, prepend=-1) == 0)
    points[repeats] += _tangent_noise(surface, index[repeats], rng)
    features = {name: values[index] for name, values in surface.features.items()}
    return replace(
        surface,
        points=points,
        normals=surface.normals[index],
        rgb=surface.rgb[index],
        spacing_m=surface.spacing_m[index],
        features=features,
        enclosing=None if surface.enclosing is None else surface.enclosing[index],
    )


def _tangent_noise(
    surface: SurfaceCloud, index: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    reach = surface.spacing_m[index, None] / 2
    noise = rng.uniform(-reach, reach, (len(index), 3)).astype(np.float32)
    normals = surface.normals[index]
    return noise - (noise * normals).sum(axis=1, keepdims=True) * normals
