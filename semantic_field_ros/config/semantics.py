"""Which semantic methods are trained, and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from semantic_field_ros.config.mapping import GridConfig


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
    #: rays a side of a cell; a single one knows nothing of the edges inside of its cell.
    rays_per_cell: int = 1
    #: whether a ray sees the one point where it is stopped (eq. 7), not all that is along it.
    surface: bool = False
    #: steps of the geometry per step of this method.
    every: int = 4
    #: learning rate.
    learning_rate: float = 3e-3
    #: it falls to a half when the captured views' mean age reaches this many steps.
    settle_steps: int = 300
    #: also imitate the segmenter's features at other depths, with the cross-scale correlation
    #: loss; a decoder a scale, and as much more time and memory.
    pyramid: bool = False
    #: of the 256 views in the cache, those that may be imagined ones (camera augmentation); the
    #: rest are captured keyframes. 0 = captured ones alone, which have turned out to be as good.
    imagined_views: int = 0


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
    #: steps of the geometry per step of this method.
    every: int = 4
    #: learning rate.
    learning_rate: float = 1e-2


@dataclass(frozen=True)
class PyramidConfig:
    """The pyramid of tiles that `lerf` and `ovnerf` learn from."""

    #: seconds of encoding per keyframe; fine tiles are left out, and counted, beyond it.
    budget_s: float = 1.0
    #: edge of the smallest tiles as a share of the image height.
    smallest: float = 0.05
    #: edge of the largest tiles.
    largest: float = 0.5
    #: number of sizes.
    levels: int = 7
    #: which tiles give way to segments: "none" (LERF), "single_scale" (those of the largest
    #: scale), "full" (those of a segment's own scale).
    override: str = "full"
    #: what a segment's tile shows beside its box: "zeros" (as in the paper) or "surroundings".
    padding: str = "surroundings"


@dataclass(frozen=True)
class LerfConfig:
    """LERF's language field."""

    #: the language hash grid.
    grid: GridConfig = dataclasses.field(
        default_factory=lambda: GridConfig(levels=7, features=4, log2_entries=15)
    )
    #: width of the MLPs.
    hidden: int = 96
    #: rays per step.
    rays: int = 256
    #: steps of the geometry per step of this method.
    every: int = 1
    #: learning rate.
    learning_rate: float = 1e-2
    #: weight of the dense model's features, where there is one.
    dense_weight: float = 1.0
    #: scales that are looked through for a phrase.
    scales: int = 10


@dataclass(frozen=True)
class OvNerfConfig:
    """OV-NeRF's language field, trained on classes."""

    #: phrases that every place is one of, at least two; answers may use others.
    classes: tuple[str, ...] = ()
    #: the language hash grid.
    grid: GridConfig = dataclasses.field(
        default_factory=lambda: GridConfig(levels=7, features=4, log2_entries=15)
    )
    #: width of the MLPs.
    hidden: int = 96
    #: rays per step.
    rays: int = 384
    #: steps of the geometry per step of this method.
    every: int = 1
    #: learning rate.
    learning_rate: float = 1e-2
    #: cosines are divided by it for the probabilities of classes.
    temperature: float = 0.07
    #: weight of the cross-entropy of classes.
    class_weight: float = 1.0
    #: weight of the cosine loss to the features of tiles.
    feature_weight: float = 1.0
    #: weight of the dense model's losses, where there is one.
    dense_weight: float = 1.0
    #: tiles up to this share of the image height name the class of what they show.
    largest_tile: float = 0.3
    #: what makes regions whole: "none", "majority" (their most frequent class, Region Semantic
    #: Ranking) or "language" (the class nearest to the vector of the region's own crop).
    ranking: str = "language"
    #: share of a region that one class must have before the region is made whole in maps that the
    #: field renders; 0 as in the paper.
    clear_majority: float = 0.8
    #: whether the field's own classes replace those of the tiles (Cross-view Self-enhancement).
    enhancement: bool = True
    #: steps of this method in the run that its schedule is made for; `eval --steps` knows better.
    run_steps: int = 900
    #: share of them after which the field's own classes come in, but after half as many steps on a
    #: view that comes late at least.
    enhance_from: float = 2 / 3
    #: share of them between renewals.
    renew_every: float = 1 / 15
    #: most views that nobody captured; beyond it one comes for each new keyframe, and the oldest
    #: goes.
    novel_views: int = 60


@dataclass(frozen=True)
class ObjectFieldConfig:
    """SANeRF-HQ's object field, trained for one question on frozen geometry."""

    #: the object hash grid.
    grid: GridConfig = dataclasses.field(
        default_factory=lambda: GridConfig(features=2, log2_entries=15)
    )
    #: width of the MLP.
    hidden: int = 32
    #: whether the MLP is also fed with the density field's features.
    density_features: bool = True
    #: optimisation steps (the paper's 600 showed no gain here).
    steps: int = 300
    #: steps before the ray-pair loss joins; the paper's 300.
    warm_up_steps: int = 300
    #: rays per step for the cross-entropy.
    rays: int = 1024
    #: badly explained pixels per step for the ray-pair loss.
    patches: int = 2
    #: weight of the ray-pair loss, which triples the time of a step and needs more steps than its
    #: warm-up; 0 leaves it out.
    pair_weight: float = 0.0
    #: rays whose colours in [0, 1] differ by less than this are alike.
    similar_colour: float = 0.1
    #: learning rate.
    learning_rate: float = 5e-3


@dataclass(frozen=True)
class SemanticsConfig:
    """Which semantic methods are trained."""

    #: any of "sam_features", "maskfield", "lerf", "ovnerf".
    methods: tuple[str, ...] = ("sam_features", "maskfield")
    #: which of them answers text queries; empty = the first of "maskfield", "lerf", "ovnerf" that
    #: is among them.
    text_method: str = ""
    #: options of `sam_features`.
    sam_features: SamFeaturesConfig = dataclasses.field(default_factory=SamFeaturesConfig)
    #: options of `maskfield`.
    maskfield: MaskFieldConfig = dataclasses.field(default_factory=MaskFieldConfig)
    #: options of `lerf`.
    lerf: LerfConfig = dataclasses.field(default_factory=LerfConfig)
    #: options of `ovnerf`.
    ovnerf: OvNerfConfig = dataclasses.field(default_factory=OvNerfConfig)
    #: tiles that `lerf` and `ovnerf` learn from.
    pyramid: PyramidConfig = dataclasses.field(default_factory=PyramidConfig)
    #: options of the object field that refined answers are made with (`queries.refine_with`).
    object_field: ObjectFieldConfig = dataclasses.field(default_factory=ObjectFieldConfig)
