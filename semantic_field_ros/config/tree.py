"""The whole config tree, read from YAML; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from semantic_field_ros.config.asking import ImaginationConfig, ModelsConfig, QueriesConfig
from semantic_field_ros.config.mapping import (
    FieldConfig,
    KeyframesConfig,
    MapConfig,
    SceneConfig,
    SurfaceConfig,
    TrainingConfig,
)
from semantic_field_ros.config.navigation import NavigationConfig
from semantic_field_ros.config.ranges import check_ranges
from semantic_field_ros.config.semantics import SemanticsConfig


@dataclass(frozen=True)
class Config:
    """Everything that `SemanticField` can be told."""

    scene: SceneConfig = dataclasses.field(default_factory=SceneConfig)
    keyframes: KeyframesConfig = dataclasses.field(default_factory=KeyframesConfig)
    field: FieldConfig = dataclasses.field(default_factory=FieldConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    models: ModelsConfig = dataclasses.field(default_factory=ModelsConfig)
    semantics: SemanticsConfig = dataclasses.field(default_factory=SemanticsConfig)
    imagination: ImaginationConfig = dataclasses.field(default_factory=ImaginationConfig)
    queries: QueriesConfig = dataclasses.field(default_factory=QueriesConfig)
    surface: SurfaceConfig = dataclasses.field(default_factory=SurfaceConfig)
    navigation: NavigationConfig = dataclasses.field(default_factory=NavigationConfig)
    map: MapConfig = dataclasses.field(default_factory=MapConfig)

    def __post_init__(self) -> None:
        """Raises ValueError for a number out of its range or a word that is no choice."""
        check_ranges(to_dict(self))


def from_dict(tree: dict[str, Any], cls: type = Config, path: str = "") -> Any:
    """Builds a config from nested dicts, checking names and types.

    Raises:
        ValueError: a key that does not exist, with those that do, or a value out of its range.
        TypeError: a value of the wrong type.
    """
    if not isinstance(tree, dict):
        raise TypeError(f"{path or 'config'} must be a mapping, got {type(tree).__name__}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(tree) - set(hints))
    if unknown:
        raise ValueError(f"unknown config key {path}{unknown[0]}; expected one of {sorted(hints)}")
    return cls(**{k: _convert(v, hints[k], f"{path}{k}") for k, v in tree.items()})


def _convert(value: Any, hint: Any, path: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(value, typing.cast(type, hint), f"{path}.")
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        origin = typing.get_origin(option) or option
        if origin is tuple and isinstance(value, list | tuple):
            inner = typing.get_args(option)[0]
            return tuple(_convert(v, inner, f"{path}[{i}]") for i, v in enumerate(value))
        if origin is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, origin) and not (origin is int and isinstance(value, bool)):
            return value
    raise TypeError(f"{path} must be {hint}, got {value!r}")


def to_dict(config: Any) -> dict[str, Any]:
    """The nested dict of a config, as `from_dict` takes it."""
    return dataclasses.asdict(config)


def overlaid(config: Config, overrides: Mapping[str, Any]) -> Config:
    """The config with nested dicts laid over it; raises as `from_dict`."""
    merged: Config = from_dict(_merge(to_dict(config), overrides))
    return merged


def parse_yaml(text: str | bytes, place: str, loader: Any = yaml.SafeLoader) -> Any:
    """What a YAML text says.

    Args:
        text: a whole document; bytes are decoded as YAML prescribes.
        place: where it stands, for errors.
        loader: class that makes values of it.

    Raises:
        ValueError: malformed; names the place, with line and column where they are known.
    """
    try:
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        mark, said = error.problem_mark, (error.context, error.problem)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}: {where}{': '.join(filter(None, said))}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{place}: {' '.join(str(error).split())}") from None


def load_config(path: str | Path, overrides: dict[str, Any] | None = None) -> Config:
    """Reads a YAML file; `overrides` is a nested dict laid over it.

    Raises:
        ValueError: not YAML, or as `from_dict`.
        TypeError: as `from_dict`.
        OSError: cannot be read.
    """
    tree = parse_yaml(Path(path).read_bytes(), str(path)) or {}
    if not isinstance(tree, dict):
        raise TypeError(f"{path} must hold options by name, got a {type(tree).__name__}")
    return from_dict(_merge(tree, overrides or {}))


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
