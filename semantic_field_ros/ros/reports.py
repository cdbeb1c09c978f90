"""`~/status` and `/diagnostics`: what the node says of itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.ros.health import Health, Observed
from semantic_field_ros.ros.messages import header_message

#: Keys of `SemanticField.status()` that have a field of their own in Status.msg.
_COUNTS = ("map_version", "keyframes", "steps", "feature_backlog", "surface_points")
_FIGURES = ("psnr_db", "loss", "steps_per_s")
_ELSEWHERE = {"state", "message", "queries", "memory_mb", *_COUNTS, *_FIGURES}


class Reports:
    """Publishes observations.

    Args:
        graph: the node.
        map_frame: frame of the map.
    """

    def __init__(self, graph: Graph, map_frame: str) -> None:
        self._graph, self._make, self._map_frame = graph, graph.message, map_frame
        self._status = graph.publisher("semantic_field_ros/msg/Status", "~/status", LATCHED)
        self._diagnostics = graph.publisher("diagnostic_msgs/msg/DiagnosticArray", "/diagnostics")

    def publish(self, seen: Observed, message: str, parts: Sequence[Health]) -> None:
        """Sends both.

        Args:
            seen: what was observed.
            message: why nothing happens, or empty.
            parts: what each part is worth.
        """
        self._status.publish(self._status_message(seen, message))
        make = self._make
        statuses = [
            make(
                "diagnostic_msgs/msg/DiagnosticStatus",
                level=part.level,
                name=f"{self._graph.name.strip('/')}: {part.part}",
                message=part.message,
                hardware_id=self._graph.name,
                values=self._pairs(part.values),
            )
            for part in parts
        ]
        self._diagnostics.publish(
            make("diagnostic_msgs/msg/DiagnosticArray", header=self._header(), status=statuses)
        )

    def _status_message(self, seen: Observed, message: str) -> Any:
        field = seen.field
        queries: dict[str, Any] = field.get("queries") or {}
        topics = [
            self._make(
                "semantic_field_ros/msg/TopicStatus",
                topic=topic.topic,
                type=topic.type_name,
                rate_hz=topic.rate_hz,
                age_s=_or_nan(topic.age_s),
                publishers=topic.publishers,
                problem=topic.problem,
            )
            for topic in seen.topics
        ]
        figures = {name: _or_nan(field.get(name)) for name in ("psnr_db", "loss")}
        return self._make(
            "semantic_field_ros/msg/Status",
            header=self._header(),
            state=seen.label,
            message=message,
            frames_accepted=seen.accepted,
            frames_dropped=sum(seen.drops.values()),
            drops=self._pairs(seen.drops),
            topics=topics,
            stamp_skew_s=_or_nan(seen.skew_s),
            last_tf_error=seen.last_tf_error,
            steps_per_s=float(field.get("steps_per_s") or 0.0),
            memory_mb=seen.memory_mb,
            memory_budget_mb=seen.memory_budget_mb,
            queries=int(queries.get("asked") or 0),
            query_latency_s=_or_nan(queries.get("latency_last_s")),
            details=self._pairs(
                {k: v for k, v in field.items() if k not in _ELSEWHERE}
                | {f"refused: {reason}": count for reason, count in seen.refused.items()}
            ),
            **figures,
            **{key: int(field.get(key) or 0) for key in _COUNTS},
        )

    def _pairs(self, values: dict[str, Any]) -> list[Any]:
        return [
            self._make("diagnostic_msgs/msg/KeyValue", key=str(key), value=str(value))
            for key, value in values.items()
        ]

    def _header(self) -> Any:
        return header_message(self._make, self._map_frame, self._graph.now_ns())


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
