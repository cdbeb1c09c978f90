"""The node: declares, subscribes, converts, asks the map, publishes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from semantic_field_ros.geometry import transform_points
from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.queries.composition import parse
from semantic_field_ros.ros.corrections import PoseCorrections
from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.inputs import Inputs
from semantic_field_ros.ros.outputs import Outputs
from semantic_field_ros.ros.requests import lookup
from semantic_field_ros.ros.services import Services
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.stream.messages import stamp_ns

logger = logging.getLogger(__name__)

DEFAULT_NAME = "semantic_field"


class SemanticFieldNode:
    """Connects a `SemanticField` with a graph; both are owned, and closed, by the caller.

    Attributes:
        inputs: cameras, with their counters.
        outputs: publishers.
        services: what others may ask.
        corrections: of poses, that come late.
    """

    def __init__(self, graph: Graph, field: Any, settings: NodeSettings, map_folder: str) -> None:
        """Announces the node's topics and services and starts to map.

        Args:
            graph: the node's name and place in the ROS graph.
            field: a `SemanticField`.
            settings: from `declare_settings`.
            map_folder: where maps are saved and loaded.
        """
        self._graph, self._field, self._settings = graph, field, settings
        self.inputs = Inputs(graph, settings, field.ingest)
        self.outputs = Outputs(graph, settings.map_frame, self.inputs.newest)
        self.services = Services(
            graph, field, self.outputs, settings.map_frame, Path(map_folder).expanduser()
        )
        self.corrections = PoseCorrections(
            graph, field, settings.map_frame, self.inputs.trajectory, self.outputs.run
        )
        graph.subscribe("geometry_msgs/msg/PointStamped", "clicked_point", self._on_click)
        graph.subscribe("std_msgs/msg/String", "~/text_query", self._on_text)
        if settings.load:
            field.load(self.services.path_of(settings.load))
        field.start()
        self._report_done, self._closed = True, False
        graph.timer(settings.status_period_s, self._on_timer)
        logger.info("%s maps in frame %s", graph.name, settings.map_frame)

    def close(self) -> None:
        """Finishes what is being answered and published; no report comes after it."""
        self._closed = True
        self.services.book.close()
        self.outputs.close()

    def _on_click(self, message: Any) -> None:
        self.outputs.run(self._click, message)

    def _on_text(self, message: Any) -> None:
        self.outputs.run(self._text, message)

    def _click(self, message: Any) -> None:
        header, point = message.header, message.point
        frame = header.frame_id or self._settings.map_frame
        world_from_frame = lookup(
            self._graph, self._settings.map_frame, frame, stamp_ns(header.stamp) or None
        )
        clicked = np.array([[point.x, point.y, point.z]])
        points = transform_points(world_from_frame, clicked).astype(np.float32)
        answer = self.services.ask_click(ClickQuery(points_world=points))
        logger.info("clicked %s: %s", points[0].round(3).tolist(), answer.reason or "found")

    def _text(self, message: Any) -> None:
        answer = self.services.ask_text(parse(message.data))
        logger.info("asked for %r: %s", message.data, answer.reason or "found")

    def _on_timer(self) -> None:
        """Reports from the publishing thread, never twice at a time."""
        if self._report_done and not self._closed:
            self._report_done = False
            self.outputs.run(self._report)

    def _report(self) -> None:
        try:
            inputs = {
                "accepted": sum(camera.accepted for camera in self.inputs.cameras),
                "drops": self.inputs.drops(),
                "advice": self.inputs.advice(),
            }
            self.corrections.announce()
            self.outputs.surface(self._field.surface())
            self.outputs.status(self._field.status(), inputs)
        finally:
            self._report_done = True
