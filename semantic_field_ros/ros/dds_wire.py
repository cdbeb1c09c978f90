"""Raw CDR in and out of Cyclone DDS.

The `cyclonedds` wheel offers samples as Python objects, built field by field (about 40 ms for a
640x480 image). Beneath, its samples are only a pointer and a size that hold the whole CDR, so the
C functions are called with those: 0.1 ms, and the interpreter lock is released meanwhile.
"""

from __future__ import annotations

import ctypes as ct
import weakref

import numpy as np
from cyclonedds.core import Entity
from cyclonedds.internal import library_path
from cyclonedds.qos import Policy, Qos
from cyclonedds.util import duration

from semantic_field_ros.ros import graph as port

ENCAPSULATION_BYTES = 4


class WireError(ValueError):
    """Bytes that are not a valid message of the expected type."""


class _Sample(ct.Structure):
    """What cyclonedds keeps of a sample: the CDR with its encapsulation header."""

    _fields_ = (("data", ct.c_void_p), ("size", ct.c_size_t))


class SampleInfo(ct.Structure):
    """`dds_sample_info_t`; `publication_handle` says who wrote the sample."""

    _fields_ = (
        ("sample_state", ct.c_int),
        ("view_state", ct.c_int),
        ("instance_state", ct.c_int),
        ("valid_data", ct.c_bool),
        ("source_timestamp", ct.c_int64),
        ("instance_handle", ct.c_uint64),
        ("publication_handle", ct.c_int64),  # signed, as cyclonedds hands out handles
        ("ranks", ct.c_uint32 * 5),
        ("_reserve", ct.c_byte * 64),  # room for what later versions append
    )


def _library() -> ct.CDLL:
    library = ct.CDLL(str(library_path))
    signatures: dict[str, list[type]] = {
        "dds_write": [ct.c_int32, ct.c_void_p],
        "dds_take": [ct.c_int32, ct.c_void_p, ct.c_void_p, ct.c_size_t, ct.c_uint32],
        "dds_waitset_wait": [ct.c_int32, ct.c_void_p, ct.c_size_t, ct.c_int64],
        "dds_get_instance_handle": [ct.c_int32, ct.c_void_p],
        "dds_delete": [ct.c_int32],
        "dds_free": [ct.c_void_p],
    }
    for name, arguments in signatures.items():
        getattr(library, name).argtypes = arguments
    library.dds_free.restype = None
    return library


_dds = _library()


def write_cdr(writer: Entity, cdr: bytes | bytearray | memoryview) -> None:
    """Writes one message.

    Args:
        writer: a DataWriter.
        cdr: encapsulation header and body.

    Raises:
        RuntimeError: DDS refused it (the body does not fit the type, or the writer is closed).
    """
    data = np.frombuffer(cdr, np.uint8)
    if data.nbytes % 4:
        data = np.concatenate([data, np.zeros(-data.nbytes % 4, np.uint8)])
    sample = _Sample(data.ctypes.data, data.nbytes)
    code = _dds.dds_write(writer._ref, ct.byref(sample))
    if code < 0:
        raise RuntimeError(f"DDS refused to write a message of {data.nbytes} bytes (code {code})")


def take_cdr(reader: Entity) -> tuple[memoryview, SampleInfo] | None:
    """The oldest waiting message with its encapsulation header, or None.

    The memory belongs to the returned view; it is freed with the last array made from it.

    Raises:
        RuntimeError: the reader is closed.
    """
    while True:
        sample, info = _Sample(), SampleInfo()
        container = ct.c_void_p(ct.addressof(sample))
        count = _dds.dds_take(reader._ref, ct.byref(container), ct.byref(info), 1, 1)
        if count < 0:
            raise RuntimeError(f"DDS refused to read (code {count})")
        if count == 0:
            return None
        if not sample.data:
            continue
        block = (ct.c_ubyte * sample.size).from_address(sample.data)
        weakref.finalize(block, _dds.dds_free, sample.data)
        if info.valid_data:
            return memoryview(block).cast("B"), info


def wait_for_data(waitset: Entity, timeout_s: float) -> None:
    """Blocks until an attached entity triggers, at most `timeout_s`."""
    _dds.dds_waitset_wait(waitset._ref, None, 0, int(timeout_s * 1e9))


def instance_handle(entity: Entity) -> int:
    """The number by which others see this entity."""
    handle = ct.c_uint64()
    _dds.dds_get_instance_handle(entity._ref, ct.byref(handle))
    return handle.value


def delete(entity: Entity) -> None:
    """Deletes an entity (and its children) now, not when Python collects it."""
    if Entity._entities.pop(entity._ref, None) is not None:
        _dds.dds_delete(entity._ref)


def make_qos(
    qos: port.Qos, user_data: bytes = b"", keep_all: bool = False, ignore_local: bool = False
) -> Qos:
    """The DDS form of a quality of service, as rmw_cyclonedds_cpp sets it.

    Args:
        qos: of the port.
        user_data: what peers read in discovery.
        keep_all: unbounded history.
        ignore_local: do not match endpoints of the same participant.
    """
    history = Policy.History.KeepAll if keep_all else Policy.History.KeepLast(qos.depth)
    forever = Policy.Reliability.Reliable(duration(infinite=True))
    policies = [
        forever if qos.reliable else Policy.Reliability.BestEffort,
        history,
        Policy.DataRepresentation(use_cdrv0_representation=True, use_xcdrv2_representation=False),
        Policy.WriterDataLifecycle(autodispose=False),
    ]
    if qos.latched:
        service = Policy.DurabilityService(0, history, -1, -1, -1)
        policies += [Policy.Durability.TransientLocal, service]
    if user_data:
        policies.append(Policy.Userdata(user_data))
    if ignore_local:
        policies.append(Policy.IgnoreLocal.Participant)
    return Qos(*policies)
