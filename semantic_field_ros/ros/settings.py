"""The node's parameters: what it subscribes to, and the whole config tree by dotted names."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from semantic_field_ros.config import Config, from_dict
from semantic_field_ros.config.ranges import range_of
from semantic_field_ros.ros.camera_settings import (
    CAMERA_SPECS,
    CameraSettings,
    declare_cameras,
)
from semantic_field_ros.ros.graph import TF_CACHE, Graph, ParameterSpec, ParameterValue
from semantic_field_ros.ros.graph_part import GraphPart

POSE_SOURCES = ("tf", "pose", "odometry")

#: Fixed after the start: what the map or the names of parameters depend on. A change of the others
#: costs frames that wait, nothing more.
_FIXED = frozenset({"map_frame", "cameras", "autostart", "costmap_period_s"})
_NODE_SPECS = (
    ParameterSpec(
        "map_frame", "map", "frame of the map; answers are in it unless asked otherwise"
    ),
    ParameterSpec(
        "cameras",
        ("camera",),
        "names of the cameras; with several, relative topics are under NAME/",
    ),
    ParameterSpec(
        "tf_timeout_s",
        0.5,
        "a frame waits this long for pose, depth and ignore mask, a click for its pose, seconds",
        0.0,
        10.0,
    ),
    ParameterSpec("queue", 30, "frames of a camera that may wait for depth or pose", 1, 1000),
    ParameterSpec("pose_source", "tf", f"one of {', '.join(POSE_SOURCES)}"),
    ParameterSpec(
        "pose_frame",
        "",
        "frame whose pose the topic tells; empty = with odometry its child frame, with pose the "
        "optical frame of the only camera",
    ),
    ParameterSpec(
        "corrected_frame",
        "",
        "frame whose poses the topic `corrected_path` tells; empty = `pose_frame`, and without "
        "that the optical frame of the first camera",
    ),
    ParameterSpec("status_period_s", 1.0, "time between two ~/status, seconds", 0.1, 60.0),
    ParameterSpec(
        "costmap_period_s", 5.0, "least time between two ~/costmap, seconds", 0.1, 3600.0
    ),
    ParameterSpec("autostart", True, "begin to map at once; else ros2 lifecycle brings it up"),
    ParameterSpec(
        "self_check_s",
        5.0,
        "what keeps the node from mapping is logged when it has lasted so many seconds",
        0.1,
        600.0,
    ),
    ParameterSpec(
        "memory_budget_mb",
        0.0,
        "resident memory that diagnostics warn of, MB; 0 = all that the machine has",
        0.0,
        1e8,
    ),
)
_OF_NODE = tuple(dataclasses.replace(spec, read_only=spec.name in _FIXED) for spec in _NODE_SPECS)
_SPECS = (*_OF_NODE, TF_CACHE, *CAMERA_SPECS)
#: Groups of the config tree that may change while the node runs.
_LIVE_GROUPS = ("queries.",)


@dataclass(frozen=True)
class NodeSettings:
    """The parameters above, by name; times in seconds."""

    map_frame: str
    cameras: tuple[CameraSettings, ...]
    tf_timeout_s: float
    queue: int
    pose_source: str
    pose_frame: str
    corrected_frame: str
    status_period_s: float
    costmap_period_s: float
    autostart: bool
    self_check_s: float
    memory_budget_mb: float

    def __post_init__(self) -> None:
        if self.pose_source not in POSE_SOURCES:
            raise ValueError(
                f"pose_source must be one of {POSE_SOURCES}, got {self.pose_source!r}"
            )
        if not self.map_frame:
            raise ValueError(f"map_frame must not be empty, got {self.map_frame!r}")
        if self.pose_source == "pose" and not self.pose_frame and len(self.cameras) > 1:
            raise ValueError(
                "pose_frame must name the frame whose pose the topic `pose` tells, for the "
                f"{len(self.cameras)} cameras cannot all be there, got {self.pose_frame!r}"
            )


def declare_settings(graph: Graph) -> NodeSettings:
    """Declares the border's parameters and reads them.

    Raises:
        ValueError, TypeError: a value that makes no sense.
    """
    values: dict[str, Any] = {spec.name: graph.declare(spec) for spec in _OF_NODE}
    values["cameras"] = declare_cameras(graph, values["cameras"])
    return NodeSettings(**values)


def declare_config(graph: Graph) -> Config:
    """Declares every leaf of the config tree (`training.rays`, …) and builds the tree.

    Raises:
        ValueError, TypeError: a value that makes no sense.
    """
    tree: dict[str, Any] = {}
    for spec, optional in config_specs():
        value = graph.declare(spec)
        *groups, leaf = spec.name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = None if optional and value == () else value
    return from_dict(tree)


class Present(GraphPart):
    """Stands in where parameters were declared before: `declare` tells their present values."""

    def __init__(self, graph: Graph, changes: Mapping[str, ParameterValue] | None = None) -> None:
        """`changes`: values that are asked for and not in force yet, by name."""
        super().__init__(graph)
        self._changes = changes or {}

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        """The value that the parameter has, or would have.

        Where nobody has set it, a default that comes from another parameter follows that one.
        """
        if spec.name in self._changes:
            return self._changes[spec.name]
        value = self.parameter(spec.name)
        return spec.default if value == self.declared(spec.name).default else value


def config_specs(
    cls: type = Config, default: Any = None, prefix: str = ""
) -> list[tuple[ParameterSpec, bool]]:
    """Every leaf of a config dataclass as a parameter, and whether an empty array means None."""
    default = cls() if default is None else default
    comments, hints = _comments(cls), typing.get_type_hints(cls)
    specs: list[tuple[ParameterSpec, bool]] = []
    for item in dataclasses.fields(cls):
        name, value = f"{prefix}{item.name}", getattr(default, item.name)
        if dataclasses.is_dataclass(value):
            specs += config_specs(type(value), value, f"{name}.")
        else:
            kind, optional = _kind(hints[item.name])
            start: ParameterValue = () if optional and value is None else value
            text, fixed = comments.get(item.name, ""), not name.startswith(_LIVE_GROUPS)
            is_number = kind.startswith(("integer", "double"))
            least, most = range_of(item.name) if is_number else (None, None)
            spec = ParameterSpec(name, start, text, least, most, fixed, kind)
            specs.append((spec, optional))
    return specs


def _kind(hint: Any) -> tuple[str, bool]:
    """Parameter kind of a type hint, and whether it may be None."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    plain = next(option for option in options if option is not type(None))
    is_array = typing.get_origin(plain) is tuple
    scalar = typing.get_args(plain)[0] if is_array else plain
    name = {bool: "bool", int: "integer", float: "double", str: "string"}[scalar]
    return (f"{name}_array" if is_array else name), type(None) in options


@functools.cache  # parsing source in two threads at a time can crash Python 3.11
def _comments(cls: type) -> dict[str, str]:
    """The `#:` lines above each field of a config dataclass."""
    found = re.findall(r"((?:^ +#:.*\n)+) +(\w+):", inspect.getsource(cls), re.MULTILINE)
    return {
        name: " ".join(line.strip().removeprefix("#:").strip() for line in text.splitlines())
        for text, name in found
    }
