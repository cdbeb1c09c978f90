"""One DDS participant: its domain, its readers and writers."""

from __future__ import annotations

import itertools
import struct
import threading

from cyclonedds.core import DDSException, Entity
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.pub import DataWriter
from cyclonedds.qos import Policy, Qos
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from semantic_field_ros.ros.dds_environment import DdsEnvironment
from semantic_field_ros.ros.dds_wire import delete


class _Domains:
    """Cyclone allows one configuration per domain and process; the last participant deletes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[Domain, int]] = {}

    def acquire(self, environment: DdsEnvironment) -> None:
        key = environment.domain_id
        with self._lock:
            if key not in self._open:
                self._open[key] = (Domain(key, environment.configuration), 0)
            domain, users = self._open[key]
            self._open[key] = (domain, users + 1)

    def release(self, domain_id: int) -> None:
        with self._lock:
            domain, users = self._open[domain_id]
            if users > 1:
                self._open[domain_id] = (domain, users - 1)
            else:
                del self._open[domain_id]
                delete(domain)


_domains = _Domains()


class Participant:
    """Makes endpoints; `close` deletes them all."""

    def __init__(self, environment: DdsEnvironment) -> None:
        """Joins the domain.

        Raises:
            RuntimeError: Cyclone cannot; it has written to stderr why.
        """
        self._domain_id = environment.domain_id
        try:
            self.entity = self._join(environment)
        except DDSException as error:
            raise RuntimeError(
                f"cannot join domain {self._domain_id}: check CYCLONEDDS_URI and the network "
                "interfaces; what Cyclone DDS itself wrote before this line says more"
            ) from error
        self._lock = threading.Lock()
        self._topics: dict[str, Topic] = {}
        self._endpoints: list[Entity] = []
        self._ids = itertools.count(1)
        self._closed = False

    def writer(self, topic: str, idl_type: type[IdlStruct], qos: Qos) -> DataWriter:
        """A writer on a DDS topic."""
        with self._lock:
            writer = DataWriter(self.entity, self._topic(topic, idl_type), qos)
            self._endpoints.append(writer)
        return writer

    def reader(self, topic: str, idl_type: type[IdlStruct], qos: Qos) -> DataReader:
        """A reader of a DDS topic."""
        with self._lock:
            reader = DataReader(self.entity, self._topic(topic, idl_type), qos)
            self._endpoints.append(reader)
        return reader

    def drop(self, endpoint: Entity) -> None:
        """Deletes a reader or writer that nobody uses any more."""
        with self._lock:
            self._endpoints = [own for own in self._endpoints if own is not endpoint]
        delete(endpoint)

    def new_pair_id(self) -> str:
        """An id by which a peer knows that a reader and a writer are one client or server."""
        raw = self.entity.guid.bytes[:12] + struct.pack(">I", next(self._ids))
        return ".".join(f"{byte:x}" for byte in raw)

    def close(self) -> None:
        """Leaves the domain; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for entity in [*self._endpoints, *self._topics.values()]:
                delete(entity)
        delete(self.entity)
        _domains.release(self._domain_id)

    def _join(self, environment: DdsEnvironment) -> DomainParticipant:
        _domains.acquire(environment)
        try:
            return DomainParticipant(self._domain_id, qos=Qos(Policy.Userdata(b"enclave=/;")))
        except BaseException:
            _domains.release(self._domain_id)
            raise

    def _topic(self, name: str, idl_type: type[IdlStruct]) -> Topic:
        if self._closed:
            raise RuntimeError(f"the graph is closed; cannot use {name}")
        if name not in self._topics:
            self._topics[name] = Topic(self.entity, name, idl_type)
        elif self._topics[name].data_type is not idl_type:
            have = self._topics[name].typename
            raise ValueError(f"{name} is already used as {have}, cannot be {idl_type.__name__}")
        return self._topics[name]
