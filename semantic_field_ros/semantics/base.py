"""The contract of a semantic method: targets from keyframes, a head on the field, an answer.

Every method shares one geometry, whose gradients never flow from here, and one set of
`FrameFeatures`. The training worker owns the live method; queries see only what `freeze` returned.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration, EmbeddingLayout
from semantic_field_ros.types import (
    Array,
    FrameFeatures,
    ImaginedView,
    Keyframe,
    SurfaceCloud,
)


@dataclass(frozen=True)
class RayQuadrature:
    """Where the frozen geometry puts the light of R rays (no gradients).

    Attributes:
        points: (R, S, 3) f32, metres, world frame.
        weights: (R, S) f32 rendering weights T_i·α_i.
        depth_m: (R,) f32 median depth along the optical axis.
    """

    points: torch.Tensor
    weights: torch.Tensor
    depth_m: torch.Tensor

    def heaviest(self, samples: int) -> RayQuadrature:
        """At most so many samples of each ray, those that it stops most at, heaviest first."""
        weights, at = self.weights.topk(min(samples, self.weights.shape[1]), dim=1)
        points = self.points.gather(1, at[..., None].expand(-1, -1, 3))
        return RayQuadrature(points, weights, self.depth_m)

    def stopped(self) -> RayQuadrature:
        """The one sample of each ray at which half of its weight is reached, with weight 1.

        The samples must come in their order along the rays, as quadratures give them.
        """
        reached = self.weights.cumsum(dim=1)
        at = (reached < reached[:, -1:] / 2).sum(dim=1, keepdim=True)
        points = self.points.gather(1, at[..., None].expand(-1, -1, 3))
        return RayQuadrature(points, torch.ones_like(reached[:, :1]), self.depth_m)


#: Quadrature of rays: (origins (R, 3), directions (R, 3), sensor depth (R,) or NaN) f32 arrays.
Quadrature = Callable[
    [NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], RayQuadrature
]

#: a surface point belongs to a thing from this membership on. Less than a half, because outlines
#: do not meet to the pixel: at its edge a thing has lost some of its views.
MEMBER = 0.45


@dataclass(frozen=True)
class Region:
    """A part of the surface with a score.

    Attributes:
        indices: (M,) i64 into the surface.
        point_scores: (M,) f32 in [0, 1], membership.
        score: relevancy for text, quality for instances, [0, 1].
        language: (D,) f32 unit vector, or None for a method without language.
    """

    indices: NDArray[np.int64]
    point_scores: NDArray[np.float32]
    score: float
    language: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class MethodSetup:
    """What a method is told about the field that it stands on and the models that feed it.

    Attributes:
        unit_from_world: (N, 3) f32 world points to (N, 3) in [0, 1], where encoders live.
        backend: name of the encoder backend, as `field.encoders.make_encoder` takes it.
        voxel_m: edge of the surface's finest voxels, metres: the finest detail that matters.
        layout: the segmenter's `layout`: where an image of (height, width) lies in an embedding.
        language_dim: D of the language model.
        seed: of every random choice.
        dense_dim: K of the dense model, 0 without one.
        encode_text: N phrases to (N, D) unit vectors; only for methods with a list of classes.
        pyramid_layouts: the segmenter's own; None where only its embedding is known.
    """

    unit_from_world: Callable[[torch.Tensor], torch.Tensor]
    backend: str
    voxel_m: float
    layout: Callable[[tuple[int, int]], EmbeddingLayout]
    language_dim: int
    seed: int = 0
    dense_dim: int = 0
    encode_text: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    pyramid_layouts: Callable[[tuple[int, int]], tuple[EmbeddingLayout, ...]] | None = None


class Imagining(IntEnum):
    """How much a method wants to know of views that the map imagines; each includes the former."""

    #: it does not want any.
    NOTHING = 0
    #: the image and the segmenter's embedding of it; `FrameFeatures` without proposals.
    EMBEDDING = 1
    #: proposals with their language vectors too, as of a keyframe.
    REGIONS = 2


class FrozenMethod:
    """The immutable part of a snapshot by which one method answers.

    What a method cannot do, as know words or tell things apart, it leaves as it is here: empty.
    """

    def prepare(self, surface: SurfaceCloud) -> None:
        """Works out ahead what every answer on this surface needs; called once, before the
        snapshot is published, so that no question waits for it."""

    def instances(self, surface: SurfaceCloud) -> list[Region]:
        """Everything the method sees as one thing, best first."""
        return []

    def text_regions(
        self,
        surface: SurfaceCloud,
        phrase: NDArray[np.float32],
        negatives: NDArray[np.float32],
        calibration: Calibration,
    ) -> list[Region]:
        """Regions for a phrase (D,) against negatives (K, D), best first, unthresholded."""
        return []

    def outlined(self, surface: SurfaceCloud, region: Region) -> Region:
        """A region of this method as it is answered: what would take too long for all of them."""
        return region

    def relevancy(
        self,
        surface: SurfaceCloud,
        phrase: NDArray[np.float32],
        negatives: NDArray[np.float32],
        calibration: Calibration,
    ) -> NDArray[np.float32]:
        """(N,) in [0, 1]: how relevant each point of the surface is; arguments as `text_regions`.

        By default the best score of the regions that a point belongs to, 0 outside of them.
        """
        scores = np.zeros(len(surface.points), np.float32)
        for region in self.text_regions(surface, phrase, negatives, calibration):
            scores[region.indices] = np.maximum(scores[region.indices], region.score)
        return scores

    def class_scores(
        self, surface: SurfaceCloud, classes: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, C) scores >= 0 of the surface's points for C classes with unit vectors (C, D).

        The class of a point is the one with the highest score; a row of zeros, as all rows are
        for a method without language, says nothing.
        """
        return np.zeros((len(surface.points), len(classes)), np.float32)


class SemanticMethod(ABC):
    """One method while it is trained; called from the training worker only.

    Attributes:
        every: steps of the geometry per step of this method.
        share: of its usual rays that a step has; less where memory is short.
    """

    name: str
    every: int = 4
    share: float = 1.0

    def rays_of(self, usual: int) -> int:
        """How many rays a step has now where it usually has so many."""
        return max(1, round(self.share * usual))

    @abstractmethod
    def observe(self, keyframe: Keyframe) -> None:
        """Takes in a keyframe whose features have just arrived."""

    def recall(self, keyframe: Keyframe) -> None:
        """Takes in a keyframe again that it had observed before the state that was loaded.

        It is trained on from now on, and what the state has of it already is not counted twice.
        By default the same as `observe`, for methods that keep nothing of a view in their state.
        """
        self.observe(keyframe)

    @abstractmethod
    def forget(self, keyframe_id: int) -> None:
        """The replay memory evicted this keyframe."""

    @abstractmethod
    def poses_changed(self) -> None:
        """Keyframes have moved: none is trained on before it is observed again, as all with
        features will be, one after another. What `observe` does not replace is forgotten."""

    @property
    def lags(self) -> bool:
        """Whether answers are those of before, until keyframes that moved were observed again."""
        return False

    @property
    def imagining(self) -> Imagining:
        """What it wants to know of imagined views from now on; asked for every snapshot."""
        return Imagining.NOTHING

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:  # noqa: B027
        """Takes in an imagined view with at least the features it wanted; nothing if it wants
        none, which is the default: views that others want reach it all the same."""

    @abstractmethod
    def step(self, quadrature: Quadrature) -> dict[str, float]:
        """One optimisation step on its own rays; returns named losses, {} with nothing to do."""

    @abstractmethod
    def surface_features(self, points: NDArray[np.float32]) -> Array:
        """(N, K) f16 features of (N, 3) world points, for `SurfaceCloud.features[name]`."""

    @abstractmethod
    def freeze(self) -> FrozenMethod:
        """A copy that later training cannot change."""

    @abstractmethod
    def state(self) -> dict[str, torch.Tensor]:
        """Everything a checkpoint needs, as named tensors."""

    @abstractmethod
    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`; shapes are checked."""


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, C) rows that add up to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
