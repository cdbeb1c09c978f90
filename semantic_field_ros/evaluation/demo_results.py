"""What the demo makes of the answers: figures and a picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.asking import answer_indices, caption
from semantic_field_ros.evaluation.clicks import Click
from semantic_field_ros.evaluation.demo_session import DemoSession, normals_towards
from semantic_field_ros.evaluation.ground_truth import (
    GroundTruth,
    WorldTruth,
    sample_surface,
    spacing_for,
)
from semantic_field_ros.evaluation.metrics import iou_3d, register
from semantic_field_ros.evaluation.processes import Child
from semantic_field_ros.evaluation.report import Asked, Mapping
from semantic_field_ros.evaluation.views import ViewErrors, compare_view
from semantic_field_ros.ros.clouds import LabelledCloud
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PosedFrame, QueryAnswer, SurfaceCloud
from semantic_field_ros.viewer.pictures import Answered, answer_sheet, best_view
from semantic_field_ros.viewer.raster import spacing_of


@dataclass(frozen=True)
class Scene:
    """What the demo knows of the world, to choose questions and to judge.

    Attributes:
        shown: the frames that are replayed.
        held_out: those that are not.
    """

    source: SyntheticSource
    truth: WorldTruth
    shown: tuple[PosedFrame, ...]
    held_out: tuple[PosedFrame, ...]


@dataclass(frozen=True)
class Live:
    """The running demo; `started_s` is `time.monotonic()` of the first frame."""

    session: DemoSession
    node: Child
    scene: Scene
    started_s: float

    def elapsed_s(self) -> float:
        """Seconds since the first frame."""
        return time.monotonic() - self.started_s


@dataclass(frozen=True)
class Told:
    """A question, what came back, the surface that it indexes, and how long the caller waited.

    Attributes:
        ids: what would be right; empty for what is absent.
        click: where, for a click.
    """

    kind: str
    prompt: str
    ids: tuple[int, ...]
    answer: QueryAnswer
    surface: LabelledCloud
    latency_s: float
    click: Click | None = None

    def indices(self) -> NDArray[np.int64]:
        """All surface points of the answer."""
        return answer_indices(self.answer)

    def view(self, shown: Sequence[PosedFrame]) -> PosedFrame:
        """The frame that was clicked, else the one that shows most of the answer."""
        if self.click is None:
            return best_view(shown, self.surface.points[self.indices()])
        stamp_ns = self.click.stamp_ns
        return next(frame for frame in shown if frame.stamp_ns == stamp_ns)


def measure(live: Live, seconds: float, on_view: Callable[[], None]) -> Mapping:
    """Renders the held-out views through the node's service and compares them."""
    errors = ViewErrors()
    for frame in live.scene.held_out:
        rendered = live.session.render(frame, "rgb").astype(np.float32) / 255
        depth_m = live.session.render(frame, "depth").astype(np.float32)
        errors.add(compare_view(frame, rendered, depth_m, live.scene.truth))
        on_view()
    status = live.session.status()
    return Mapping(
        frames=int(status.frames_accepted),
        keyframes=int(status.keyframes),
        steps=int(status.steps),
        seconds=seconds,
        psnr_db=errors.psnr_db(),
        psnr_fitted_db=errors.psnr_fitted_db(),
        depth_median_m=errors.depth_median_m(),
        peak_memory_mb=live.node.peak_memory_mb(),
        held_out=len(live.scene.held_out),
    )


def judge(told: Sequence[Told], truth: GroundTruth, shown: Sequence[PosedFrame]) -> list[Asked]:
    """Compares with all surface that any streamed frame saw (at least what keyframes saw)."""
    views = [truth.at(frame.stamp_ns) for frame in shown]
    surface = sample_surface(views, spacing_for(views))
    links = {key: register(cloud.points, surface) for key, cloud in _surfaces(told).items()}
    return [
        Asked(
            kind=item.kind,
            prompt=item.prompt,
            present=bool(item.ids),
            found=item.answer.found,
            score=item.answer.score,
            iou=iou_3d(item.indices(), item.ids, surface, links[id(item.surface)])
            if item.ids
            else None,
            latency_s=item.latency_s,
        )
        for item in told
    ]


def _surfaces(told: Sequence[Told]) -> dict[int, LabelledCloud]:
    """Each of the surfaces that were asked, by its `id`; what answers need of it takes long."""
    return {id(item.surface): item.surface for item in told}


def sheet(
    name: str,
    mapping: Mapping,
    told: Sequence[Told],
    judged: Sequence[Asked],
    shown: Sequence[PosedFrame],
) -> NDArray[np.uint8]:
    """All answers in one picture."""
    eyes = np.stack([frame.world_from_camera[:3, 3] for frame in shown])
    surfaces = {key: _with_normals(cloud, eyes) for key, cloud in _surfaces(told).items()}
    rows = []
    for item, asked in zip(told, judged, strict=True):
        surface, pixel = surfaces[id(item.surface)], item.click.pixel if item.click else None
        looks = *caption(asked), item.view(shown), surface
        rows.append(Answered(*looks, item.indices(), pixel))
    note = (
        f"{mapping.frames} frames, {mapping.keyframes} keyframes, mapped for "
        f"{mapping.seconds:.0f} s while being asked"
    )
    return answer_sheet(f"Answers from {name}", note, rows)


def _with_normals(cloud: LabelledCloud, eyes: NDArray[np.floating]) -> SurfaceCloud:
    normals, spacing_m = normals_towards(cloud.points, eyes), spacing_of(cloud.points)
    return SurfaceCloud(cloud.points, normals, cloud.rgb, spacing_m)
