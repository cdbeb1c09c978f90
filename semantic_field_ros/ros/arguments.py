"""`--ros-args`, as every ROS 2 program takes them: names, remappings, parameters.

For graphs without rclpy, which parses them itself, and for launch files that must know them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from semantic_field_ros.config import parse_yaml

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SELF = ("__node", "__name")
_TAKES_NOTHING = ("--enable-", "--disable-")


class _Loader(yaml.SafeLoader):
    """Reads numbers as rcl does: an exponent makes a double, without a dot or sign too."""


_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


@dataclass
class Remap:
    """`source` becomes `target` in the node called `node` ("" = any)."""

    node: str
    source: str
    target: str


@dataclass
class RosArguments:
    """What the command line says about one node.

    Attributes:
        node: name of the node.
        namespace: absolute, "/" at the root.
        remaps: in order; the first that fits wins.
        parameters: values by dotted name.
        log_level: debug, info, warn, error, fatal, or "".
        others: arguments that are not ROS's.
    """

    node: str
    namespace: str = "/"
    remaps: list[Remap] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    log_level: str = ""
    others: list[str] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        """Absolute name of the node."""
        return f"{self.namespace.rstrip('/')}/{self.node}"

    def expand(self, name: str) -> str:
        """The absolute form of a relative, private or absolute name, without remapping."""
        if name.startswith("/"):
            return name
        if name == "~" or name.startswith("~/"):
            return self.full_name + name[1:]
        return f"{self.namespace.rstrip('/')}/{name}"

    def resolve(self, name: str) -> str:
        """The absolute, remapped name of a topic or service.

        Raises:
            ValueError: not a valid ROS name.
        """
        check_name(name)
        absolute = self.expand(name)
        for remap in self.remaps:
            if remap.node in ("", self.node) and self.expand(remap.source) == absolute:
                return self.expand(remap.target)
        return absolute


def check_name(name: str, what: str = "name") -> None:
    """Refuses what is no name of a topic or service.

    Args:
        name: relative, `~/private` or absolute.
        what: the parameter or argument that holds it.

    Raises:
        ValueError: not a valid ROS name.
    """
    parts = name.removeprefix("~/" if name.startswith("~/") else "/").split("/")
    if not all(_NAME.fullmatch(part) for part in parts):
        raise ValueError(f"{what} must be letters, digits, _ and / (or ~/…), got {name!r}")


def parse_arguments(argv: list[str], default_node: str) -> RosArguments:
    """Reads `--ros-args … [--]` sections out of `argv` (without the program's name).

    Raises:
        ValueError: an argument that ROS does not know, or a malformed rule.
    """
    arguments = RosArguments(default_node)
    rules: list[tuple[str, str]] = []
    words = iter(argv)
    for word in words:
        if word == "--ros-args":
            _section(words, arguments, rules)
        else:
            arguments.others.append(word)
    for kind, text in rules:
        if kind == "remap":
            _remap(arguments, text)
    for kind, text in rules:  # names first: they decide which parameters are ours
        if kind == "param":
            _parameter(arguments, text)
        elif kind == "file":
            _parameter_file(arguments, Path(text))
    return arguments


def _section(words: Iterator[str], arguments: RosArguments, rules: list[tuple[str, str]]) -> None:
    kinds = {
        "-r": "remap",
        "--remap": "remap",
        "-p": "param",
        "--param": "param",
        "--params-file": "file",
    }
    for word in words:
        if word == "--":
            return
        if word in kinds:
            rules.append((kinds[word], _value(words, word)))
        elif word == "--log-level":
            arguments.log_level = _value(words, word).rsplit(":=", 1)[-1].lower()
        elif word in ("-e", "--enclave", "--log-config-file"):
            _value(words, word)
        elif not word.startswith(_TAKES_NOTHING):
            raise ValueError(f"unknown ROS argument {word!r}; expected -r, -p or --params-file")


def _value(words: Iterator[str], option: str) -> str:
    value = next(words, None)
    if value is None:
        raise ValueError(f"{option} must be followed by a value, got the end of the arguments")
    return value


def _split_rule(text: str) -> tuple[str, str, str]:
    """`[node:]name:=value` into (node, name, value)."""
    left, found, value = text.partition(":=")
    node, colon, name = left.rpartition(":")
    if not found or not name or (colon and not node) or "://" in left:
        raise ValueError(f"rule must be [node:]name:=value, got {text!r}")
    return node, name, value


def _remap(arguments: RosArguments, text: str) -> None:
    node, source, target = _split_rule(text)
    if source in _SELF or source == "__ns":
        if node not in ("", arguments.node):
            return
        if source == "__ns":
            arguments.namespace = "/" + target.strip("/")
        elif not _NAME.fullmatch(target):
            raise ValueError(f"node name must be letters, digits and _, got {target!r}")
        else:
            arguments.node = target
        return
    check_name(target, f"target of the rule {text!r}")
    arguments.remaps.append(Remap(node, source, target))


def _parameter(arguments: RosArguments, text: str) -> None:
    node, name, value = _split_rule(text)
    if node in ("", arguments.node):
        arguments.parameters[name] = parse_yaml(value, f"parameter {name!r}", _Loader)


def _parameter_file(arguments: RosArguments, path: Path) -> None:
    tree = parse_yaml(path.read_bytes(), str(path), _Loader)
    try:
        for pattern, values in _nodes_in(_mapping(tree, "node names"), ""):
            if _fits(pattern, arguments.full_name):
                arguments.parameters.update(_flatten(values, ""))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _nodes_in(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs of name pattern and parameter tree, in file order."""
    for key, value in tree.items():
        if key == "ros__parameters":
            yield prefix, _mapping(value, f"parameters of {prefix}")
        elif isinstance(value, dict):
            yield from _nodes_in(value, f"{prefix}/{str(key).strip('/')}")
        else:
            raise ValueError(f"expected ros__parameters under {prefix or '/'}, got {key!r}")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    """Nothing at all, or comments alone, is an empty one."""
    if not isinstance(value, dict | None):
        raise ValueError(f"{what} must be a mapping, got {value!r}")
    return value or {}


def _fits(pattern: str, full_name: str) -> bool:
    """`**` is any number of tokens, `*` is one."""
    escaped = re.escape(pattern).replace(r"/\*\*", "(/[^/]+)*").replace(r"\*", "[^/]+")
    return re.fullmatch(escaped, full_name) is not None


def _flatten(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
