"""Message classes of an installed ROS 2 by name, filled from arrays."""

from __future__ import annotations

import array
import re
from typing import Any

import numpy as np
from rosidl_runtime_py.utilities import get_message, get_service

_PARTS = ("Request", "Response")
#: numpy type and `array.array` code of a field type.
_NUMBERS = {
    "float": ("f4", "f"),
    "double": ("f8", "d"),
    **{
        f"{sign}int{bits}": (f"{sign[:1] or 'i'}{bits // 8}", code)
        for sign, codes in (("", "bhiq"), ("u", "BHIQ"))
        for bits, code in zip((8, 16, 32, 64), codes, strict=True)
    },
}
_FIXED = re.compile(r"(.+)\[(\d+)\]$")
_SEQUENCE = re.compile(r"sequence<([^,>]+)(?:, \d+)?>$")


class RclpyTypes:
    """Looks up and fills message classes."""

    def __init__(self) -> None:
        self._messages: dict[str, Any] = {}

    def message_class(self, type_name: str) -> Any:
        """The class of a message or of a part of a service.

        Raises:
            ValueError: not installed.
        """
        if type_name not in self._messages:
            base, _, part = type_name.rpartition("_")
            if "/srv/" in type_name and part in _PARTS:
                self._messages[type_name] = getattr(self.service_class(base), part)
            else:
                self._messages[type_name] = _found(get_message, type_name)
        return self._messages[type_name]

    def service_class(self, type_name: str) -> Any:
        """The class of a service.

        Raises:
            ValueError: not installed.
        """
        return _found(get_service, type_name)

    def message(self, type_name: str, /, **fields: object) -> Any:
        """A message; what is not given is at its default.

        Raises:
            TypeError: a field that the type lacks.
            ValueError: unknown type.
        """
        cls = self.message_class(type_name)
        kinds = cls.get_fields_and_field_types()
        unknown = sorted(set(fields) - set(kinds))
        if unknown:
            raise TypeError(f"{type_name} has no field {unknown[0]!r}; it has {list(kinds)}")
        return cls(**{name: _coerced(kinds[name], value) for name, value in fields.items()})


def _found(get: Any, type_name: str) -> Any:
    try:
        return get(type_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"type {type_name!r} is not installed: {error}") from None


def _coerced(kind: str, value: Any) -> Any:
    """What rclpy takes without checking every element, of numpy arrays, lists or bytes."""
    fixed, sequence = _FIXED.match(kind), _SEQUENCE.match(kind)
    element = fixed[1] if fixed else sequence[1] if sequence else kind
    if fixed or sequence:
        if element in _NUMBERS:
            return _numbers(element, value, fixed is not None)
        if element == "octet":
            return [bytes([item]) for item in np.frombuffer(value, np.uint8)]
        return [bool(item) for item in value] if element == "boolean" else list(value)
    if element in ("float", "double"):
        return float(value)
    if element == "octet":
        return bytes([value]) if isinstance(value, int) else value
    return value.item() if isinstance(value, np.generic) else value


def _numbers(element: str, value: Any, is_fixed: bool) -> Any:
    dtype, code = _NUMBERS[element]
    if isinstance(value, bytes | bytearray | memoryview):
        value = np.frombuffer(value, dtype)
    numbers = np.ascontiguousarray(value, dtype).reshape(-1)
    if is_fixed:
        return numbers
    sequence = array.array(code)
    sequence.frombytes(numbers.tobytes())
    return sequence
