"""What a parameter of a node is."""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ParameterValue = bool | int | float | str | tuple[bool | int | float | str, ...]

KINDS: dict[str, type] = {"bool": bool, "integer": int, "double": float, "string": str}
ARRAY_SUFFIX = "_array"
_WIDEST = 2**53


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter of the node.

    Attributes:
        name: with dots for groups.
        default: value unless the arguments say otherwise.
        description: meaning and unit.
        minimum, maximum: inclusive bounds of a number, or None.
        read_only: fixed after the start.
        kind: bool, integer, double, string, or one of them with "_array"; found from `default`
            unless that is an empty tuple.
    """

    name: str
    default: ParameterValue
    description: str
    minimum: float | None = None
    maximum: float | None = None
    read_only: bool = False
    kind: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", self.kind or kind_of(self.default))

    def checked(self, value: object) -> ParameterValue:
        """`value` as this parameter holds it.

        An integer may stand for a double, and a list, a tuple or an `array.array` for an array.

        Raises:
            TypeError: wrong type.
            ValueError: out of bounds.
        """
        if self.kind.endswith(ARRAY_SUFFIX):
            if not isinstance(value, list | tuple | array.array):
                raise TypeError(f"parameter {self.name} must be {self.kind}, got {value!r}")
            return tuple(self._scalar(item) for item in value)
        return self._scalar(value)

    @property
    def constraints(self) -> str:
        """What the descriptor says beside the range, in words."""
        return "fixed after the start" if self.read_only else ""

    def range_fields(self, make: Callable[..., Any]) -> dict[str, Any]:
        """The field of rcl_interfaces/ParameterDescriptor for the bounds; {} without bounds.

        Args:
            make: `Graph.message`.
        """
        base = self.kind.removesuffix(ARRAY_SUFFIX)
        if self.minimum is None and self.maximum is None:
            return {}
        low = -_WIDEST if self.minimum is None else self.minimum
        high = _WIDEST if self.maximum is None else self.maximum
        if base == "integer":
            bounds = make(
                "rcl_interfaces/msg/IntegerRange", from_value=int(low), to_value=int(high)
            )
            return {"integer_range": [bounds]}
        bounds = make(
            "rcl_interfaces/msg/FloatingPointRange", from_value=float(low), to_value=float(high)
        )
        return {"floating_point_range": [bounds]}

    def _scalar(self, value: object) -> bool | int | float | str:
        wanted: Any = KINDS[self.kind.removesuffix(ARRAY_SUFFIX)]
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise TypeError(f"parameter {self.name} must be {self.kind}, got {value!r}")
        low, high = self.minimum, self.maximum
        # Asked in this way NaN, which compares false with everything, is out of all bounds.
        if isinstance(value, int | float) and not (
            (low is None or low <= value) and (high is None or value <= high)
        ):
            raise ValueError(f"parameter {self.name} must be in [{low}, {high}], got {value}")
        return wanted(value)


def kind_of(value: ParameterValue) -> str:
    """The kind of a value, as in `ParameterSpec.kind`."""
    if isinstance(value, tuple):
        if not value:
            raise ValueError("the kind of an empty array parameter must be given")
        return kind_of(value[0]) + ARRAY_SUFFIX
    return next(name for name, cls in KINDS.items() if isinstance(value, cls))
