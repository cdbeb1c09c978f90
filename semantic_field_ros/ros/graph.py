"""The port: all that the node asks of ROS 2.

Types are named by string ("sensor_msgs/msg/Image", "std_srvs/srv/Trigger"; the parts of a service
are "std_srvs/srv/Trigger_Request" and "…_Response"). Topic and service names follow ROS: relative,
`~/private` or `/absolute`, remapped by the arguments that the program was started with; whatever
takes a name refuses one that is none by a ValueError that tells it.

Threads: callbacks of subscriptions, timers and jumps of time run one after another. Each service
handles its requests one after another too, in a thread of its own, and keeps nobody else waiting.
Every method may be called from any thread, except that `call` must not be made from a callback,
whose thread delivers the reply.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.parameter_spec import ParameterSpec, ParameterValue
from semantic_field_ros.stream.tf_tree import (
    ExtrapolationError,
    NotConnectedError,
    TransformError,
    UnknownFrameError,
    UnnamedFrameError,
)

__all__ = [
    "LATCHED",
    "RELIABLE",
    "SENSOR",
    "TF_CACHE",
    "BadTransformError",
    "Cancel",
    "ExtrapolationError",
    "Graph",
    "Message",
    "NotConnectedError",
    "OnParameters",
    "ParameterSpec",
    "ParameterValue",
    "Publication",
    "Publisher",
    "Qos",
    "ServiceError",
    "Subscription",
    "TransformError",
    "UnknownFrameError",
    "UnnamedFrameError",
    "mismatch",
]

Message = Any
#: Ends what was begun; may be called twice.
Cancel = Callable[[], None]
OnParameters = Callable[[Mapping[str, ParameterValue]], None]


class ServiceError(RuntimeError):
    """A service call without an answer: nobody serves it, it timed out, or it was refused."""


class BadTransformError(TransformError):
    """Somebody has told a transform that is none: it is not finite, or its rotation none."""

    may_still_come = False


@dataclass(frozen=True)
class Qos:
    """Quality of service.

    Attributes:
        reliable: resend what was lost; a reliable reader does not match a best-effort writer.
        latched: transient local, i.e. late readers get the last `depth` messages.
        depth: messages kept for a slow reader.
    """

    reliable: bool = True
    latched: bool = False
    depth: int = 10


@dataclass(frozen=True)
class Publication:
    """A publisher somewhere in the graph.

    Attributes:
        topic: absolute name.
        type_name: of its messages, e.g. "sensor_msgs/msg/Image".
        reliable, latched: its quality of service, as in `Qos`.
    """

    topic: str
    type_name: str
    reliable: bool
    latched: bool


RELIABLE = Qos()
SENSOR = Qos(reliable=False, depth=5)
LATCHED = Qos(latched=True, depth=1)
#: Every graph declares it for itself: its buffer of transforms comes before all other parameters.
TF_CACHE = ParameterSpec(
    "tf_cache_s", 10.0, "transforms are kept this long, seconds", 0.1, 600.0, read_only=True
)


class Publisher(ABC):
    """One topic that the node writes to.

    Attributes:
        topic: absolute name after remapping.
    """

    topic: str

    @abstractmethod
    def publish(self, message: Message) -> None:
        """Sends a message made by `Graph.message` of the publisher's type."""

    @abstractmethod
    def subscribers(self) -> int:
        """How many subscriptions match."""


class Subscription(ABC):
    """One topic that the node reads.

    Attributes:
        topic: absolute name after remapping.
        type_name: of its messages.
        qos: what was asked for.
    """

    topic: str
    type_name: str
    qos: Qos

    @abstractmethod
    def publishers(self) -> int:
        """How many publishers match (same type and compatible quality of service)."""

    @abstractmethod
    def close(self) -> None:
        """Leaves the topic; no callback begins afterwards. May be called twice."""


def mismatch(subscription: Subscription, publication: Publication) -> str:
    """Why these two do not match (the same topic taken for granted), else empty."""
    if publication.type_name != subscription.type_name:
        return f"type {publication.type_name}, not {subscription.type_name}"
    if subscription.qos.reliable and not publication.reliable:
        return "best effort, but asked for reliable"
    if subscription.qos.latched and not publication.latched:
        return "volatile, but asked for transient local"
    return ""


class Graph(ABC):
    """One node in the ROS 2 graph.

    Attributes:
        name: absolute name, e.g. "/semantic_field".
    """

    name: str

    @property
    def log(self) -> logging.Logger:
        """The package's logger, which the graph forwards to `/rosout`."""
        return logging.getLogger("semantic_field_ros")

    @abstractmethod
    def message(self, type_name: str, /, **fields: object) -> Message:
        """A message with some fields set and the others at their defaults.

        Arrays of numbers may be given as numpy arrays, lists or bytes.

        Raises:
            TypeError: a field that the type lacks.
            ValueError: unknown type.
        """

    @abstractmethod
    def resolve(self, topic: str) -> str:
        """The absolute, remapped name of a topic."""

    @abstractmethod
    def publisher(self, type_name: str, topic: str, qos: Qos = RELIABLE) -> Publisher:
        """Announces a topic.

        Raises:
            ValueError: the type is not installed.
        """

    @abstractmethod
    def subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Message], None],
        qos: Qos = RELIABLE,
    ) -> Subscription:
        """Calls back with every message; an exception in the callback is logged and survived."""

    @abstractmethod
    def serve(self, type_name: str, name: str, handler: Callable[[Message], Message]) -> None:
        """Answers requests, some of which may wait for their turn; an exception in the handler is
        logged, the caller gets no reply."""

    @abstractmethod
    def call(self, type_name: str, name: str, request: Message, timeout_s: float = 5.0) -> Message:
        """The reply of another node's service.

        Raises:
            ServiceError: nobody serves it, no reply in time, or the server cannot be called.
            RuntimeError: called from a subscription or timer callback.
        """

    @abstractmethod
    def timer(self, period_s: float, callback: Callable[[], None]) -> Cancel:
        """Calls back every `period_s` of real time, also when the clock is simulated."""

    @abstractmethod
    def declare(self, spec: ParameterSpec) -> ParameterValue:
        """Declares a parameter and returns its value, which arguments may have overridden."""

    @abstractmethod
    def parameter(self, name: str) -> ParameterValue:
        """The present value of a declared parameter."""

    @abstractmethod
    def declared(self, name: str) -> ParameterSpec:
        """What a parameter was declared as; ValueError if it was not."""

    @abstractmethod
    def on_parameter(self, callback: OnParameters) -> None:
        """Calls back before parameters change, with all that change together, by name; a
        ValueError or TypeError refuses them."""

    @abstractmethod
    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> NDArray[np.float64]:
        """target_from_source (4, 4) at a stamp (None = the newest that is known).

        Does not wait: `TransformError.may_still_come` says whether asking again can help.

        Raises:
            UnknownFrameError, NotConnectedError, BadTransformError, ExtrapolationError: as their
                names say; the last one into the past or, with `may_still_come`, into the future.
        """

    @abstractmethod
    def clear_transforms(self) -> None:
        """Forgets all transforms that move, after a jump of time."""

    @abstractmethod
    def now_ns(self) -> int:
        """ROS time: `/clock` with `use_sim_time`, else the system's; nanoseconds."""

    @abstractmethod
    def on_time_jump(self, callback: Callable[[], None]) -> Cancel:
        """Calls back when the clock jumps backwards; transforms were cleared before. An exception
        in the callback is logged and survived."""

    @abstractmethod
    def frames(self) -> set[str]:
        """Every frame that some transform names."""

    @abstractmethod
    def publications(self) -> list[Publication]:
        """All publishers that discovery knows, those of this node too, matching or not."""

    def refusals(self) -> dict[str, int]:
        """Messages and requests that the graph itself could not read, by topic or reason."""
        return {}

    @abstractmethod
    def spin(self) -> None:
        """Blocks until the node is closed or the program is interrupted.

        Raises:
            RuntimeError: callbacks are no longer called.
        """

    @abstractmethod
    def close(self) -> None:
        """Leaves the graph; running handlers are waited for. May be called twice."""

    def __enter__(self) -> Graph:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
