"""`ros_discovery_info`: which nodes a participant holds, for `ros2 node list` and our own view."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from cyclonedds.core import Entity
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader

from semantic_field_ros.ros.dds_executor import Executor
from semantic_field_ros.ros.dds_participant import Participant
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.dds_wire import SampleInfo, make_qos, write_cdr
from semantic_field_ros.ros.graph import Qos

_TYPE = "rmw_dds_common/msg/ParticipantEntitiesInfo"
_TOPIC = "ros_discovery_info"


class Discovery:
    """Announces one node with its endpoints, and hears of everybody else's."""

    def __init__(
        self, participant: Participant, executor: Executor, types: Types, full_name: str
    ) -> None:
        """`full_name`: absolute name of the node."""
        namespace, _, self._node = full_name.rpartition("/")
        self._namespace = namespace or "/"
        self._participant, self._types = participant, types
        self._lock = threading.Lock()
        self._own: list[Entity] = []
        self._remote: dict[bytes, tuple[int, set[str]]] = {}
        idl_type, user_data = types.idl_type(_TYPE), hash_user_data(types, _TYPE)
        self._writer = participant.writer(
            _TOPIC, idl_type, make_qos(Qos(latched=True, depth=1), user_data)
        )
        self._reader = participant.reader(
            _TOPIC,
            idl_type,
            make_qos(Qos(latched=True), user_data, keep_all=True, ignore_local=True),
        )
        executor.add_reader(self._reader, self._on_info)
        self.announce()

    def announce(self, *endpoints: Entity) -> None:
        """Adds readers and writers of the node and tells everybody."""
        with self._lock:
            self._own.extend(endpoints)
            self._tell()

    def withdraw(self, endpoint: Entity) -> None:
        """Takes one back and tells everybody."""
        with self._lock:
            self._own = [own for own in self._own if own is not endpoint]
            self._tell()

    def remote_nodes(self) -> set[str]:
        """Absolute names of the nodes of other participants that are alive."""
        with self._lock:
            self._forget_the_gone()
            return {name for _, names in self._remote.values() for name in names}

    def _forget_the_gone(self) -> None:
        alive = set(self._reader.get_matched_publications())
        self._remote = {g: r for g, r in self._remote.items() if r[0] in alive}

    def _tell(self) -> None:
        make = self._types.message
        node = make(
            "rmw_dds_common/msg/NodeEntitiesInfo",
            node_namespace=self._namespace,
            node_name=self._node,
            reader_gid_seq=[self._gid(e) for e in self._own if isinstance(e, DataReader)],
            writer_gid_seq=[self._gid(e) for e in self._own if isinstance(e, DataWriter)],
        )
        info = make(_TYPE, gid=self._gid(self._participant.entity), node_entities_info_seq=[node])
        write_cdr(self._writer, self._types.encode(info))

    def _on_info(self, cdr: memoryview, info: SampleInfo) -> None:
        message = self._types.decode(cdr, _TYPE)
        names = {
            f"{node.node_namespace.rstrip('/')}/{node.node_name}"
            for node in message.node_entities_info_seq
        }
        with self._lock:
            # Every `ros2 service call` is a participant that comes and goes.
            self._forget_the_gone()
            self._remote[bytes(message.gid.data)] = (info.publication_handle, names)

    def _gid(self, entity: Entity) -> Any:
        padded = entity.guid.bytes.ljust(self._types.gid_bytes, b"\0")
        return self._types.message("rmw_dds_common/msg/Gid", data=np.frombuffer(padded, np.uint8))


def hash_user_data(types: Types, type_name: str) -> bytes:
    """What an endpoint says of its type in discovery."""
    type_hash = types.type_hash(type_name)
    return f"typehash={type_hash};".encode() if type_hash else b""
