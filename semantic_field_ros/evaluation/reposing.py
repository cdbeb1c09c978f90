"""How soon the map is right again after a loop closure has moved poses by 30 cm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from semantic_field_ros.config import Config
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.ground_truth import WorldTruth, sample_surface, spacing_for
from semantic_field_ros.evaluation.metrics import TrueSurface
from semantic_field_ros.evaluation.streaming import check_alive, stream_into, wait_until
from semantic_field_ros.evaluation.views import ViewErrors, compare_view
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.stream.synthetic.scene import Kind
from semantic_field_ros.types import PosedFrame

#: what odometry loses in the middle of the way, metres in the map frame.
JUMP_M = (0.24, 0.18, 0.0)
#: training after the last frame, and between the correction and each measurement, seconds.
SETTLE_S = 25.0
MEASURED_AFTER_S = (10.0, 20.0, 30.0, 45.0, 60.0)
#: one frame in this many is held out.
HOLDOUT = Holdout.one_in(8)
#: true surface counts as mapped if some of the map is this near, metres.
NEAR_M = 0.03


def reposing() -> dict[str, Any]:
    """The bar: a table that no model and no tuning saw."""
    return measure_reposing("table", 911)


def measure_reposing(kind: Kind, seed: int, config: Config | None = None) -> dict[str, Any]:
    """Maps a world whose second half is 30 cm off, corrects the poses, and looks again and again.

    Returns:
        "before" the correction and "after" it by seconds: mean, median and 90 % quantile of the
        distance from the map's surface to the true one, metres, and mapped_share, that of the true
        surface within 3 cm of the map. "last" is the last of them, with depth_median_m and psnr_db
        of held-out views.
    """
    source = SyntheticSource(kind, seed)
    truth = WorldTruth(source)
    frames = list(source)
    seen = [truth.of(frame) for frame in frames]
    surface = sample_surface(seen, spacing_for(seen))
    right = {frame.stamp_ns: frame.world_from_camera for frame in frames}
    with SemanticField(config or Config()) as field:
        run = stream_into(field, _with_jump(frames), HOLDOUT)
        wait_until(run, run.elapsed_s() + SETTLE_S)
        run.held_out = [replace(f, world_from_camera=right[f.stamp_ns]) for f in run.held_out]
        figures: dict[str, Any] = {"before": _errors(field, surface), "after": {}}
        field.update_poses({v.keyframe_id: right[v.stamp_ns] for v in field.keyframes()})
        corrected_s = run.elapsed_s()
        for seconds in MEASURED_AFTER_S:
            wait_until(run, corrected_s + seconds)
            check_alive(field.status())
            figures["last"] = figures["after"][f"{seconds:.0f}_s"] = _errors(field, surface)
        field.pause()
        views = _view_errors(field, run.held_out, truth)
        seen_now = {"depth_median_m": views.depth_median_m(), "psnr_db": views.psnr_db()}
        return figures | {"last": figures["last"] | seen_now}


def _with_jump(frames: list[PosedFrame]) -> Iterator[PosedFrame]:
    """The frames, from the middle on where lost odometry puts them."""
    wrong_from_right = np.eye(4)
    wrong_from_right[:3, 3] = JUMP_M
    for index, frame in enumerate(frames):
        if index < len(frames) // 2:
            yield frame
        else:
            yield replace(frame, world_from_camera=wrong_from_right @ frame.world_from_camera)


def _errors(field: SemanticField, surface: TrueSurface) -> dict[str, float]:
    mapped = field.surface()
    if mapped is None:
        return {}
    distance_m, _ = cKDTree(surface.points).query(mapped.points)
    covered_m, _ = cKDTree(mapped.points).query(surface.points)
    return {
        "surface_mean_m": float(distance_m.mean()),
        "surface_median_m": float(np.median(distance_m)),
        "surface_p90_m": float(np.quantile(distance_m, 0.9)),
        "mapped_share": float((covered_m <= NEAR_M).mean()),
    }


def _view_errors(
    field: SemanticField, frames: Iterable[PosedFrame], truth: WorldTruth
) -> ViewErrors:
    errors = ViewErrors()
    for frame in frames:
        pose = frame.world_from_camera
        rendered = field.render(frame.camera, pose, "rgb").astype(np.float32) / 255
        errors.add(compare_view(frame, rendered, field.render(frame.camera, pose, "depth"), truth))
    return errors
