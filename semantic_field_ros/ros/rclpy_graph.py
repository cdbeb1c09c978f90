"""A node of an installed ROS 2 (Humble and later), through rclpy and tf2_ros."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
import tf2_ros
import yaml
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time

from semantic_field_ros.ros.arguments import check_name
from semantic_field_ros.ros.graph import (
    RELIABLE,
    TF_CACHE,
    BadTransformError,
    Cancel,
    ExtrapolationError,
    Graph,
    Message,
    NotConnectedError,
    OnParameters,
    ParameterSpec,
    ParameterValue,
    Publication,
    Qos,
    ServiceError,
    UnknownFrameError,
)
from semantic_field_ros.ros.rclpy_endpoints import (
    SERVICE_QOS,
    RclpyLogHandler,
    RclpyPublisher,
    RclpySubscription,
    publication_of,
    qos_profile,
)
from semantic_field_ros.ros.rclpy_types import RclpyTypes
from semantic_field_ros.stream.messages import matrix_from_transform
from semantic_field_ros.stream.tf_tree import named_frame

logger = logging.getLogger(__name__)

#: More than any node has services, each of which takes one, by all that messages and timers need.
#: The pool makes only those that are busy at the same time.
_THREADS = 64
_POLL_S = 0.01
_SHUTDOWN_TIMEOUT_S = 5.0


class RclpyGraph(Graph):
    """One node with an executor of its own."""

    def __init__(self, node: Node) -> None:
        """Takes over `node` and spins it.

        Args:
            node: made by the caller, in the context that `close` shuts down.
        """
        self._node = node
        self.name = node.get_fully_qualified_name()
        self._types = RclpyTypes()
        # Subscriptions and timers exclude each other, as the port promises. Services and clients
        # must not wait for them: a handler may call, and a call's reply must be delivered.
        self._serial, self._free = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
        # Jumps of time come from rclpy's own callback of /clock, in a group with its parameters.
        self._turn, self._in_callback = threading.Lock(), threading.local()
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._on_jump: list[Callable[[], None]] = []
        self._specs: dict[str, ParameterSpec] = {}
        cache_s: Any = self.declare(TF_CACHE)
        self._buffer = tf2_ros.Buffer(cache_time=Duration(seconds=cache_s))
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)
        self._log_handler = RclpyLogHandler(node)
        self.log.addHandler(self._log_handler)
        self.log.propagate = False  # rclpy writes to the console itself
        self.on_time_jump(self.clear_transforms)
        self._jump_handle = self._follow_jumps()
        self._executor = MultiThreadedExecutor(num_threads=_THREADS, context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._run, name="rclpy-executor", daemon=True)
        self._thread.start()

    def message(self, type_name: str, /, **fields: object) -> Message:
        """See `Graph`."""
        return self._types.message(type_name, **fields)

    def resolve(self, topic: str) -> str:
        """See `Graph`."""
        check_name(topic)
        return str(self._node.resolve_topic_name(topic))

    def publisher(self, type_name: str, topic: str, qos: Qos = RELIABLE) -> RclpyPublisher:
        """See `Graph`."""
        check_name(topic)
        cls = self._types.message_class(type_name)
        return RclpyPublisher(self._node.create_publisher(cls, topic, qos_profile(qos)))

    def subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Message], None],
        qos: Qos = RELIABLE,
    ) -> RclpySubscription:
        """See `Graph`."""
        check_name(topic)
        cls = self._types.message_class(type_name)
        subscription = self._node.create_subscription(
            cls, topic, self._guarded(callback), qos_profile(qos), callback_group=self._serial
        )
        return RclpySubscription(self._node, subscription, type_name, qos)

    def serve(self, type_name: str, name: str, handler: Callable[[Message], Message]) -> None:
        """See `Graph`."""

        def answer(request: Message, _response: Message) -> Message:
            try:
                return handler(request)
            except Exception as error:
                logger.exception("%s failed", name)
                # rclpy sends whatever is returned; only an exception keeps it from replying.
                raise _HandlerFailedError(name) from error

        check_name(name)
        cls, alone = self._types.service_class(type_name), MutuallyExclusiveCallbackGroup()
        self._node.create_service(cls, name, answer, qos_profile=SERVICE_QOS, callback_group=alone)

    def call(self, type_name: str, name: str, request: Message, timeout_s: float = 5.0) -> Message:
        """See `Graph`."""
        if getattr(self._in_callback, "active", False):
            raise RuntimeError(f"{name} called from a callback, which would hold up all others")
        deadline = time.monotonic() + timeout_s
        client = self._client(type_name, name)
        while not client.service_is_ready():
            if time.monotonic() > deadline:
                raise ServiceError(f"nobody serves {client.srv_name} (waited {timeout_s:g} s)")
            time.sleep(_POLL_S)
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(max(deadline - time.monotonic(), 0.0)):
            client.remove_pending_request(future)
            raise ServiceError(f"{client.srv_name} did not reply within {timeout_s:g} s")
        return future.result()

    def timer(self, period_s: float, callback: Callable[[], None]) -> Cancel:
        """See `Graph`."""
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        timer = self._node.create_timer(period_s, self._guarded(callback), self._serial, clock)
        return lambda: self._end_timer(timer)

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        """See `Graph`."""
        descriptor = self.message(
            "rcl_interfaces/msg/ParameterDescriptor",
            description=spec.description,
            additional_constraints=spec.constraints,
            read_only=spec.read_only,
            **spec.range_fields(self.message),
        )
        said = self._said(spec.name)
        value = spec.default if said is None else spec.checked(said)
        self._specs[spec.name] = spec
        if value == ():
            self._declare_empty(spec, descriptor)
        else:
            plain = list(value) if isinstance(value, tuple) else value
            self._node.declare_parameter(spec.name, plain, descriptor, ignore_override=True)
        return value

    def parameter(self, name: str) -> ParameterValue:
        """See `Graph`."""
        spec, value = self.declared(name), self._node.get_parameter(name).value
        return tuple(value) if spec.kind.endswith("_array") else value

    def declared(self, name: str) -> ParameterSpec:
        """See `Graph`."""
        if name not in self._specs:
            raise ValueError(f"parameter {name!r} is not declared")
        return self._specs[name]

    def on_parameter(self, callback: OnParameters) -> None:
        """See `Graph`."""

        def check(parameters: list[Parameter]) -> Any:
            reason = ""
            try:
                callback({p.name: self._checked(p.name, p.value) for p in parameters})
            except (ValueError, TypeError) as error:
                reason = str(error)
            return self.message(
                "rcl_interfaces/msg/SetParametersResult", successful=not reason, reason=reason
            )

        self._node.add_on_set_parameters_callback(check)

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> NDArray[np.float64]:
        """See `Graph`."""
        at = Time(nanoseconds=stamp_ns or 0)
        target, source = named_frame(target), named_frame(source)
        try:
            found = self._buffer.lookup_transform_core(target, source, at)
        except tf2_ros.ConnectivityException as error:
            raise NotConnectedError(str(error).strip()) from None
        except tf2_ros.ExtrapolationException as error:
            into_future = (stamp_ns or 0) > self._newest_ns(target, source)
            raise ExtrapolationError(str(error).strip(), into_future=into_future) from None
        except tf2_ros.TransformException as error:
            lost = target if str(error).startswith(f'"{target}"') else source  # as tf2 begins
            raise UnknownFrameError(f"frame {lost!r} is unknown") from None
        try:
            return matrix_from_transform(found.transform)
        except ValueError as error:  # tf2 refuses NaN alone
            raise BadTransformError(f"{target} from {source} makes no sense: {error}") from None

    def clear_transforms(self) -> None:
        """See `Graph`."""
        self._buffer.clear()

    def now_ns(self) -> int:
        """See `Graph`."""
        return int(self._node.get_clock().now().nanoseconds)

    def on_time_jump(self, callback: Callable[[], None]) -> Cancel:
        """See `Graph`."""
        guarded = self._guarded(callback)
        self._on_jump = [*self._on_jump, guarded]
        return lambda: self._forget_jump(guarded)

    def frames(self) -> set[str]:
        """See `Graph`."""
        tree = yaml.safe_load(self._buffer.all_frames_as_yaml()) or {}
        return set(tree) | {edge["parent"] for edge in tree.values()}

    def publications(self) -> list[Publication]:
        """See `Graph`."""
        topics = [name for name, _ in self._node.get_topic_names_and_types()]
        return [
            publication_of(topic, info)
            for topic in topics
            for info in self._node.get_publishers_info_by_topic(topic)
        ]

    def spin(self) -> None:
        """See `Graph`."""
        is_deaf = False
        try:
            while not self._closed.wait(0.5) and self._node.context.ok():
                if is_deaf:
                    raise RuntimeError("the executor of rclpy has failed: start the node again")
                is_deaf = not self._thread.is_alive()  # told next time: closing ends it too
        except KeyboardInterrupt:
            logger.info("interrupted")

    def close(self) -> None:
        """See `Graph`."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
        self.log.removeHandler(self._log_handler)
        self.log.propagate = True
        self._executor.shutdown(timeout_sec=_SHUTDOWN_TIMEOUT_S)
        self._thread.join(_SHUTDOWN_TIMEOUT_S)
        self._jump_handle.unregister()
        self._node.destroy_node()
        self._node.context.try_shutdown()

    def _said(self, name: str) -> Any:
        """What the arguments set a parameter to, of whatever type; None if nothing."""
        of_any_type = self.message("rcl_interfaces/msg/ParameterDescriptor", dynamic_typing=True)
        said = self._node.declare_parameter(name, None, of_any_type).value
        self._node.undeclare_parameter(name)
        return said

    def _checked(self, name: str, value: Any) -> ParameterValue:
        """A value that is asked for; parameters of rclpy's own are not ours to check."""
        spec = self._specs.get(name)
        checked: ParameterValue = spec.checked(value) if spec else value
        return checked

    def _declare_empty(self, spec: ParameterSpec, descriptor: Message) -> None:
        """An array of nothing, whose type rclpy cannot tell from the value.

        Declared by its type alone it has no value, and one such parameter is enough for
        `ros2 param dump` to show none at all; so the value comes second, the descriptor last.
        """
        kind = Parameter.Type[spec.kind.upper()]
        descriptor.type = kind.value
        self._node.declare_parameter(spec.name, kind, ignore_override=True)
        self._node.set_parameters([Parameter(spec.name, kind, [])])
        self._node.set_descriptor(spec.name, descriptor)

    def _end_timer(self, timer: Any) -> None:
        with contextlib.suppress(InvalidHandle):  # it was ended before
            timer.cancel()
        self._node.destroy_timer(timer)

    def _follow_jumps(self) -> Any:
        """One handle for all: rclpy's list of them must not change while it goes through it."""
        backwards = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False
        )

        def jumped(_: object) -> None:
            for callback in self._on_jump:
                callback()

        return self._node.get_clock().create_jump_callback(backwards, post_callback=jumped)

    def _forget_jump(self, callback: Callable[[], None]) -> None:
        self._on_jump = [other for other in self._on_jump if other != callback]

    def _client(self, type_name: str, name: str) -> Any:
        check_name(name)
        with self._lock:
            if (type_name, name) not in self._clients:
                cls = self._types.service_class(type_name)
                client = self._node.create_client(
                    cls, name, qos_profile=SERVICE_QOS, callback_group=self._free
                )
                self._clients[type_name, name] = client
            return self._clients[type_name, name]

    def _newest_ns(self, target: str, source: str) -> int:
        try:
            return int(self._buffer.get_latest_common_time(target, source).nanoseconds)
        except tf2_ros.TransformException:
            return 0

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """One after the other; an exception would end the executor."""

        def run(*arguments: object) -> None:
            with self._turn:
                self._in_callback.active = True
                try:
                    callback(*arguments)
                except Exception:
                    logger.exception("a callback failed")
                finally:
                    self._in_callback.active = False

        return run

    def _run(self) -> None:
        while not self._closed.is_set() and self._node.context.ok():
            # Of what another thread destroys while it is gathered, rclpy tells by InvalidHandle;
            # nothing was taken from the others by then, and the next round finds all of it.
            survived = (_HandlerFailedError, InvalidHandle, ExternalShutdownException)
            with contextlib.suppress(*survived):
                self._executor.spin()


class _HandlerFailedError(RuntimeError):
    """A service handler failed, which was logged."""


def open_rclpy_graph(argv: list[str], default_node: str) -> RclpyGraph:
    """A node named and remapped by `--ros-args` in `argv`, in a context of its own.

    Args:
        argv: without the program's name; what is not ROS's is ignored.
        default_node: name unless the arguments say otherwise.
    """
    context = Context()
    rclpy.init(args=argv, context=context)
    return RclpyGraph(Node(default_node, context=context))
