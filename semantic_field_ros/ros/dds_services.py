"""Services as rmw_cyclonedds_cpp puts them on the wire.

A request and its reply carry 16 bytes before the message: the client (instance handle of its
request writer) and a sequence number. Other vendors number requests elsewhere (RTPS inline QoS)
and would misread ours, so they are neither called nor answered.
"""

from __future__ import annotations

import itertools
import logging
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from semantic_field_ros.ros.dds_discovery import hash_user_data
from semantic_field_ros.ros.dds_participant import Participant
from semantic_field_ros.ros.dds_peers import Peer, matched_readers, matched_writers, peer_of
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.dds_wire import (
    ENCAPSULATION_BYTES,
    SampleInfo,
    WireError,
    instance_handle,
    make_qos,
    write_cdr,
)
from semantic_field_ros.ros.graph import Qos, ServiceError
from semantic_field_ros.stream.tally import Tally

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<Qq")
_BODY_AT = ENCAPSULATION_BYTES + _HEADER.size
_POLL_S = 0.005
#: How long a reply waits for the client's reader to be matched, as rmw_cyclonedds_cpp does.
_MATCH_TIMEOUT_S = 0.1
#: Requests that a service may hold, with the one that it answers; more are refused.
_MOST_REQUESTS = 64


def _split(cdr: memoryview) -> tuple[bytes, bytes]:
    """The 16 byte header, and the message as CDR of its own."""
    if len(cdr) < _BODY_AT:
        raise WireError(f"service message must have at least {_BODY_AT} bytes, got {len(cdr)}")
    message = bytes(cdr[:ENCAPSULATION_BYTES]) + bytes(cdr[_BODY_AT:])
    return bytes(cdr[ENCAPSULATION_BYTES:_BODY_AT]), message


def _joined(header: bytes, cdr: memoryview) -> bytes:
    return bytes(cdr[:ENCAPSULATION_BYTES]) + header + bytes(cdr[ENCAPSULATION_BYTES:])


class _Endpoints:
    """The two topics of a service, seen from one side."""

    def __init__(
        self, participant: Participant, types: Types, type_name: str, name: str, id_kind: str
    ) -> None:
        self.types = types
        self.request_type, self.response_type = f"{type_name}_Request", f"{type_name}_Response"
        self.pair_id = f"{id_kind}={participant.new_pair_id()};".encode()
        serving = id_kind == "serviceid"
        make_request = participant.reader if serving else participant.writer
        make_response = participant.writer if serving else participant.reader
        self.response: Any = make_response(
            f"rr{name}Reply", types.idl_type(self.response_type, True), self._qos("_Response")
        )
        self.request: Any = make_request(
            f"rq{name}Request", types.idl_type(self.request_type, True), self._qos("_Request")
        )

    def _qos(self, part: str) -> Any:
        type_name = self.request_type if part == "_Request" else self.response_type
        user_data = self.pair_id + hash_user_data(self.types, type_name)
        # With a bounded history the first of many requests at once would make room for the last.
        return make_qos(Qos(), user_data, keep_all=True)


class Server:
    """Answers requests one after another, in a thread of its own, so that none waits for those of
    other services."""

    def __init__(
        self,
        participant: Participant,
        types: Types,
        type_name: str,
        name: str,
        handler: Callable[[Any], Any],
        refused: Tally,
    ) -> None:
        """`name`: absolute name of the service, by which `refused` counts what is not answered."""
        self.name, self._handler, self._types = name, handler, types
        self.endpoints = _Endpoints(participant, types, type_name, name, "serviceid")
        self._refused, self._room = refused, threading.Semaphore(_MOST_REQUESTS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"dds-service {name}")

    def on_request(self, cdr: memoryview, info: SampleInfo) -> None:
        """Has one request answered, and does not wait for that."""
        if self._room.acquire(blocking=False):
            self._thread.submit(self._answer_safely, cdr, info)
        else:
            self._refused.count(self.name, f"{_MOST_REQUESTS} requests wait already")

    def close(self, wait: bool) -> None:
        """Drops requests that wait; `wait`: until the one that is being answered is."""
        self._thread.shutdown(wait, cancel_futures=True)

    def _answer_safely(self, cdr: memoryview, info: SampleInfo) -> None:
        try:
            self._answer(cdr, info)
        except WireError as error:
            self._refused.count(self.name, str(error))
        except Exception:
            logger.exception("%s failed", self.name)
        finally:
            self._room.release()

    def _answer(self, cdr: memoryview, info: SampleInfo) -> None:
        """Runs the handler on one request and sends what it returns.

        Raises:
            WireError: the request is damaged, or from a vendor that numbers requests elsewhere.
        """
        header, request = _split(cdr)
        client = peer_of(self.endpoints.request, info.publication_handle)
        if client is None:
            logger.warning("%s: a request came from a client that is gone", self.name)
            return
        if client.is_foreign("clientid"):
            raise WireError(f"{self.name} was called from {client.vendor}; {_ADVICE}")
        response = self._handler(self._types.decode(request, self.endpoints.request_type))
        if not self._wait_for_reader(client):
            logger.warning("%s: the client's reply reader never appeared", self.name)
            return
        write_cdr(self.endpoints.response, _joined(header, self._types.encode(response)))

    def _wait_for_reader(self, client: Peer) -> bool:
        """Discovery may match the request before the reply; without waiting it would be lost."""
        wanted = client.pair_id("clientid")
        deadline = time.monotonic() + _MATCH_TIMEOUT_S
        while True:
            readers = matched_readers(self.endpoints.response)
            if any(reader.pair_id("clientid") == wanted for reader in readers):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)


_ADVICE = (
    "services do not cross between DDS vendors: run that node with "
    "RMW_IMPLEMENTATION=rmw_cyclonedds_cpp"
)


class Client:
    """Calls one service; may be used from several threads at a time."""

    def __init__(self, participant: Participant, types: Types, type_name: str, name: str) -> None:
        """`name`: absolute name of the service."""
        self.name, self._types = name, types
        self.endpoints = _Endpoints(participant, types, type_name, name, "clientid")
        self._id = instance_handle(self.endpoints.request)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Any]] = {}

    def call(self, request: Any, timeout_s: float) -> Any:
        """The reply.

        Raises:
            ServiceError: no server, no reply in time, or a server of another vendor.
        """
        deadline = time.monotonic() + timeout_s
        self._wait_for_server(deadline, timeout_s)
        future: Future[Any] = Future()
        with self._lock:
            number = next(self._numbers)
            self._pending[number] = future
        try:
            header = _HEADER.pack(self._id, number)
            write_cdr(self.endpoints.request, _joined(header, self._types.encode(request)))
            return future.result(max(deadline - time.monotonic(), 0.0))
        except FutureTimeout:
            raise ServiceError(f"{self.name} did not reply within {timeout_s:g} s") from None
        finally:
            with self._lock:
                self._pending.pop(number, None)

    def on_reply(self, cdr: memoryview, info: SampleInfo) -> None:
        """Takes a reply to anybody's request; ours wake up `call`."""
        header, response = _split(cdr)
        client, number = _HEADER.unpack(header)
        with self._lock:
            future = self._pending.get(number) if client == self._id else None
        if future is None:
            return
        try:
            future.set_result(self._types.decode(response, self.endpoints.response_type))
        except WireError as error:
            future.set_exception(ServiceError(f"{self.name} replied what cannot be read: {error}"))

    def _wait_for_server(self, deadline: float, timeout_s: float) -> None:
        while True:
            servers = matched_readers(self.endpoints.request)
            foreign = [server for server in servers if server.is_foreign("serviceid")]
            if foreign:
                raise ServiceError(f"{self.name} is served by {foreign[0].vendor}; {_ADVICE}")
            listening = {server.pair_id("serviceid") for server in servers}
            replying = {s.pair_id("serviceid") for s in matched_writers(self.endpoints.response)}
            if listening & replying:
                return
            if time.monotonic() > deadline:
                raise ServiceError(f"nobody serves {self.name} (waited {timeout_s:g} s)")
            time.sleep(_POLL_S)
