"""Looks at the whole node once a period and tells everybody what it is worth."""

from __future__ import annotations

import dataclasses
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from semantic_field_ros import backends
from semantic_field_ros.ros.graph import Graph, Publication
from semantic_field_ros.ros.graph_part import GraphPart
from semantic_field_ros.ros.health import Observed, Physician, why_idle
from semantic_field_ros.ros.inputs import Inputs
from semantic_field_ros.ros.lifecycle import RESTING, TRANSIENT, Lifecycle
from semantic_field_ros.ros.reports import Reports
from semantic_field_ros.ros.self_check import frames_problem, observe_topics
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.stream.pairing import Dropped
from semantic_field_ros.stream.tally import Tally, total_counts

logger = logging.getLogger(__name__)

#: A transition that takes longer is worth a word; loading models and compiling are ordinary.
_SLOW_TRANSITION_S = 30.0
_FIGURES = re.compile(r"[-+]?\b\d+(\.\d+)?\b")


@dataclass(frozen=True)
class Listening:
    """What an active node listens to; all of it ends with `part`.

    Attributes:
        accepted_before, drops_before: frames of inputs before these, since the node became active.
    """

    part: GraphPart
    inputs: Inputs
    accepted_before: int = 0
    drops_before: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def accepted(self) -> int:
        """Frames handed to the map since the node became active."""
        return self.accepted_before + sum(camera.accepted for camera in self.inputs.cameras)

    def drops(self) -> dict[str, int]:
        """Frames dropped since then, by reason."""
        return dict(Counter(self.drops_before) + Counter(self.inputs.drops()))


class SelfReport:
    """Publishes status and diagnostics, and logs what keeps the node from mapping.

    Attributes:
        settings: those in force.
    """

    def __init__(
        self, graph: Graph, settings: NodeSettings, lifecycle: Lifecycle, refused: Iterable[Tally]
    ) -> None:
        """Announces the topics; `refused`: messages that have done nothing, besides cameras'."""
        self.settings = settings
        self._graph, self._lifecycle, self._refusals = graph, lifecycle, tuple(refused)
        self._reports, self._physician = Reports(graph, settings.map_frame), Physician()
        self._process = psutil.Process()
        self._kind, self._since_s, self._said = "", time.monotonic(), ""

    def send(self, field: Any | None, listening: Listening | None) -> str:
        """One look, one report; returns what keeps the node from mapping, empty if nothing.

        Args:
            field: the `SemanticField`, None while the node is not configured.
            listening: None while the node is not active.
        """
        seen = self._observe(field, listening)
        line = why_idle(seen)
        self._log(line, seen)
        self._reports.publish(seen, line, self._physician.examine(seen))
        return line

    def _observe(self, field: Any | None, listening: Listening | None) -> Observed:
        budget_mb = self.settings.memory_budget_mb or psutil.virtual_memory().total / 2**20
        about_inputs = {} if listening is None else self._inputs(listening)
        about_field = {} if field is None else _limits(field) | {"field": field.status()}
        return Observed(
            self._lifecycle.state,
            self._lifecycle.reason,
            self._graph.name,
            memory_mb=round(self._process.memory_info().rss / 2**20, 1),
            memory_budget_mb=round(budget_mb, 1),
            gpu_mb=backends.gpu_memory_mb(),
            refused=self._refused(listening),
            **about_field,
            **about_inputs,
        )

    def _refused(self, listening: Listening | None) -> dict[str, int]:
        heard = {} if listening is None else listening.inputs.refused()
        return heard | total_counts(self._refusals) | self._graph.refusals()

    def _inputs(self, listening: Listening) -> dict[str, Any]:
        inputs, part = listening.inputs, listening.part
        tf_error = inputs.pose_error()
        skews_s = [c.skew.newest_s for c in inputs.cameras if c.skew.newest_s is not None]
        return {
            "topics": tuple(
                observe_topics(
                    part.heard,
                    self._publications(),
                    self._graph.name,
                    inputs.depth_topics(),
                    inputs.infos,
                )
            ),
            "accepted": listening.accepted(),
            "drops": listening.drops(),
            "drop_advice": inputs.advice(),
            "pose_problem": self._pose_problem(inputs, tf_error),
            "last_tf_error": tf_error,
            "skew_s": max(skews_s, key=abs, default=None),
        }

    def _publications(self) -> Iterator[Publication]:
        """Asks for them when the first is wanted: with rclpy that is a call for each topic."""
        yield from self._graph.publications()

    def _pose_problem(self, inputs: Inputs, error: str) -> str:
        """Empty where frames are accepted, or dropped for other reasons by now."""
        cameras = inputs.cameras
        starve = all(camera.starves for camera in cameras)
        if not starve or all(c.tally.prevailing() != Dropped.NO_POSE for c in cameras):
            return ""
        frames = [camera.frame_id for camera in cameras]
        # Where a topic tells poses, tf need not know any of these frames.
        known: set[str] = self._graph.frames() if self.settings.pose_source == "tf" else set()
        return frames_problem(error, self.settings.map_frame, frames, known)

    def _log(self, line: str, seen: Observed) -> None:
        """Says a trouble once, when it has lasted for a while, and when it is over.

        It is the same one as long as the words are: stamps, ages and counts change all the time.
        A node that rests because nobody has told it to work is no trouble.
        """
        rests = seen.state in RESTING and not seen.reason
        patience_s = self.settings.self_check_s
        if seen.state in TRANSIENT:
            patience_s = max(patience_s, _SLOW_TRANSITION_S)
        now_s, kind = time.monotonic(), _FIGURES.sub("", line)
        if kind != self._kind:
            self._kind, self._since_s = kind, now_s
        if now_s - self._since_s < patience_s or kind == self._said:
            return
        level = logging.INFO if rests or not line else logging.WARNING
        trouble = line if seen.trains else f"nothing happens: {line}"
        logger.log(level, "%s", trouble if line else "all is well")
        self._said = kind


def _limits(field: Any) -> dict[str, Any]:
    """How many keyframes the first map needs, and how many may wait for features."""
    config = field.config
    to_fix_box = 0 if config.scene.box_m is not None else config.scene.keyframes_to_fix_box
    wanted = max(config.training.keyframes_to_start, to_fix_box)
    return {
        "keyframes_wanted": min(wanted, config.keyframes.capacity),
        "feature_queue": config.models.queue,
    }
