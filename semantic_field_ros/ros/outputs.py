"""What the node publishes of its map: the surface and answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.answers import (
    answer_cloud,
    answer_detections,
    answer_labels,
    answer_markers,
)
from semantic_field_ros.ros.clouds import LabelledCloud, cloud_message
from semantic_field_ros.ros.graph import LATCHED, Graph
from semantic_field_ros.ros.messages import header_message, image_message
from semantic_field_ros.ros.overlay import paint_masks
from semantic_field_ros.ros.worker import Job, Worker
from semantic_field_ros.types import PosedFrame, QueryAnswer, SurfaceCloud

_NOTHING = QueryAnswer(False, "there is no map", [], 0.0, 0.0, 0, 0)


class Outputs:
    """Publishers, fed from one thread of their own so that nobody waits for them."""

    def __init__(
        self,
        graph: Graph,
        map_frame: str,
        image_of: Callable[[NDArray[np.float32]], tuple[PosedFrame, str] | None],
    ) -> None:
        """`image_of`: an image that shows (N, 3) map points, if one does, and its frame."""
        self._graph, self._make, self._map_frame = graph, graph.message, map_frame
        self._image_of = image_of
        self._waiting: deque[QueryAnswer] = deque(maxlen=1)
        self._surface_version = 0
        self._painted: Any = None  # header of the overlay that is shown
        self._worker = Worker("publishing")
        self._surface = graph.publisher("sensor_msgs/msg/PointCloud2", "~/surface", LATCHED)
        self._points = graph.publisher("sensor_msgs/msg/PointCloud2", "~/answer/points", LATCHED)
        self._markers = graph.publisher(
            "visualization_msgs/msg/MarkerArray", "~/answer/markers", LATCHED
        )
        self._detections = graph.publisher(
            "vision_msgs/msg/Detection3DArray", "~/answer/detections", LATCHED
        )
        self._labels = graph.publisher("vision_msgs/msg/LabelInfo", "~/answer/labels", LATCHED)
        self._overlay = graph.publisher("sensor_msgs/msg/Image", "~/answer/overlay", LATCHED)

    def run(self, job: Job) -> None:
        """Runs a short job in the publishing thread, see `Worker`."""
        self._worker.run(job)

    def answer(self, answer: QueryAnswer) -> None:
        """Publishes an answer in the map frame, soon; of several that wait only the last."""
        self._waiting.append(answer)
        self.run(self._publish_answer)

    def surface(self, surface: SurfaceCloud | None) -> None:
        """Publishes the surface if it is a new version; without one, what was shown is emptied."""
        version = 0 if surface is None else surface.map_version
        if version == self._surface_version:
            return
        self._surface_version = version
        points = np.zeros((0, 3), np.float32) if surface is None else surface.points
        rgb = np.zeros((0, 3), np.uint8) if surface is None else surface.rgb
        count = len(points)
        cloud = LabelledCloud(points, rgb, np.zeros(count, np.uint32), np.zeros(count, np.float32))
        self._surface.publish(cloud_message(self._make, self._header(), cloud))
        if surface is None:
            self._show(_NOTHING)

    def close(self) -> None:
        """Publishes what waits, then stops."""
        self._worker.close()

    def _publish_answer(self) -> None:
        if self._waiting:  # else an earlier turn has shown it
            self._show(self._waiting.pop())

    def _show(self, answer: QueryAnswer) -> None:
        make, frame = self._make, self._map_frame
        self._points.publish(answer_cloud(make, answer, frame))
        self._markers.publish(answer_markers(make, answer, frame))
        self._detections.publish(answer_detections(make, answer, frame))
        self._labels.publish(answer_labels(make, answer, frame))
        self._show_overlay(answer)

    def _show_overlay(self, answer: QueryAnswer) -> None:
        """Where no image is known, black in the place of the picture of an older answer."""
        best = answer.masks[0].points if answer.masks else np.zeros((0, 3), np.float32)
        seen = self._image_of(best)
        if seen is not None:
            image, optical_frame = seen
            header = header_message(self._make, optical_frame, image.stamp_ns)
            painted = paint_masks(image, answer.masks)
            self._overlay.publish(image_message(self._make, header, painted, "rgb8"))
            self._painted = header
        elif self._painted is not None:
            black = np.zeros((1, 1, 3), np.uint8)
            self._overlay.publish(image_message(self._make, self._painted, black, "rgb8"))
            self._painted = None

    def _header(self) -> Any:
        return header_message(self._make, self._map_frame, self._graph.now_ns())
