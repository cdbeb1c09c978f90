"""What lies at the points that RViz publishes, asked once tf tells where they are."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import transform_points
from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.ros.graph import Cancel, Graph, TransformError
from semantic_field_ros.ros.requests import world_from_header
from semantic_field_ros.ros.services import Services
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.ros.worker import Job

logger = logging.getLogger(__name__)

_RETRY_PERIOD_S = 0.05
#: Clicks that may wait for their transforms.
_MOST_WAITING = 8


class Clicks:
    """Answers `clicked_point`.

    RViz stamps a click with the present, of which tf tells a little later: a click waits for its
    transform as long as a frame does, and no callback waits with it.
    """

    def __init__(
        self,
        graph: Graph,
        services: Services,
        settings: Callable[[], NodeSettings],
        ask: Callable[[Job], None],
    ) -> None:
        """Subscribes.

        Args:
            graph: the node.
            services: answer, and show the answer.
            settings: tells those in force.
            ask: has a question answered in another thread than the callbacks'.
        """
        self._graph, self._services = graph, services
        self._settings, self._ask = settings, ask
        self._waiting: list[tuple[float, Any]] = []
        self._end_timer: Cancel | None = None
        graph.subscribe("geometry_msgs/msg/PointStamped", "clicked_point", self._on_click)

    def close(self) -> None:
        """Waits for no transform any more."""
        if self._end_timer is not None:
            self._end_timer()

    def _on_click(self, message: Any) -> None:
        self._waiting.append((time.monotonic() + self._settings().tf_timeout_s, message))
        if len(self._waiting) > _MOST_WAITING:  # the oldest is told what is missing
            self._ask(partial(self._answer, self._waiting.pop(0)[1]))
        self._retry()

    def _retry(self) -> None:
        """Asks what need not wait any more; a timer runs as long as something does."""
        now_s, waiting, self._waiting = time.monotonic(), self._waiting, []
        for until_s, message in waiting:
            if now_s < until_s and self._may_still_come(message):
                self._waiting.append((until_s, message))
            else:
                self._ask(partial(self._answer, message))
        if self._waiting and self._end_timer is None:
            self._end_timer = self._graph.timer(_RETRY_PERIOD_S, self._retry)
        elif not self._waiting and self._end_timer is not None:
            self._end_timer()
            self._end_timer = None

    def _may_still_come(self, message: Any) -> bool:
        """Whether where the click is, is not known and may become so."""
        try:
            self._world_from_frame(message.header)
        except TransformError as error:
            return error.may_still_come
        except ValueError:  # whoever asks hears of it
            return False
        return False

    def _answer(self, message: Any) -> None:
        point = np.array([message.point.x, message.point.y, message.point.z])

        def query() -> ClickQuery:
            moved = transform_points(self._world_from_frame(message.header), point[None])
            return ClickQuery(points_world=moved.astype(np.float32))

        answer = self._services.ask_click(query)
        at = f"{point.round(3).tolist()} in {message.header.frame_id!r}"
        logger.info("clicked %s: %s", at, answer.reason or "found")

    def _world_from_frame(self, header: Any) -> NDArray[np.float64]:
        """(4, 4), or a TransformError or ValueError."""
        return world_from_header(self._graph, self._settings().map_frame, header, patience_s=0)
