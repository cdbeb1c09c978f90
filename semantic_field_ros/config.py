"""The configuration tree: one dataclass per room, one line of meaning per field.

YAML mirrors the tree; unknown keys and wrong types are refused with the choices that exist.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class SceneConfig:
    """Where the map is."""

    #: (x_min, y_min, z_min, x_max, y_max, z_max) metres in the map frame; None = fixed once from
    #: the first keyframes.
    box_m: tuple[float, ...] | None = None
    #: margin added around the box seen by the first keyframes, metres.
    margin_m: float = 0.3
    #: keyframes (with depth, or camera positions alone) that fix the box.
    keyframes_to_fix_box: int = 8


@dataclass(frozen=True)
class KeyframesConfig:
    """Which frames are kept."""

    #: keyframes held in the replay memory; beyond it the most redundant one is evicted.
    capacity: int = 240
    #: a frame this far from the last keyframe is kept, metres.
    min_translation_m: float = 0.05
    #: or turned this far, degrees.
    min_rotation_deg: float = 5.0
    #: or this old, seconds; 0 keeps only frames that moved.
    max_gap_s: float = 2.0
    #: frames below this share of the running median sharpness are refused as blurred.
    min_sharpness: float = 0.35
    #: images are reduced to at most this width before they are kept, pixels; 0 = as they come.
    max_width_px: int = 640
    #: share of the rays that come from the newest keyframes.
    recent_share: float = 0.3


@dataclass(frozen=True)
class GridConfig:
    """A multi-resolution hash grid (Müller et al. 2022)."""

    #: resolution levels.
    levels: int = 8
    #: features per level.
    features: int = 4
    #: log2 of the entries per level.
    log2_entries: int = 16
    #: cells per side at the coarsest level.
    base_resolution: int = 16
    #: factor between neighbouring levels.
    growth: float = 1.9


@dataclass(frozen=True)
class FieldConfig:
    """Geometry and colour."""

    #: "auto" picks the fastest available of "tcnn", "numba", "torch".
    backend: str = "auto"
    #: the hash grid of density and colour.
    grid: GridConfig = dataclasses.field(default_factory=GridConfig)
    #: width of the density and colour MLPs.
    hidden: int = 64
    #: features that density hands to colour.
    geometry_features: int = 15
    #: voxels per side of the occupancy grid.
    occupancy_resolution: int = 96
    #: samples per ray when the sensor's depth guides them.
    samples_with_depth: int = 16
    #: how many of them lie in the free space before the surface.
    samples_in_free_space: int = 5
    #: samples per ray without depth.
    samples_without_depth: int = 48


@dataclass(frozen=True)
class TrainingConfig:
    """How the field is trained while the robot moves."""

    #: rays per step.
    rays: int = 1536
    #: learning rate of hash tables.
    grid_learning_rate: float = 1e-2
    #: learning rate of the MLPs.
    mlp_learning_rate: float = 4e-3
    #: weight of expected-depth L1 (1/m).
    depth_weight: float = 0.1
    #: weight of the mass in empty space before the surface.
    empty_weight: float = 0.1
    #: weight of the mass missing near the surface.
    surface_weight: float = 0.05
    #: standard deviation of the sensor's depth z is this times z² (1/m).
    depth_noise_per_m: float = 0.002
    #: half width of the band around the measured depth that holds the surface, metres; three
    #: standard deviations of the sensor and what the pose may be off come on top.
    surface_band_m: float = 0.015
    #: what the pose may be off, as a share of the distance.
    pose_noise_share: float = 0.005
    #: weight of the distortion regularisation (rays without depth).
    distortion_weight: float = 0.003
    #: weight of what passes through everything (rays without depth).
    transparency_weight: float = 0.002
    #: learning rates fall to a half when the keyframes' mean age reaches this many steps.
    settle_steps: int = 500
    #: geometry steps per step of each semantic method.
    semantic_every: int = 4
    #: training starts after this many keyframes.
    keyframes_to_start: int = 4
    #: seconds between published snapshots.
    snapshot_every_s: float = 4.0
    #: steps after which training idles until new keyframes arrive; 0 = never.
    max_steps_without_news: int = 4000
    #: CPU threads shared by torch, numba and the 2D models; 0 = all cores.
    threads: int = 0
    #: seed of every random choice.
    seed: int = 0


@dataclass(frozen=True)
class ModelsConfig:
    """The 2D foundation models."""

    #: "tiny", "ARCHITECTURE:CHECKPOINT_OR_TAG" (OpenCLIP) or "package.module:ClassName".
    language: str = "tiny"
    #: "tiny", "vit_b|vit_l|vit_h:CHECKPOINT" (Segment Anything) or "package.module:ClassName".
    segmenter: str = "tiny"
    #: keyframes waiting for features; beyond it the oldest waiting one is dropped and counted.
    queue: int = 64
    #: prompts spent on finding everything in one keyframe.
    proposal_prompts: int = 72


@dataclass(frozen=True)
class ImaginationConfig:
    """Views between keyframes, rendered from the map for methods that learn from them."""

    #: most of the feature thread's time spent on them, in [0, 1), and only while no keyframe waits
    #: and training goes on; 0 = none are made.
    time_share: float = 0.1
    #: they are rendered at most this wide, pixels.
    max_width_px: int = 320


@dataclass(frozen=True)
class SamFeaturesConfig:
    """SAN's feature imitation."""

    #: the semantic hash grid.
    grid: GridConfig = dataclasses.field(
        default_factory=lambda: GridConfig(levels=6, log2_entries=14)
    )
    #: width of the decoder after quadrature.
    hidden: int = 128
    #: a step renders a square of the embedding with this many cells a side.
    window_cells: int = 24
    #: learning rate.
    learning_rate: float = 3e-3
    #: it falls to a half when the captured views' mean age reaches this many steps.
    settle_steps: int = 300
    #: also imitate the segmenter's features at other depths, with the cross-scale correlation
    #: loss; a decoder a scale, and as much more time and memory.
    pyramid: bool = False
    #: of the 256 views in the cache, those that may be imagined ones (camera augmentation); the
    #: rest are captured keyframes. 0 = captured ones alone.
    imagined_views: int = 96


@dataclass(frozen=True)
class MaskFieldConfig:
    """MaskField's features and scene queries."""

    #: the mask hash grid.
    grid: GridConfig = dataclasses.field(
        default_factory=lambda: GridConfig(levels=7, features=4, log2_entries=15)
    )
    #: width of a mask feature.
    feature_dim: int = 24
    #: most scene queries; beyond it the least supported one is replaced.
    max_queries: int = 256
    #: rays per step.
    rays: int = 384
    #: learning rate.
    learning_rate: float = 1e-2


@dataclass(frozen=True)
class SemanticsConfig:
    """Which semantic methods are trained."""

    #: any of "sam_features", "maskfield".
    methods: tuple[str, ...] = ("sam_features", "maskfield")
    #: which method answers text queries.
    text_method: str = "maskfield"
    #: options of `sam_features`.
    sam_features: SamFeaturesConfig = dataclasses.field(default_factory=SamFeaturesConfig)
    #: options of `maskfield`.
    maskfield: MaskFieldConfig = dataclasses.field(default_factory=MaskFieldConfig)


@dataclass(frozen=True)
class QueriesConfig:
    """How questions are answered."""

    #: keyframes in which a click is decoded.
    click_views: int = 6
    #: and for a refined answer.
    refined_views: int = 24
    #: "cached" (features of the keyframe) or "rendered" (features of the field).
    click_features: str = "cached"
    #: surface points this many of their spacings apart belong together.
    link_spacings: float = 2.5
    #: components with fewer points are noise.
    min_points: int = 12


@dataclass(frozen=True)
class SurfaceConfig:
    """The point cloud that answers are made of."""

    #: edge of the finest voxels in which points are merged, metres; they double with the distance
    #: from which a place was seen, up to eight times.
    voxel_m: float = 0.005
    #: most points.
    max_points: int = 200_000
    #: pixels between surface rays in a keyframe.
    stride_px: int = 3


@dataclass(frozen=True)
class MapConfig:
    """Where maps live."""

    #: maps are saved and loaded inside this folder only.
    folder: str = "maps"


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
    map: MapConfig = dataclasses.field(default_factory=MapConfig)


def from_dict(tree: dict[str, Any], cls: type = Config, path: str = "") -> Any:
    """Builds a config from nested dicts, checking names and types.

    Raises:
        ValueError: a key that does not exist, with those that do.
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


def load_config(path: str | Path, overrides: dict[str, Any] | None = None) -> Config:
    """Reads a YAML file; `overrides` is a nested dict laid over it."""
    tree = yaml.safe_load(Path(path).read_text()) or {}
    return from_dict(_merge(tree, overrides or {}))


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
