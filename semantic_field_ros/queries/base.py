"""What can be asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Prompts
from semantic_field_ros.types import Mask3D

RELATIONS = (
    "near",
    "on",
    "under",
    "left_of",
    "right_of",
    "in_front_of",
    "behind",
    "inside",
)


#: told the share of the work that is done, in [0, 1]; what it raises ends the work.
Progress = Callable[[float], None]


def unwatched(share: float) -> None:
    """The progress that nobody looks at."""


class CancelledError(RuntimeError):
    """Nobody waits for this refinement any more."""


class Refinement:
    """How far a refinement is, and whether it is still wanted; for two threads."""

    def __init__(self) -> None:
        self._share = 0.0
        self._cancelled = threading.Event()

    @property
    def share(self) -> float:
        """What is done, in [0, 1]."""
        return self._share

    def cancel(self) -> None:
        """The next `reached` ends the work."""
        self._cancelled.set()

    def reached(self, share: float) -> None:
        """The `Progress` of the work.

        Raises:
            CancelledError: it is no longer wanted.
        """
        if self._cancelled.is_set():
            raise CancelledError("the refinement was cancelled")
        self._share = share


@dataclass(frozen=True)
class Relation:
    """The answer must stand in `relation` (one of RELATIONS) to an `anchor` phrase."""

    relation: str
    anchor: str

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise ValueError(f"relation must be one of {RELATIONS}, got {self.relation!r}")


@dataclass(frozen=True)
class TextQuery:
    """A question in words.

    Attributes:
        text: the phrase; empty text is answered with found=False.
        exclude: phrases that the answer must not match better ("not red").
        negatives: replace the language model's canonical negatives; None keeps them.
        relations: spatial constraints.
        threshold: found at and above this score, [0, 1]; None = the model's calibration, and of
            that what is not much less likely than the best answer.
        region_m: ((3,) min, (3,) max) metres in the map frame, or None.
        max_results: most masks returned, >= 1.
        reference_pose: world_from_camera (4, 4) for view-dependent relations; None = the newest
            keyframe.
        refine: ask for a refined answer later.
    """

    text: str
    exclude: tuple[str, ...] = ()
    negatives: tuple[str, ...] | None = None
    relations: tuple[Relation, ...] = ()
    threshold: float | None = None
    region_m: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    max_results: int = 10
    reference_pose: NDArray[np.float64] | None = None
    refine: bool = False

    def __post_init__(self) -> None:
        if self.max_results < 1:
            raise ValueError(f"max_results must be >= 1, got {self.max_results}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], got {self.threshold}")


@dataclass(frozen=True)
class ViewMask:
    """What the segmenter's decoder makes of prompts in a view that the map rendered.

    Attributes:
        found: False always comes with a reason.
        reason: why not.
        mask: (H, W) bool, all False where nothing was found.
        score: predicted IoU, [0, 1].
        prompts: what was decoded; None if nothing was that the view shows.
        on_surface: what of the map's surface the mask shows, for `SemanticField.export` and other
            views; None where it shows next to nothing.
        latency_s: from question to answer.
        map_version: of the map that was asked.
    """

    found: bool
    reason: str
    mask: NDArray[np.bool_]
    score: float
    prompts: Prompts | None
    on_surface: Mask3D | None
    latency_s: float
    map_version: int


@dataclass(frozen=True)
class Classification:
    """Each point of a map's surface as one of some classes.

    Attributes:
        phrases: the C classes.
        class_of_point: (N,) i64 positions in `phrases`, -1 where the map cannot say.
        score: (N,) f32 share of that class in the point's scores of all classes, [0, 1].
        map_version: of the map whose surface it is.
    """

    phrases: tuple[str, ...]
    class_of_point: NDArray[np.int64]
    score: NDArray[np.float32]
    map_version: int


@dataclass(frozen=True)
class ClickQuery:
    """A question by pointing: world points, or pixels / a box in a named camera at a stamp.

    Points far from the surface, negative or not, say nothing beside others that are near; a pixel
    that shows such a point, or nothing of the map, counts in its own image only.

    Attributes:
        points_world: (N, 3) metres in the map frame, or None.
        pixels: (N, 2) (u, v) in the camera's own image size, without distortion, or None.
        positive: (N,) bool; None = all positive.
        camera_name, stamp_ns: which image `pixels` and `box_px` mean, a box that of a keyframe;
            stamp 0 is the newest keyframe. An image that is not known has no answer.
        keyframe_id: the keyframe that they mean instead, in the size in which it is kept.
        box_px: (4,) u, v of a corner and u, v of the opposite one, or None.
        refine: ask for a refined answer later.
    """

    points_world: NDArray[np.float32] | None = None
    pixels: NDArray[np.float32] | None = None
    positive: NDArray[np.bool_] | None = None
    camera_name: str = ""
    stamp_ns: int = 0
    box_px: NDArray[np.float32] | None = None
    refine: bool = False
    keyframe_id: int | None = None
