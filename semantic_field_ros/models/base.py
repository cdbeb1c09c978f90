"""The contracts behind which every 2D foundation model stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from semantic_field_ros.types import MaskProposal

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Calibration:
    """How a language model's cosines become a score that means something.

    Attributes:
        negatives: canonical phrases every query competes with (LERF, section 3.4).
        temperature: factor on cosines in the pairwise softmax (10 in LERF).
        threshold: relevancy at and above which an object counts as found, in [0, 1].
        groups: words of which a thing has one at most, such as colours, or kinds of things.
        head_start: log odds that a phrase has over its `rivals`, for words are alike.
    """

    negatives: tuple[str, ...] = ("object", "things", "stuff", "texture")
    temperature: float = 10.0
    threshold: float = 0.5
    groups: tuple[tuple[str, ...], ...] = ()
    head_start: float = 0.0

    def rivals(self, phrase: str) -> list[str]:
        """The phrase with one word replaced by each other one of its group: of "red mug" "blue
        mug" and "red bowl". What fits one of them better is not what the phrase means."""
        words = phrase.lower().split()
        return [
            " ".join([*words[:place], other, *words[place + 1 :]])
            for place, word in enumerate(words)
            for group in self.groups
            if word in group
            for other in group
            if other != word
        ]


def relevancy(
    language: NDArray[np.float32],
    phrase: NDArray[np.float32],
    negatives: NDArray[np.float32],
    temperature: float,
    head_start: float = 0.0,
) -> NDArray[np.float32]:
    """(N,) in [0, 1]: min over negatives n of exp(Tφ·q) / (exp(Tφ·q) + exp(Tφ·n)).

    LERF (Kerr et al. 2023), section 3.4, with T = 10 and no head start there.

    Args:
        language: (N, D) unit vectors φ.
        phrase: (D,) unit vector q.
        negatives: (K, D) unit vectors n, K >= 1.
        temperature: T.
        head_start: log odds that the phrase has over each negative.
    """
    margin = language @ phrase - (language @ negatives.T).max(axis=1)
    return np.asarray(expit(temperature * margin + head_start), np.float32)


class LanguageModel(ABC):
    """Images and phrases into one space of unit vectors.

    Attributes:
        dim: D.
        calibration: what its cosines mean.
        crop_px: side of the images that it looks at; tiles are brought to it beforehand.
    """

    dim: int
    calibration: Calibration
    crop_px: int = 224

    @abstractmethod
    def encode_crops(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """(N, D) unit vectors of N square RGB crops (S, S, 3) u8 of any sizes; N may be 0."""

    @abstractmethod
    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit vectors of N non-empty phrases; N may be 0."""


def upright(box_px: NDArray[np.floating]) -> NDArray[np.float32]:
    """(4,) a box from its upper left to its lower right corner, of any two opposite ones."""
    return np.sort(np.asarray(box_px, np.float32).reshape(2, 2), axis=0).reshape(4)


@dataclass(frozen=True)
class Prompts:
    """What a person or planner points at in one image; at least one point or a box.

    Attributes:
        points_px: (N, 2) f32 (u, v) in the pixels of the image that was embedded.
        positive: (N,) bool; False marks what must not belong to the mask.
        box_px: (4,) f32 (u_min, v_min, u_max, v_max) or None; any two opposite corners are put in
            this order, the only one that decoders know.
    """

    points_px: NDArray[np.float32]
    positive: NDArray[np.bool_]
    box_px: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.points_px.ndim != 2 or self.points_px.shape[1] != 2:
            raise ValueError(f"points_px must be (N, 2), got {self.points_px.shape}")
        if self.positive.shape != (len(self.points_px),):
            raise ValueError(
                f"positive must be ({len(self.points_px)},), got {self.positive.shape}"
            )
        if len(self.points_px) == 0 and self.box_px is None:
            raise ValueError("a prompt needs at least one point or a box, got neither")
        if self.box_px is not None:
            object.__setattr__(self, "box_px", upright(self.box_px))

    @staticmethod
    def click(u: float, v: float) -> Prompts:
        """One positive point."""
        return Prompts(np.array([[u, v]], np.float32), np.array([True]))


@dataclass(frozen=True)
class EmbeddingLayout:
    """Where an image lies inside the segmenter's square, padded embedding.

    Attributes:
        channels: C.
        side: h = w of the embedding grid.
        valid: (rows, columns) of the grid that an image of the given size fills, top left.
    """

    channels: int
    side: int
    valid: tuple[int, int]


@dataclass(frozen=True)
class DecodedMasks:
    """logits (K, H, W) f32, > 0 is inside; scores (K,) f32 predicted IoU; best first."""

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]


class Segmenter(ABC):
    """The expensive once (`embed`), the cheap many (`decode`), as in Segment Anything."""

    @abstractmethod
    def layout(self, image_size: tuple[int, int]) -> EmbeddingLayout:
        """Layout for an image of (height, width)."""

    @abstractmethod
    def embed(self, image: Image) -> NDArray[np.float16]:
        """(C, h, w) f16 of an (H, W, 3) u8 RGB image."""

    def pyramid_layouts(self, image_size: tuple[int, int]) -> tuple[EmbeddingLayout, ...]:
        """Layouts of `pyramid`'s maps for an image of (height, width); `layout`'s is the last."""
        return (self.layout(image_size),)

    def pyramid(self, image: Image) -> tuple[NDArray[np.float16], ...]:
        """Features of an (H, W, 3) u8 RGB image at several depths of the encoder.

        Returns:
            (C_k, h_k, w_k) f16 maps, square and padded as the embedding is, coarse or early ones
            first, and what `embed` returns last; that alone where a model has no others to give.
        """
        return (self.embed(image),)

    @abstractmethod
    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        """Masks at image_size (height, width) for each prompt, sharing one embedding."""

    @abstractmethod
    def propose(self, embedding: NDArray[np.floating], image: Image) -> tuple[MaskProposal, ...]:
        """Everything in the image, deduplicated, best first. Needs no prompt."""


class DenseModel(ABC):
    """Features of image cells without labels, such as DINO's: what looks alike is close.

    Attributes:
        dim: K.
    """

    dim: int

    @abstractmethod
    def features(self, image: Image) -> NDArray[np.float16]:
        """(rows, columns, K) f16 of an (H, W, 3) u8 RGB image, whose cells fill it evenly."""
