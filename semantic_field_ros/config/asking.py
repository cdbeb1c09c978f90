"""The 2D models, imagined views and how questions are answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelsConfig:
    """The 2D foundation models."""

    #: "tiny", "ARCHITECTURE:CHECKPOINT_OR_TAG" (OpenCLIP) or "package.module:ClassName".
    language: str = "tiny"
    #: "tiny", "vit_b|vit_l|vit_h:CHECKPOINT" (Segment Anything) or "package.module:ClassName".
    segmenter: str = "tiny"
    #: "package.module:ClassName" of a dense model such as DINO, which regularises `lerf` and
    #: `ovnerf`; "" = without.
    dense: str = ""
    #: keyframes waiting for features; beyond it the oldest waiting one is dropped and counted.
    queue: int = 64


@dataclass(frozen=True)
class ImaginationConfig:
    """Views between keyframes, rendered from the map for methods that learn from them."""

    #: most of the feature thread's time spent on them, in [0, 1), and only while no keyframe waits
    #: and training goes on; 0 = none are made.
    time_share: float = 0.1
    #: they are rendered at most this wide, pixels.
    max_width_px: int = 320


@dataclass(frozen=True)
class QueriesConfig:
    """How questions are answered."""

    #: keyframes in which a click is decoded.
    click_views: int = 8
    #: and for a refined answer.
    refined_views: int = 24
    #: how masks become a refined answer: "object_field" (trained for it), "votes" (of masks that
    #: agree) or "masks" (raw: of the best one of each view).
    refine_with: str = "object_field"
    #: "cached" (features of the keyframe) or "rendered" (features of the field).
    click_features: str = "cached"
    #: surface points this many of their spacings apart belong together.
    link_spacings: float = 2.5
    #: components with fewer points are noise.
    min_points: int = 12
