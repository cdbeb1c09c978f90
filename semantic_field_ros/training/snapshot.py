"""What queries read while training goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from semantic_field_ros.field.radiance import RadianceField
from semantic_field_ros.semantics.base import FrozenMethod
from semantic_field_ros.types import SurfaceCloud


@dataclass(frozen=True)
class Snapshot:
    """One version of the map; nothing in it ever changes.

    Attributes:
        map_version: increases by one with every snapshot of a map.
        stamp_ns: of the newest keyframe in it.
        surface: the visible surface with its semantic features.
        field: a frozen copy of the field's parameters.
        methods: by name, how each semantic method answers.
    """

    map_version: int
    stamp_ns: int
    surface: SurfaceCloud
    field: RadianceField
    methods: dict[str, FrozenMethod] = field(default_factory=dict)
