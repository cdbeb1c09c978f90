"""The config tree: frozen dataclasses with a line of meaning per field.

To add an option, add a field with its comment to the dataclass that it belongs to, and its range
to `ranges.py` unless every number that is not negative will do; a new dataclass is a field of the
one above it and a name here.
"""

from semantic_field_ros.config.asking import ImaginationConfig, ModelsConfig, QueriesConfig
from semantic_field_ros.config.mapping import (
    FieldConfig,
    GridConfig,
    KeyframesConfig,
    MapConfig,
    SceneConfig,
    SurfaceConfig,
    TrainingConfig,
)
from semantic_field_ros.config.navigation import NavigationConfig
from semantic_field_ros.config.semantics import (
    LerfConfig,
    MaskFieldConfig,
    ObjectFieldConfig,
    OvNerfConfig,
    PyramidConfig,
    SamFeaturesConfig,
    SemanticsConfig,
)
from semantic_field_ros.config.tree import (
    Config,
    from_dict,
    load_config,
    overlaid,
    parse_yaml,
    to_dict,
)

__all__ = [
    "Config",
    "FieldConfig",
    "GridConfig",
    "ImaginationConfig",
    "KeyframesConfig",
    "LerfConfig",
    "MapConfig",
    "MaskFieldConfig",
    "ModelsConfig",
    "NavigationConfig",
    "ObjectFieldConfig",
    "OvNerfConfig",
    "PyramidConfig",
    "QueriesConfig",
    "SamFeaturesConfig",
    "SceneConfig",
    "SemanticsConfig",
    "SurfaceConfig",
    "TrainingConfig",
    "from_dict",
    "load_config",
    "overlaid",
    "parse_yaml",
    "to_dict",
]
