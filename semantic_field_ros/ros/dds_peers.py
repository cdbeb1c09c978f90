"""What discovery says of the endpoints that ours match.

The `cyclonedds` wheel can tell too (`get_matched_subscription_data`), but not to two threads at a
time: its conversion of a quality of service writes every value into one class-wide buffer
(`_CQos._gc_data_value` in `cyclonedds/qos.py` of 11.0.1) and reads it back in a later statement.
Of 24 000 readings by 8 threads 10 lacked the user data, and with them the client's id, so that its
replies were withheld; every reading also left the data's copy behind. Hence the C functions.
"""

from __future__ import annotations

import ctypes as ct
from typing import Any

from cyclonedds.internal import library_path
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader

#: First two bytes of a GUID, from the list of RTPS vendor ids.
VENDORS = {
    b"\x01\x01": "RTI Connext",
    b"\x01\x03": "OpenDDS",
    b"\x01\x0f": "Fast DDS",
    b"\x01\x10": "Cyclone DDS",
    b"\x01\x12": "RustDDS",
    b"\x01\x14": "Dust DDS",
}
OUR_VENDOR = "Cyclone DDS"


class Endpoint(ct.Structure):
    """`dds_builtintopic_endpoint_t`."""

    _fields_ = (
        ("key", ct.c_ubyte * 16),
        ("participant_key", ct.c_ubyte * 16),
        ("participant_handle", ct.c_uint64),
        ("topic_name", ct.c_char_p),
        ("type_name", ct.c_char_p),
        ("qos", ct.c_void_p),
    )


def _library() -> ct.CDLL:
    library = ct.CDLL(str(library_path))
    for name in ("dds_get_matched_subscription_data", "dds_get_matched_publication_data"):
        function = getattr(library, name)
        function.argtypes, function.restype = [ct.c_int32, ct.c_uint64], ct.POINTER(Endpoint)
    library.dds_builtintopic_free_endpoint.argtypes = [ct.POINTER(Endpoint)]
    library.dds_qget_userdata.argtypes = [ct.c_void_p, ct.c_void_p, ct.c_void_p]
    library.dds_qget_userdata.restype = ct.c_bool
    library.dds_create_reader.argtypes = [ct.c_int32, ct.c_int32, ct.c_void_p, ct.c_void_p]
    library.dds_take.argtypes = [ct.c_int32, ct.c_void_p, ct.c_void_p, ct.c_size_t, ct.c_uint32]
    library.dds_return_loan.argtypes = [ct.c_int32, ct.c_void_p, ct.c_int32]
    library.dds_qget_reliability.argtypes = [ct.c_void_p, ct.c_void_p, ct.c_void_p]
    library.dds_qget_durability.argtypes = [ct.c_void_p, ct.c_void_p]
    library.dds_free.argtypes = [ct.c_void_p]
    for name in ("dds_builtintopic_free_endpoint", "dds_free"):
        getattr(library, name).restype = None
    return library


#: Cyclone's C functions, with signatures.
dds = _library()


class Peer:
    """What discovery tells about a remote endpoint.

    Attributes:
        participant: key of the participant it belongs to, 16 bytes.
        user_data: its `key=value;` pairs.
    """

    def __init__(self, participant: bytes, user_data: bytes) -> None:
        """Splits the user data."""
        self.participant = participant
        pairs = user_data.decode("utf-8", "replace").split(";")
        self.user_data = dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    @property
    def vendor(self) -> str:
        """Name of its DDS implementation."""
        prefix = self.participant[:2]
        return VENDORS.get(prefix, f"an unknown vendor ({prefix.hex()})")

    def pair_id(self, kind: str) -> str:
        """`clientid` or `serviceid`; the participant stands in where none is announced."""
        return self.user_data.get(kind, self.participant.hex())

    def is_foreign(self, kind: str) -> bool:
        """Whether it does not speak rmw_cyclonedds' services."""
        return self.vendor != OUR_VENDOR and kind not in self.user_data


def matched_readers(writer: DataWriter) -> list[Peer]:
    """Everyone who reads what `writer` writes."""
    read = dds.dds_get_matched_subscription_data
    found = (_peer(read(writer._ref, handle)) for handle in writer.get_matched_subscriptions())
    return [peer for peer in found if peer is not None]


def matched_writers(reader: DataReader) -> list[Peer]:
    """Everyone who writes what `reader` reads."""
    found = (peer_of(reader, handle) for handle in reader.get_matched_publications())
    return [peer for peer in found if peer is not None]


def peer_of(reader: DataReader, publication_handle: int) -> Peer | None:
    """Who wrote a sample, unless it has left meanwhile."""
    return _peer(dds.dds_get_matched_publication_data(reader._ref, publication_handle))


def _peer(endpoint: Any) -> Peer | None:
    """Reads and frees an endpoint; None for a null pointer."""
    if not endpoint:
        return None
    value, size = ct.c_void_p(), ct.c_size_t()
    try:
        dds.dds_qget_userdata(endpoint.contents.qos, ct.byref(value), ct.byref(size))
        user_data = ct.string_at(value, size.value) if value else b""
        return Peer(bytes(endpoint.contents.participant_key), user_data)
    finally:
        dds.dds_free(value)
        dds.dds_builtintopic_free_endpoint(endpoint)
