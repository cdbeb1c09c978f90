"""The parameters of a node without rclpy, and the services by which `ros2 param` reaches them."""

from __future__ import annotations

import logging
import threading
from typing import Any

from semantic_field_ros.ros.graph import (
    Graph,
    OnParameters,
    ParameterSpec,
    ParameterValue,
    Qos,
)

logger = logging.getLogger(__name__)

#: rcl_interfaces/ParameterType: number and field of ParameterValue, by kind.
_TYPES = {
    "bool": (1, "bool_value"),
    "integer": (2, "integer_value"),
    "double": (3, "double_value"),
    "string": (4, "string_value"),
    "bool_array": (6, "bool_array_value"),
    "integer_array": (7, "integer_array_value"),
    "double_array": (8, "double_array_value"),
    "string_array": (9, "string_array_value"),
}
_FIELDS = {number: field for number, field in _TYPES.values()}
_NOT_SET = 0


class Parameters:
    """Declared parameters with their present values; may be used from several threads."""

    def __init__(self, graph: Graph, overrides: dict[str, Any]) -> None:
        """`overrides`: values from the arguments, by name."""
        self._graph = graph
        self._overrides = overrides
        self._specs: dict[str, ParameterSpec] = {}
        self._values: dict[str, ParameterValue] = {}
        self._callbacks: list[OnParameters] = []
        self._lock = threading.RLock()
        self._events = graph.publisher(
            "rcl_interfaces/msg/ParameterEvent", "/parameter_events", Qos(depth=1000)
        )
        for service, handler in {
            "GetParameters": self._serve_get,
            "GetParameterTypes": self._serve_types,
            "SetParameters": self._serve_set,
            "SetParametersAtomically": self._serve_set_atomically,
            "DescribeParameters": self._serve_describe,
            "ListParameters": self._serve_list,
        }.items():
            graph.serve(f"rcl_interfaces/srv/{service}", f"~/{_snake(service)}", handler)

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        """The value: from the arguments if they name it, else the default.

        Raises:
            ValueError, TypeError: declared twice, or an override that does not fit.
        """
        with self._lock:
            if spec.name in self._specs:
                raise ValueError(f"parameter {spec.name} is already declared")
            value = spec.checked(self._overrides.get(spec.name, spec.default))
            self._specs[spec.name], self._values[spec.name] = spec, value
        self._tell("new_parameters", {spec.name: value})
        return value

    def get(self, name: str) -> ParameterValue:
        """The present value.

        Raises:
            ValueError: not declared.
        """
        with self._lock:
            self.spec(name)
            return self._values[name]

    def spec(self, name: str) -> ParameterSpec:
        """As it was declared.

        Raises:
            ValueError: not declared.
        """
        with self._lock:
            if name not in self._specs:
                raise ValueError(f"parameter {name!r} is not declared")
            return self._specs[name]

    def on_change(self, callback: OnParameters) -> None:
        """Calls back before changes that are made together; a ValueError refuses them all."""
        self._callbacks.append(callback)

    def set(self, changes: dict[str, object]) -> None:
        """Changes all or none.

        Raises:
            ValueError, TypeError: not declared, read-only, wrong type, out of bounds, refused.
        """
        with self._lock:
            checked = {name: self._checked(name, value) for name, value in changes.items()}
            for callback in self._callbacks:
                callback(checked)
            self._values.update(checked)
        self._tell("changed_parameters", checked)

    def _checked(self, name: str, value: object) -> ParameterValue:
        spec = self._specs.get(name)
        if spec is None:
            raise ValueError(f"parameter {name!r} is not declared")
        if spec.read_only:
            raise ValueError(f"parameter {name} is read-only: {spec.constraints}")
        return spec.checked(value)

    def _tell(self, group: str, values: dict[str, ParameterValue]) -> None:
        make = self._graph.message
        listed = [
            make("rcl_interfaces/msg/Parameter", name=name, value=self._value_message(name))
            for name in values
        ]
        now_ns = self._graph.now_ns()
        stamp = make("builtin_interfaces/msg/Time", sec=now_ns // 10**9, nanosec=now_ns % 10**9)
        fields = {"stamp": stamp, "node": self._graph.name, group: listed}
        self._events.publish(make("rcl_interfaces/msg/ParameterEvent", **fields))

    def _value_message(self, name: str) -> Any:
        make = self._graph.message
        with self._lock:
            if name not in self._specs:
                return make("rcl_interfaces/msg/ParameterValue", type=_NOT_SET)
            number, field = _TYPES[self._specs[name].kind]
            fields = {"type": number, field: self._values[name]}
        return make("rcl_interfaces/msg/ParameterValue", **fields)

    def _serve_get(self, request: Any) -> Any:
        values = [self._value_message(name) for name in request.names]
        return self._graph.message("rcl_interfaces/srv/GetParameters_Response", values=values)

    def _serve_types(self, request: Any) -> Any:
        types = [self._value_message(name).type for name in request.names]
        return self._graph.message("rcl_interfaces/srv/GetParameterTypes_Response", types=types)

    def _serve_set(self, request: Any) -> Any:
        results = [self._try_set([parameter]) for parameter in request.parameters]
        return self._graph.message("rcl_interfaces/srv/SetParameters_Response", results=results)

    def _serve_set_atomically(self, request: Any) -> Any:
        return self._graph.message(
            "rcl_interfaces/srv/SetParametersAtomically_Response",
            result=self._try_set(request.parameters),
        )

    def _try_set(self, parameters: list[Any]) -> Any:
        reason = ""
        try:
            self.set({parameter.name: _python_value(parameter.value) for parameter in parameters})
        except (ValueError, TypeError) as error:
            reason = str(error)
        return self._graph.message(
            "rcl_interfaces/msg/SetParametersResult", successful=not reason, reason=reason
        )

    def _serve_describe(self, request: Any) -> Any:
        with self._lock:
            specs = [self._specs.get(name) for name in request.names]
        described = [
            self._graph.message("rcl_interfaces/msg/ParameterDescriptor", name=name)
            if spec is None
            else self._descriptor(spec)
            for name, spec in zip(request.names, specs, strict=True)
        ]
        return self._graph.message(
            "rcl_interfaces/srv/DescribeParameters_Response", descriptors=described
        )

    def _descriptor(self, spec: ParameterSpec) -> Any:
        return self._graph.message(
            "rcl_interfaces/msg/ParameterDescriptor",
            name=spec.name,
            type=_TYPES[spec.kind][0],
            description=spec.description,
            additional_constraints=spec.constraints,
            read_only=spec.read_only,
            **spec.range_fields(self._graph.message),
        )

    def _serve_list(self, request: Any) -> Any:
        with self._lock:
            names = sorted(self._specs)
        if request.prefixes:
            wanted = tuple(f"{prefix}." for prefix in request.prefixes)
            names = [n for n in names if n in request.prefixes or n.startswith(wanted)]
        if request.depth:
            names = [name for name in names if name.count(".") < request.depth]
        prefixes = sorted({name.rpartition(".")[0] for name in names if "." in name})
        result = self._graph.message(
            "rcl_interfaces/msg/ListParametersResult", names=names, prefixes=prefixes
        )
        return self._graph.message("rcl_interfaces/srv/ListParameters_Response", result=result)


def _python_value(message: Any) -> object:
    if message.type not in _FIELDS:
        raise ValueError(f"parameter type must be one of {sorted(_FIELDS)}, got {message.type}")
    value = getattr(message, _FIELDS[message.type])
    if hasattr(value, "tolist"):
        value = value.tolist()
    return tuple(value) if isinstance(value, list) else value


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
