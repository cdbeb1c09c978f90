"""What is kept of the stream, the field and how it is trained."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class SceneConfig:
    """Where the map is."""

    #: (x_min, y_min, z_min, x_max, y_max, z_max) metres in the map frame; None = fixed once from
    #: the first keyframes.
    box_m: tuple[float, ...] | None = None
    #: margin added around the box seen by the first keyframes, metres.
    margin_m: float = 0.3
    #: keyframes (with depth, or camera positions alone) that fix the box; fewer if no more fit.
    keyframes_to_fix_box: int = 8

    def __post_init__(self) -> None:
        box = self.box_m
        if box is None:
            return
        if len(box) != 6 or not all(box[axis] < box[axis + 3] for axis in range(3)):
            raise ValueError(
                f"scene.box_m must be 6 numbers, minimum corner below maximum, got {box}"
            )


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

    def __post_init__(self) -> None:
        if not (1 <= self.levels <= 32 and 3 <= self.log2_entries <= 24):
            raise ValueError(
                "grid needs 1..32 levels and log2_entries in 3..24, "
                f"got {self.levels} and {self.log2_entries}"
            )
        if self.features not in (2, 4, 8):
            raise ValueError(f"grid features must be 2, 4 or 8, got {self.features}")
        if self.base_resolution < 2 or self.growth < 1:
            raise ValueError(
                "grid needs base_resolution >= 2 and growth >= 1, "
                f"got {self.base_resolution} and {self.growth}"
            )
        finest = self.base_resolution * self.growth ** (self.levels - 1)
        if finest > 2**20:
            raise ValueError(
                f"the finest level must have at most 2^20 cells a side, got {finest:.3g}"
            )


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
    #: how many of them, but not all, lie in the free space before the surface.
    samples_in_free_space: int = 5
    #: samples per ray without depth.
    samples_without_depth: int = 48

    def __post_init__(self) -> None:
        if self.samples_in_free_space >= self.samples_with_depth:
            raise ValueError(
                "field.samples_in_free_space must be less than field.samples_with_depth, "
                f"got {self.samples_in_free_space} and {self.samples_with_depth}"
            )


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
    #: weight of haze before surfaces (rays without depth); it falls with the learning rates.
    haze_weight: float = 0.0005
    #: learning rates fall to a half when the keyframes' mean age reaches this many steps.
    settle_steps: int = 500
    #: training starts after this many keyframes; fewer if no more fit.
    keyframes_to_start: int = 4
    #: seconds between published snapshots; more where they would take over a fifth of the time.
    snapshot_every_s: float = 4.0
    #: steps after which training idles until new keyframes arrive; 0 = never.
    max_steps_without_news: int = 4000
    #: CPU threads shared by torch, numba and the 2D models; 0 = all cores.
    threads: int = 0
    #: seed of every random choice.
    seed: int = 0


@dataclass(frozen=True)
class SurfaceConfig:
    """The point cloud that answers are made of."""

    #: edge of the finest voxels in which points are merged, metres; they double with the distance
    #: from which a place was seen, up to eight times.
    voxel_m: float = 0.005
    #: most points.
    max_points: int = 200_000
    #: pixels between samples of the surface in a keyframe; over so many depth is averaged.
    stride_px: int = 3


@dataclass(frozen=True)
class MapConfig:
    """Where maps live, and which one is kept there by itself."""

    #: maps are saved and loaded inside this folder only.
    folder: str = "maps"
    #: name of a saved map to start from; "" = start anew. If it is the one that `autosave` names,
    #: it may be missing at the first start.
    load: str = ""
    #: seconds between two savings of a map that has changed, and it is saved at the end;
    #: 0 = it is saved when asked only.
    autosave_s: float = 0.0
    #: name under which it is then saved, in place of what was there before.
    autosave: str = "autosave"
