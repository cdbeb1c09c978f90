"""How well features are imitated, and what camera augmentation adds (SAN, Chen et al. 2023).

On one map a table: its own imitation, learnt from every keyframe while the map came about, and as
in the paper imitations learnt on the finished map: from every keyframe and views between them,
from every fourth keyframe, and from those and views between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import Config
from semantic_field_ros.evaluation.comparison import config_for
from semantic_field_ros.evaluation.measured_field import MeasuredField
from semantic_field_ros.evaluation.method_bars import STEPS, TABLES, error_removed
from semantic_field_ros.evaluation.run import EvalOptions, mapped, open_recording
from semantic_field_ros.evaluation.subcommands import Tree, mean_tree
from semantic_field_ros.evaluation.teacher import compare_with_teacher
from semantic_field_ros.geometry import interpolate_pose
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.models.base import Image
from semantic_field_ros.semantics.base import MethodSetup
from semantic_field_ros.semantics.sam_features import SamFeatures
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.training.imagination import neighbouring_views, render_view
from semantic_field_ros.types import FrameFeatures, ImaginedView, Keyframe, PosedFrame

#: one keyframe in this many is learnt from where there are few, and so many views between them.
EVERY, BETWEEN = 4, 48
#: steps of an imitation that is learnt on the finished map.
LEARNING_STEPS = 2000

Render = Callable[[PosedFrame], NDArray[np.float16]]


def imitation() -> Tree:
    """Mean figures of the tables, and the share of the error that camera augmentation removes."""
    tables = [measured(seed) for seed in TABLES]
    teachers = ("captured", "picture")
    removed = {name: error_removed(tables, name, "few", "few_augmented") for name in teachers}
    return mean_tree(tables) | {"error_removed": removed}


def measured(seed: int) -> Tree:
    """The fields of `TeacherIou` on the held-out views of one table, for each imitation."""
    recording = open_recording(SyntheticSource("table", seed))
    how = EvalOptions(steps=STEPS, latency=False)
    with mapped(recording, config_for(SamFeatures.name, Config()), how, _quiet) as built:
        field, figures = built.field, built.report.mapping
        exam = Exam.of(field, built.run.held_out)
        every = field.keyframes()
        few = every[::EVERY]
        return {
            "mapping": {
                "captured": figures.teacher_iou,
                "picture": figures.teacher_picture_iou,
                "without": figures.picture_iou,
            },
            "finished": exam.marks(learnt(field, every, views_between(field, every))),
            "few": exam.marks(learnt(field, few)),
            "few_augmented": exam.marks(learnt(field, few, views_between(field, few))),
        }


def _quiet(*_: object) -> None:
    """Nobody is told how far the map is."""


@dataclass(frozen=True)
class Exam:
    """Views that were never learnt from.

    Attributes:
        field: that they are rendered from, paused.
        views: as captured, and the map's picture of each.
    """

    field: MeasuredField
    views: tuple[tuple[PosedFrame, Image], ...]

    @classmethod
    def of(cls, field: MeasuredField, frames: Sequence[PosedFrame]) -> Exam:
        """With the map's pictures of some frames."""
        pictures = (field.render(f.camera, f.world_from_camera, "rgb") for f in frames)
        return cls(field, tuple(zip(frames, pictures, strict=True)))

    def marks(self, render: Render) -> Tree:
        """The mean `TeacherIou` of what renders embeddings."""
        segmenter = self.field.segmenter
        ious = [
            compare_with_teacher(segmenter, render(frame), frame.rgb, picture)
            for frame, picture in self.views
        ]
        return mean_tree([asdict(iou) for iou in ious])


def learnt(
    field: MeasuredField, keyframes: Sequence[KeyframeView], between: Sequence[ImaginedView] = ()
) -> Render:
    """An imitation that is learnt on the finished map."""
    config, snapshot, segmenter = field.config, field.newest(), field.segmenter
    setup = MethodSetup(
        snapshot.field.bounds.unit_from_world,
        config.field.backend,
        config.surface.voxel_m,
        segmenter.layout,
        language_dim=0,
        seed=config.training.seed,
    )
    method = SamFeatures(replace(config.semantics.sam_features, imagined_views=BETWEEN), setup)
    for view in keyframes:
        frame = field.keyframe(view.keyframe_id)
        if frame is not None:
            features = looked_at(field, frame.rgb)
            method.observe(Keyframe(view.keyframe_id, frame, features))
    method.step(snapshot.quadrature)  # views are imagined only beside captured ones
    for imagined in between:
        method.imagine(imagined, looked_at(field, imagined.rgb))
    for _ in range(LEARNING_STEPS - 1):
        method.step(snapshot.quadrature)
    frozen = method.freeze()
    return lambda f: frozen.render_embedding(f.camera, f.world_from_camera, snapshot.quadrature)


def looked_at(field: MeasuredField, image: Image) -> FrameFeatures:
    """The embedding alone."""
    return FrameFeatures(field.segmenter.embed(image), (), np.zeros((0, 0), np.float16))


def views_between(
    field: MeasuredField, keyframes: Sequence[KeyframeView], seed: int = 0
) -> list[ImaginedView]:
    """`BETWEEN` views between random neighbours, but for those that show too little."""
    rng, views = np.random.default_rng(seed), []
    for _ in range(BETWEEN):
        pair = neighbouring_views(keyframes, rng)
        if pair is not None:
            first, second = (view.world_from_camera for view in pair)
            pose = interpolate_pose(first, second, float(rng.uniform()))
            scene = field.newest().field
            views.append(render_view(scene, pair[0].camera, pose, interrupted=lambda: False))
    return [view for view in views if view is not None]
