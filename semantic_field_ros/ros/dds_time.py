"""Time and transforms of a node without rclpy: `/clock`, `/tf` and `/tf_static`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from semantic_field_ros.ros.graph import TF_CACHE, Cancel, Graph, Qos
from semantic_field_ros.stream.messages import matrix_from_transform, stamp_ns
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.stream.tf_tree import TfTree

logger = logging.getLogger(__name__)


class RosClock:
    """The system's clock, or `/clock` once `follow` was called."""

    def __init__(self) -> None:
        self._simulated_ns: int | None = None
        self._subscribed = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def follow(self, graph: Graph, simulated: bool) -> None:
        """Switches between `/clock` (at 0 until its first message) and the system's clock."""
        with self._lock:
            self._simulated_ns = 0 if simulated else None
            subscribe = simulated and not self._subscribed
            self._subscribed |= subscribe
        if subscribe:
            qos = Qos(reliable=False, depth=1)
            graph.subscribe("rosgraph_msgs/msg/Clock", "/clock", self._on_clock, qos)

    def now_ns(self) -> int:
        """Nanoseconds since 1970, or simulated."""
        simulated_ns = self._simulated_ns
        return time.time_ns() if simulated_ns is None else simulated_ns

    def on_jump(self, callback: Callable[[], None]) -> Cancel:
        """Calls back when simulated time goes backwards."""
        self._callbacks = [*self._callbacks, callback]
        return lambda: self._forget(callback)

    def _forget(self, callback: Callable[[], None]) -> None:
        self._callbacks = [other for other in self._callbacks if other != callback]

    def _on_clock(self, message: Any) -> None:
        clock_ns = stamp_ns(message.clock)
        with self._lock:
            if self._simulated_ns is None:
                return
            jumped = clock_ns < self._simulated_ns
            self._simulated_ns = clock_ns
        if jumped:
            logger.warning("the clock jumped back to %.3f s", clock_ns / 1e9)
            for callback in self._callbacks:
                try:
                    callback()
                except Exception:
                    logger.exception("a callback failed")


class TfListener:
    """Keeps what `/tf` and `/tf_static` say in a tree."""

    def __init__(self, graph: Graph) -> None:
        """Subscribes, and declares how long transforms are kept."""
        cache_s: Any = graph.declare(TF_CACHE)
        self.tree = TfTree(cache_s)
        self.refused = Tally("tf")
        graph.subscribe("tf2_msgs/msg/TFMessage", "/tf", self._on_tf, Qos(depth=100))
        graph.subscribe(
            "tf2_msgs/msg/TFMessage", "/tf_static", self._on_static, Qos(latched=True, depth=100)
        )

    def _on_tf(self, message: Any) -> None:
        self._take(message, static=False)

    def _on_static(self, message: Any) -> None:
        self._take(message, static=True)

    def _take(self, message: Any, static: bool) -> None:
        for item in message.transforms:
            try:
                self._insert(item, static)
            except ValueError as error:
                self.refused.count("bad transform", str(error))

    def _insert(self, item: Any, static: bool) -> None:
        at_ns, pose = stamp_ns(item.header.stamp), matrix_from_transform(item.transform)
        edge = (item.header.frame_id, item.child_frame_id, at_ns, pose, static)
        if not self.tree.set_transform(*edge):
            # Older than all that is kept: time has jumped back, e.g. a bag that starts again.
            self.refused.count("transforms cleared", f"{edge[1]} went back to {at_ns / 1e9} s")
            self.tree.clear()
            self.tree.set_transform(*edge)
