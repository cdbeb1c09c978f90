"""The package's log on `/rosout`, for graphs without rclpy."""

from __future__ import annotations

import logging

from semantic_field_ros.ros.graph import Graph, Qos


class RosoutHandler(logging.Handler):
    """Publishes every record of the package's logger from level info up."""

    def __init__(self, graph: Graph) -> None:
        """Attaches itself."""
        super().__init__(logging.INFO)
        self._graph = graph
        self._publisher = graph.publisher(
            "rcl_interfaces/msg/Log", "/rosout", Qos(latched=True, depth=1000)
        )
        graph.log.addHandler(self)

    def detach(self) -> None:
        """Stops publishing."""
        self._graph.log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Sends one record; a graph that is closing loses it."""
        try:
            self._publisher.publish(self._message(record))
        except (RuntimeError, TypeError):
            self.handleError(record)

    def _message(self, record: logging.LogRecord) -> object:
        now_ns, make = self._graph.now_ns(), self._graph.message
        return make(
            "rcl_interfaces/msg/Log",
            stamp=make("builtin_interfaces/msg/Time", sec=now_ns // 10**9, nanosec=now_ns % 10**9),
            level=max(10, min(record.levelno // 10 * 10, 50)),
            name=self._graph.name.strip("/").replace("/", "."),
            msg=record.getMessage(),
            file=record.pathname,
            function=record.funcName or "",
            line=record.lineno,
        )
