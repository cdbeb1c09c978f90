"""Message types without a ROS installation: classes, CDR, IDL for DDS, type hashes.

`rosbags` knows the common packages and makes and reads CDR; what it lacks or hashes differently
from rosidl is put right here. Types are named as in `graph.py`.
"""

from __future__ import annotations

import re
import struct
import threading
from functools import lru_cache
from typing import Any

import numpy as np
from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl import types as idl_types
from rosbags.interfaces import Nodetype
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from semantic_field_ros.ros.dds_definitions import (
    FIELD_DEFAULTS,
    MESSAGES,
    SERVICES,
    own_interfaces,
)
from semantic_field_ros.ros.dds_wire import ENCAPSULATION_BYTES, WireError

#: cyclonedds' type expressions (`sequence[float32, 4]`) are not generics that mypy understands.
idl: Any = idl_types

#: What rosidl puts into a type without fields, since IDL has no empty structs.
DUMMY = "structure_needs_at_least_one_member"

#: Distributions with 24-byte gids and without type hashes.
OLD_DISTROS = ("foxy", "galactic", "humble")

_IDL_BASE: dict[str, Any] = {
    "bool": bool,
    "string": str,
    "octet": idl.uint8,
    "byte": idl.uint8,
    "char": idl.uint8,
} | {
    name: getattr(idl, name)
    for name in (
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        "float32",
        "float64",
    )
}
_NUMPY_BASE = {"octet": "uint8", "byte": "uint8", "char": "uint8"}
_DECODE_ERRORS = (
    SerdeError,
    ValueError,
    IndexError,
    AssertionError,
    OverflowError,
    struct.error,
)


@lru_cache
def types_of(distro: str) -> Types:
    """The types of a distribution, made once in a process."""
    return Types(distro)


class Types:
    """The message types of one ROS distribution."""

    def __init__(self, distro: str = "jazzy") -> None:
        """`distro`: humble, iron, jazzy, kilted or lyrical; others are taken for jazzy."""
        stores = {store.name: store for store in Stores}
        self.distro = distro if f"ROS2_{distro.upper()}" in stores else "jazzy"
        self._store = get_typestore(stores[f"ROS2_{self.distro.upper()}"])
        self._idl: dict[tuple[str, bool], type[IdlStruct]] = {}
        self._lock = threading.Lock()
        self._mend_char()
        own_messages, own_services = own_interfaces()
        for name, text in (MESSAGES | own_messages).items():
            self._add_message(name, text)
        for name, text in (SERVICES | own_services).items():
            self._add_service(name, text)

    @property
    def gid_bytes(self) -> int:
        """Length of a gid in `ros_discovery_info`."""
        return 24 if self.distro in OLD_DISTROS else 16

    def message(self, type_name: str, /, **fields: object) -> Any:
        """A message; what is not given is at its default.

        Raises:
            TypeError: a field that the type lacks.
            ValueError: unknown type.
        """
        definition = self._fields(type_name)
        unknown = sorted(set(fields) - set(definition))
        if unknown:
            raise TypeError(f"{type_name} has no field {unknown[0]!r}; it has {list(definition)}")
        values = FIELD_DEFAULTS.get(type_name, {}) | fields
        return self._store.types[type_name](
            **{
                name: _coerced(kind, values[name]) if name in values else self._default(kind)
                for name, kind in definition.items()
            }
        )

    def encode(self, message: Any) -> memoryview:
        """CDR with its encapsulation header.

        Raises:
            TypeError: a field holds something that its type cannot.
        """
        try:
            return self._store.serialize_cdr(message, message.__msgtype__)
        except (struct.error, AttributeError, ValueError, OverflowError) as error:
            raise TypeError(f"{message.__msgtype__} cannot be encoded: {error}") from error

    def decode(self, cdr: bytes | memoryview, type_name: str) -> Any:
        """The message in CDR with its encapsulation header; large arrays are views of `cdr`.

        Raises:
            WireError: truncated, absurd lengths, or not of this type.
        """
        view = memoryview(cdr)
        if len(view) < ENCAPSULATION_BYTES or bytes(view[:1]) != b"\0" or view[1] not in (0, 1):
            raise WireError(f"{type_name} must start with a CDR header, got {bytes(view[:4])!r}")
        try:
            return self._store.deserialize_cdr(view, type_name)
        except _DECODE_ERRORS as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise WireError(f"{type_name} of {len(view)} bytes is damaged: {reason}") from None

    def type_hash(self, type_name: str) -> str:
        """`RIHS01_…` of REP-2011, or "" for a distribution without type hashes."""
        self._fields(type_name)
        return "" if self.distro in OLD_DISTROS else self._store.hash_rihs01(type_name)

    def idl_type(self, type_name: str, with_header: bool = False) -> type[IdlStruct]:
        """The type by which Cyclone checks every sample.

        Args:
            type_name: message or service part.
            with_header: prefix the request header of rmw_cyclonedds (client, sequence number).
        """
        with self._lock:
            return self._idl_type(type_name, with_header)

    def _idl_type(self, type_name: str, with_header: bool = False) -> type[IdlStruct]:
        key = (type_name, with_header)
        if key not in self._idl:
            package, kind, name = type_name.split("/")
            header = {"header_guid_": idl.uint64, "header_seq_": idl.int64} if with_header else {}
            fields = {
                f"{n.rstrip('_')}_": self._idl_of(k) for n, k in self._fields(type_name).items()
            }
            fields = fields or {f"{DUMMY}_": idl.uint8}
            self._idl[key] = make_idl_struct(
                f"{name}_", f"{package}.{kind}.dds_.{name}_", header | fields
            )
        return self._idl[key]

    def _idl_of(self, kind: Any) -> Any:
        node, rest = kind
        if node == Nodetype.BASE:
            name, bound = rest
            if name not in _IDL_BASE:
                raise ValueError(f"field type must be one of {sorted(_IDL_BASE)}, got {name!r}")
            return idl.bounded_str[bound] if name == "string" and bound else _IDL_BASE[name]
        if node == Nodetype.NAME:
            return self._idl_type(rest)
        inner, count = self._idl_of(rest[0]), rest[1]
        if node == Nodetype.ARRAY:
            return idl.array[inner, count]
        return idl.sequence[inner, count] if count else idl.sequence[inner]

    def _fields(self, type_name: str) -> dict[str, Any]:
        if type_name not in self._store.fielddefs:
            raise ValueError(f"message type {type_name!r} is unknown")
        return dict(self._store.fielddefs[type_name][1])

    def _default(self, kind: Any) -> Any:
        node, rest = kind
        if node == Nodetype.NAME:
            return self.message(rest)
        if node == Nodetype.BASE:
            return {"bool": False, "string": "", "float32": 0.0, "float64": 0.0}.get(rest[0], 0)
        inner, count = rest
        count = count if node == Nodetype.ARRAY else 0
        if inner[0] == Nodetype.BASE and inner[1][0] != "string":
            return np.zeros(count, _dtype(inner))
        return [self._default(inner) for _ in range(count)]

    def _mend_char(self) -> None:
        """rosidl maps the .msg type `char` to uint8; its type hash says so, rosbags' does not."""
        for name, (constants, fields) in list(self._store.fielddefs.items()):
            mended = [(field, _without_char(kind)) for field, kind in fields]
            self._store.fielddefs[name] = (constants, mended)

    def _add_message(self, name: str, text: str) -> None:
        self._store.register({name: _parsed(text, name)})

    def _add_service(self, name: str, text: str) -> None:
        """Both parts, and the types that exist only to be hashed (REP-2011, REP-2012)."""
        request, response = re.split(r"^---$", text, maxsplit=1, flags=re.MULTILINE)
        parts = {"Request": request, "Response": response}
        types: dict[str, Any] = {
            f"{name}_{p}": _parsed(t, f"{name}_{p}") for p, t in parts.items()
        }
        event: list[Any] = [("info", _named("service_msgs/msg/ServiceEventInfo"))]
        event += [(p.lower(), _at_most_one(f"{name}_{p}")) for p in parts]
        types[f"{name}_Event"] = ([], event)
        whole = [(f"{p.lower()}_message", _named(f"{name}_{p}")) for p in (*parts, "Event")]
        types[name] = ([], whole)
        if self.distro in OLD_DISTROS:
            types = {f"{name}_{p}": types[f"{name}_{p}"] for p in parts}
        self._store.register(types)


def _parsed(text: str, name: str) -> Any:
    """Constants and fields of a definition, never empty."""
    parsed = get_types_from_msg(text.strip() + "\n", name) if text.strip() else {}
    constants, fields = next(iter(parsed.values()), ([], []))
    dummy = [(DUMMY, (Nodetype.BASE, ("uint8", 0)))]
    return constants, [(field, _without_char(kind)) for field, kind in fields] or dummy


def _named(type_name: str) -> Any:
    return Nodetype.NAME, type_name


def _at_most_one(type_name: str) -> Any:
    return Nodetype.SEQUENCE, (_named(type_name), 1)


def _without_char(kind: Any) -> Any:
    node, rest = kind
    if node == Nodetype.BASE:
        return (node, ("uint8", 0)) if rest[0] == "char" else kind
    return kind if node == Nodetype.NAME else (node, (_without_char(rest[0]), rest[1]))


def _dtype(kind: Any) -> np.dtype:
    name = kind[1][0]
    return np.dtype(_NUMPY_BASE.get(name, name))


def _coerced(kind: Any, value: Any) -> Any:
    """Arrays of numbers as rosbags wants them; the rest as it is."""
    node, rest = kind
    if node in (Nodetype.BASE, Nodetype.NAME):
        return value
    inner, count = rest
    if inner[0] != Nodetype.BASE or inner[1][0] == "string":
        values: Any = list(value)
    elif isinstance(value, bytes | bytearray | memoryview):
        values = np.frombuffer(value, _dtype(inner))
    else:
        values = np.ascontiguousarray(value, _dtype(inner)).reshape(-1)
    bound_broken = (
        len(values) != count if node == Nodetype.ARRAY else count and len(values) > count
    )
    if bound_broken:
        raise TypeError(f"array must hold {count} values, got {len(values)}")
    return values
