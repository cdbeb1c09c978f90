"""A part of a node that can be taken away again, and knows how often its topics speak."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.graph import (
    RELIABLE,
    Cancel,
    Graph,
    Message,
    OnParameters,
    ParameterSpec,
    ParameterValue,
    Publication,
    Publisher,
    Qos,
    Subscription,
)

#: rates are taken over so many seconds.
WINDOW_S = 5.0
_MOST_KEPT = 1024


class Meter:
    """How often something happens, and how long ago it did last."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=_MOST_KEPT)

    def tick(self) -> None:
        """It happened."""
        self._times_s.append(time.monotonic())

    def rate_hz(self) -> float:
        """Over the last seconds; 0 when it did not happen twice in them."""
        since_s = time.monotonic() - WINDOW_S
        recent = [at_s for at_s in list(self._times_s) if at_s >= since_s]
        if len(recent) < 2 or recent[-1] <= recent[0]:
            return 0.0
        return (len(recent) - 1) / (recent[-1] - recent[0])

    def age_s(self) -> float | None:
        """Seconds since it happened last; None if it never did."""
        return time.monotonic() - self._times_s[-1] if self._times_s else None


class GraphPart(Graph):
    """A node's graph of which all subscriptions, timers and such can be ended together.

    Attributes:
        heard: its subscriptions, each with the meter of its messages.
    """

    def __init__(self, graph: Graph) -> None:
        """`graph`: the node's, which goes on."""
        self._graph, self.name = graph, graph.name
        self.heard: list[tuple[Subscription, Meter]] = []
        self._ends: list[Cancel] = []

    def close(self) -> None:
        """Ends what was begun here; the node stays. May be called twice."""
        for subscription, _ in self.heard:
            subscription.close()
        ends, self._ends = self._ends, []
        for end in ends:
            end()

    def subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Message], None],
        qos: Qos = RELIABLE,
    ) -> Subscription:
        """See `Graph`."""
        meter = Meter()

        def counted(message: Message) -> None:
            meter.tick()
            callback(message)

        subscription = self._graph.subscribe(type_name, topic, counted, qos)
        self.heard.append((subscription, meter))
        return subscription

    def timer(self, period_s: float, callback: Callable[[], None]) -> Cancel:
        """See `Graph`."""
        return self._until_closed(self._graph.timer(period_s, callback))

    def on_time_jump(self, callback: Callable[[], None]) -> Cancel:
        """See `Graph`."""
        return self._until_closed(self._graph.on_time_jump(callback))

    def message(self, type_name: str, /, **fields: object) -> Message:
        """See `Graph`."""
        return self._graph.message(type_name, **fields)

    def resolve(self, topic: str) -> str:
        """See `Graph`."""
        return self._graph.resolve(topic)

    def publisher(self, type_name: str, topic: str, qos: Qos = RELIABLE) -> Publisher:
        """See `Graph`; it outlives the part."""
        return self._graph.publisher(type_name, topic, qos)

    def serve(self, type_name: str, name: str, handler: Callable[[Message], Message]) -> None:
        """See `Graph`; it outlives the part."""
        self._graph.serve(type_name, name, handler)

    def call(self, type_name: str, name: str, request: Message, timeout_s: float = 5.0) -> Message:
        """See `Graph`."""
        return self._graph.call(type_name, name, request, timeout_s)

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        """See `Graph`."""
        return self._graph.declare(spec)

    def parameter(self, name: str) -> ParameterValue:
        """See `Graph`."""
        return self._graph.parameter(name)

    def declared(self, name: str) -> ParameterSpec:
        """See `Graph`."""
        return self._graph.declared(name)

    def on_parameter(self, callback: OnParameters) -> None:
        """See `Graph`; it outlives the part."""
        self._graph.on_parameter(callback)

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> NDArray[np.float64]:
        """See `Graph`."""
        return self._graph.lookup(target, source, stamp_ns)

    def clear_transforms(self) -> None:
        """See `Graph`."""
        self._graph.clear_transforms()

    def now_ns(self) -> int:
        """See `Graph`."""
        return self._graph.now_ns()

    def frames(self) -> set[str]:
        """See `Graph`."""
        return self._graph.frames()

    def publications(self) -> list[Publication]:
        """See `Graph`."""
        return self._graph.publications()

    def spin(self) -> None:
        """See `Graph`."""
        self._graph.spin()

    def _until_closed(self, end: Cancel) -> Cancel:
        self._ends.append(end)
        return end
