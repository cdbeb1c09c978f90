"""The façade with its inside open, for measurements of what no user asks for."""

from __future__ import annotations

import time
from collections.abc import Callable

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.teacher import TeacherIou, compare_with_teacher
from semantic_field_ros.models.base import Image, Segmenter
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import PosedFrame, QueryAnswer


class MeasuredField(SemanticField):
    """A `SemanticField` whose snapshots and 2D models can be looked at."""

    @property
    def segmenter(self) -> Segmenter:
        """The segmenter that it looks at keyframes with."""
        return self._segmenter

    def newest(self) -> Snapshot:
        """The newest snapshot.

        Raises:
            RuntimeError: there is none yet.
        """
        snapshot = self._worker.snapshot()
        if snapshot is None:
            raise RuntimeError("only a map can be measured, and there is none yet")
        return snapshot

    def timed_text(self, snapshot: Snapshot, query: TextQuery) -> float:
        """Seconds that an answer on the snapshot takes."""
        return _timed(lambda: self._answering.text(snapshot, query))

    def timed_click(self, snapshot: Snapshot, query: ClickQuery) -> float:
        """Seconds that an answer on the snapshot takes."""
        return _timed(lambda: self._answering.click(snapshot, query))

    def teacher_iou(self, frame: PosedFrame, picture: Image) -> TeacherIou:
        """How well rendered features of a view stand in for the segmenter's own.

        Args:
            frame: the captured view.
            picture: (H, W, 3) u8 that the map renders of it.
        """
        imitated = self.render_embedding(frame.camera, frame.world_from_camera)
        return compare_with_teacher(self._segmenter, imitated, frame.rgb, picture)


def _timed(ask: Callable[[], QueryAnswer]) -> float:
    start = time.perf_counter()
    ask()
    return time.perf_counter() - start
