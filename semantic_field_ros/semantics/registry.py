"""Semantic methods by name."""

from __future__ import annotations

from collections.abc import Callable

from semantic_field_ros.config import SemanticsConfig
from semantic_field_ros.semantics.base import MethodSetup, SemanticMethod
from semantic_field_ros.semantics.lerf import Lerf
from semantic_field_ros.semantics.maskfield import MaskField
from semantic_field_ros.semantics.ovnerf import OvNerf
from semantic_field_ros.semantics.sam_features import SamFeatures

_METHODS: dict[str, Callable[[SemanticsConfig, MethodSetup], SemanticMethod]] = {
    "sam_features": lambda config, setup: SamFeatures(config.sam_features, setup),
    "maskfield": lambda config, setup: MaskField(config.maskfield, setup),
    "lerf": lambda config, setup: Lerf(config.lerf, setup),
    "ovnerf": lambda config, setup: OvNerf(config.ovnerf, setup),
}
#: methods that know words, those that answer best first.
_WITH_WORDS = ("maskfield", "lerf", "ovnerf")
#: methods that learn from `FrameFeatures.pyramid`.
_TILED = frozenset({"lerf", "ovnerf"})


def check_methods(config: SemanticsConfig) -> None:
    """Before anything is loaded or learnt: whether the methods that the config names can be made.

    Raises:
        ValueError: a name that does not exist, or a method that lacks what it cannot do without.
    """
    _check_known(config)
    # No matter of the config alone: `semantic-field eval` has the classes of its source.
    if OvNerf.name in config.methods and len(config.ovnerf.classes) < 2:
        raise ValueError(
            "semantics.ovnerf.classes must list at least two phrases, such as [chair, table], "
            f"where semantics.methods has {OvNerf.name!r}, got {list(config.ovnerf.classes)}"
        )


def build_methods(config: SemanticsConfig, setup: MethodSetup) -> dict[str, SemanticMethod]:
    """The methods that the config names, by name, untrained.

    Raises:
        ValueError: a name that does not exist, with those that do.
    """
    _check_known(config)
    return {name: _METHODS[name](config, setup) for name in config.methods}


def text_method(config: SemanticsConfig) -> str | None:
    """Which of the methods answers phrases; None if none of them knows words.

    Raises:
        ValueError: the config names one that does not exist, or to answer one that is not trained.
    """
    _check_known(config)
    if not config.text_method:
        return next((name for name in _WITH_WORDS if name in config.methods), None)
    if config.text_method not in config.methods:
        raise ValueError(
            f"semantics.text_method must be among semantics.methods {list(config.methods)}, "
            f"or empty, got {config.text_method!r}"
        )
    return config.text_method


def needs_pyramid(config: SemanticsConfig) -> bool:
    """Whether a method that the config names learns from tiles."""
    return not _TILED.isdisjoint(config.methods)


def _check_known(config: SemanticsConfig) -> None:
    unknown = [name for name in config.methods if name not in _METHODS]
    if unknown:
        raise ValueError(f"semantics.methods must be among {sorted(_METHODS)}, got {unknown[0]!r}")
