"""Every publisher that discovery knows, with its quality of service.

DDS tells of them on a built-in topic. It is read by the C functions for the reasons of
`dds_peers.py`, one sample at a time.
"""

from __future__ import annotations

import ctypes as ct
import re
import threading

from cyclonedds.core import Entity

from semantic_field_ros.ros.dds_peers import Endpoint, dds
from semantic_field_ros.ros.dds_wire import SampleInfo
from semantic_field_ros.ros.graph import Publication

#: `DDS_BUILTIN_TOPIC_DCPSPUBLICATION`.
_PUBLICATIONS = 0x7FFF0003
_ALIVE = 16
_RELIABLE, _TRANSIENT_LOCAL = 1, 1
_DDS_TYPE = re.compile(r"(\w+)::(msg|srv)::dds_::(\w+)_$")


class Publications:
    """Listens from the start on, so that asking is cheap; may be used from several threads."""

    def __init__(self, participant: Entity) -> None:
        """The reader lives as long as `participant`.

        Raises:
            RuntimeError: DDS refuses to make it.
        """
        self._reader = dds.dds_create_reader(participant._ref, _PUBLICATIONS, None, None)
        if self._reader < 0:
            raise RuntimeError(f"DDS refused to read its publications (code {self._reader})")
        self._known: dict[bytes, Publication] = {}
        self._lock = threading.Lock()

    def known(self) -> list[Publication]:
        """Those of ROS topics that are alive."""
        self.listen()
        with self._lock:
            return list(self._known.values())

    def listen(self) -> None:
        """Takes in what discovery has told, which keeps all that nobody takes."""
        with self._lock:
            while self._take_one():
                pass

    def _take_one(self) -> bool:
        loan, info = ct.POINTER(Endpoint)(), SampleInfo()
        if dds.dds_take(self._reader, ct.byref(loan), ct.byref(info), 1, 1) <= 0:
            return False
        endpoint = loan.contents
        key = bytes(endpoint.key)
        publication = None
        if info.valid_data and info.instance_state == _ALIVE:
            publication = _publication(endpoint)
        if publication is None:
            self._known.pop(key, None)
        else:
            self._known[key] = publication
        dds.dds_return_loan(self._reader, ct.byref(loan), 1)
        return True


def _publication(endpoint: Endpoint) -> Publication | None:
    """None for what is not a ROS topic."""
    topic, named = endpoint.topic_name.decode(), _DDS_TYPE.match(endpoint.type_name.decode())
    if not topic.startswith("rt/") or named is None:
        return None
    reliability, blocking_ns, durability = ct.c_int(), ct.c_int64(), ct.c_int()
    dds.dds_qget_reliability(endpoint.qos, ct.byref(reliability), ct.byref(blocking_ns))
    dds.dds_qget_durability(endpoint.qos, ct.byref(durability))
    return Publication(
        topic.removeprefix("rt"),
        "/".join(named.groups()),
        reliability.value == _RELIABLE,
        durability.value >= _TRANSIENT_LOCAL,
    )
