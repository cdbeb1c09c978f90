"""A ROS 2 node without a ROS 2 installation: Cyclone DDS on the wire, as rmw_cyclonedds_cpp.

`ros2 node list`, `topic`, `service` and `param` see the node and reach it from every machine of
its domain. Topics also cross to other DDS vendors, services do not.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import numpy as np
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from numpy.typing import NDArray

from semantic_field_ros.ros.arguments import RosArguments, parse_arguments
from semantic_field_ros.ros.dds_discovery import Discovery, hash_user_data
from semantic_field_ros.ros.dds_environment import DdsEnvironment, read_environment
from semantic_field_ros.ros.dds_executor import Executor
from semantic_field_ros.ros.dds_parameters import Parameters
from semantic_field_ros.ros.dds_participant import Participant
from semantic_field_ros.ros.dds_publications import Publications
from semantic_field_ros.ros.dds_services import Client, Server
from semantic_field_ros.ros.dds_time import RosClock, TfListener
from semantic_field_ros.ros.dds_types import Types, types_of
from semantic_field_ros.ros.dds_wire import SampleInfo, WireError, make_qos, write_cdr
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
from semantic_field_ros.ros.rosout import RosoutHandler
from semantic_field_ros.stream.tally import Tally, total_counts

logger = logging.getLogger(__name__)

#: What discovery tells of publishers is taken in at least this often.
_LISTEN_PERIOD_S = 10.0


class DdsPublisher(Publisher):
    """A writer with the type that it writes."""

    def __init__(self, writer: DataWriter, types: Types, type_name: str, topic: str) -> None:
        """Wraps `writer`."""
        self._writer, self._types, self._type_name = writer, types, type_name
        self.topic = topic

    def publish(self, message: Message) -> None:
        """Encodes and writes.

        Raises:
            TypeError: a message of another type, or a field of the wrong one.
        """
        if message.__msgtype__ != self._type_name:
            raise TypeError(f"message must be {self._type_name}, got {message.__msgtype__}")
        write_cdr(self._writer, self._types.encode(message))

    def subscribers(self) -> int:
        """Matched readers."""
        return len(self._writer.get_matched_subscriptions())


class DdsSubscription(Subscription):
    """A reader.

    Attributes:
        is_closed: whether it has been left.
    """

    def __init__(self, reader: DataReader, topic: str, type_name: str, qos: Qos) -> None:
        """Wraps `reader`."""
        self.topic, self.type_name, self.qos, self.is_closed = topic, type_name, qos, False
        self._reader = reader
        self.leave: Cancel = lambda: None

    def publishers(self) -> int:
        """Matched writers."""
        return 0 if self.is_closed else len(self._reader.get_matched_publications())

    def close(self) -> None:
        """See `Subscription`."""
        if not self.is_closed:
            self.is_closed = True
            self.leave()


class DdsGraph(Graph):
    """One node.

    Attributes:
        refused: messages and requests that could not be read, by topic or service.
        environment: domain, discovery and distribution.
    """

    def __init__(self, arguments: RosArguments, environment: DdsEnvironment | None = None) -> None:
        """Joins the graph.

        Args:
            arguments: names, remappings and parameters.
            environment: None reads the process's.
        """
        self.environment = environment or read_environment()
        self.name = arguments.full_name
        self.refused = Tally(self.name)
        self._arguments = arguments
        self._types = types_of(self.environment.distro)
        self._servers: list[Server] = []
        self._clients: dict[tuple[str, str], Client] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._clock = RosClock()
        self._participant = Participant(self.environment)
        self._executor = Executor(self._participant.entity)
        try:
            self._publications = Publications(self._participant.entity)
            self._executor.add_timer(_LISTEN_PERIOD_S, self._publications.listen)
            self._discovery = Discovery(self._participant, self._executor, self._types, self.name)
            self._parameters = Parameters(self, arguments.parameters)
            self._transforms = TfListener(self)
            self._clock.on_jump(self.clear_transforms)
            self._follow_clock()
            self._rosout = RosoutHandler(self)
        except BaseException:  # an interrupt too: the thread must not outlive the participant
            self._executor.stop()
            self._participant.close()
            raise

    def message(self, type_name: str, /, **fields: object) -> Message:
        """See `Graph`."""
        return self._types.message(type_name, **fields)

    def resolve(self, topic: str) -> str:
        """See `Graph`."""
        return self._arguments.resolve(topic)

    def publisher(self, type_name: str, topic: str, qos: Qos = RELIABLE) -> DdsPublisher:
        """See `Graph`."""
        absolute = self._arguments.resolve(topic)
        dds_qos = make_qos(qos, hash_user_data(self._types, type_name))
        idl_type = self._types.idl_type(type_name)
        writer = self._participant.writer("rt" + absolute, idl_type, dds_qos)
        self._discovery.announce(writer)
        return DdsPublisher(writer, self._types, type_name, absolute)

    def subscribe(
        self,
        type_name: str,
        topic: str,
        callback: Callable[[Message], None],
        qos: Qos = RELIABLE,
    ) -> DdsSubscription:
        """See `Graph`; messages that cannot be decoded are counted in `refused`."""
        absolute = self._arguments.resolve(topic)
        dds_qos = make_qos(qos, hash_user_data(self._types, type_name))
        idl_type = self._types.idl_type(type_name)
        reader = self._participant.reader("rt" + absolute, idl_type, dds_qos)
        subscription = DdsSubscription(reader, absolute, type_name, qos)
        subscription.leave = lambda: self._leave(reader)

        def on_data(cdr: memoryview, info: SampleInfo) -> None:
            try:
                message = self._types.decode(cdr, type_name)
            except WireError as error:
                self.refused.count(absolute, str(error))
            else:
                if not subscription.is_closed:
                    callback(message)

        self._executor.add_reader(reader, on_data)
        self._discovery.announce(reader)
        return subscription

    def serve(self, type_name: str, name: str, handler: Callable[[Message], Message]) -> None:
        """See `Graph`; requests that cannot be answered are counted in `refused`."""
        absolute = self._arguments.resolve(name)
        server = Server(self._participant, self._types, type_name, absolute, handler, self.refused)
        self._servers.append(server)
        self._executor.add_reader(server.endpoints.request, server.on_request)
        self._discovery.announce(server.endpoints.request, server.endpoints.response)

    def call(self, type_name: str, name: str, request: Message, timeout_s: float = 5.0) -> Message:
        """See `Graph`."""
        if self._executor.is_current_thread():
            raise RuntimeError(f"{name} called from a callback, whose thread delivers the reply")
        return self._client(type_name, self._arguments.resolve(name)).call(request, timeout_s)

    def timer(self, period_s: float, callback: Callable[[], None]) -> Cancel:
        """See `Graph`."""
        return self._executor.add_timer(period_s, callback)

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        """See `Graph`."""
        return self._parameters.declare(spec)

    def parameter(self, name: str) -> ParameterValue:
        """See `Graph`."""
        return self._parameters.get(name)

    def declared(self, name: str) -> ParameterSpec:
        """See `Graph`."""
        return self._parameters.spec(name)

    def on_parameter(self, callback: OnParameters) -> None:
        """See `Graph`."""
        self._parameters.on_change(callback)

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> NDArray[np.float64]:
        """See `Graph`."""
        return self._transforms.tree.lookup(target, source, stamp_ns)

    def clear_transforms(self) -> None:
        """See `Graph`."""
        self._transforms.tree.clear()

    def now_ns(self) -> int:
        """See `Graph`."""
        return self._clock.now_ns()

    def on_time_jump(self, callback: Callable[[], None]) -> Cancel:
        """See `Graph`."""
        return self._clock.on_jump(callback)

    def frames(self) -> set[str]:
        """See `Graph`."""
        return self._transforms.tree.frames()

    def publications(self) -> list[Publication]:
        """See `Graph`."""
        return self._publications.known()

    def refusals(self) -> dict[str, int]:
        """See `Graph`."""
        return total_counts([self.refused, self._transforms.refused])

    def remote_nodes(self) -> set[str]:
        """Absolute names of the nodes of other processes that are alive."""
        return self._discovery.remote_nodes()

    def spin(self) -> None:
        """See `Graph`."""
        try:
            while not self._closed.wait(0.5):
                pass
        except KeyboardInterrupt:
            logger.info("interrupted")

    def close(self) -> None:
        """See `Graph`."""
        with self._lock:
            if self._closed.is_set():
                return
            self._closed.set()
        self._rosout.detach()
        self._executor.stop()
        for server in self._servers:
            server.close(wait=False)
        for server in self._servers:
            server.close(wait=True)
        self._participant.close()

    def _leave(self, reader: DataReader) -> None:
        self._discovery.withdraw(reader)
        self._executor.remove_reader(reader, lambda: self._participant.drop(reader))

    def _client(self, type_name: str, name: str) -> Client:
        with self._lock:
            client = self._clients.get((type_name, name))
            if client is None:
                client = Client(self._participant, self._types, type_name, name)
                self._clients[type_name, name] = client
                self._executor.add_reader(client.endpoints.response, client.on_reply)
                self._discovery.announce(client.endpoints.request, client.endpoints.response)
            return client

    def _follow_clock(self) -> None:
        spec = ParameterSpec("use_sim_time", False, "follow /clock instead of the system's clock")
        self._clock.follow(self, bool(self.declare(spec)))

        def changed(values: Mapping[str, ParameterValue]) -> None:
            if spec.name in values:
                self._clock.follow(self, bool(values[spec.name]))

        self.on_parameter(changed)


def open_dds_graph(argv: list[str], default_node: str) -> DdsGraph:
    """A node named and remapped by `--ros-args` in `argv`.

    Args:
        argv: without the program's name; what is not ROS's is ignored.
        default_node: name unless the arguments say otherwise.
    """
    return DdsGraph(parse_arguments(argv, default_node))
