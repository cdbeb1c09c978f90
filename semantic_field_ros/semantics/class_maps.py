"""Class maps of views: from tiles, ranked by regions (OV-NeRF, Liao et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.semantics.base import softmax
from semantic_field_ros.semantics.language_views import LanguageView, PixelView
from semantic_field_ros.semantics.tile_lookup import level_at, lookup, unit
from semantic_field_ros.types import TilePyramid

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TileChoice:
    """At which scale each of P pixels of a keyframe is looked up.

    Attributes:
        pyramid: of the keyframe.
        side_px: (P,) f32.
    """

    pyramid: TilePyramid
    side_px: Floats

    def features(self, uv: Floats, pick: Ints) -> Floats:
        """(R, D) unit vectors F at some of (P, 2) pixels."""
        return lookup(self.pyramid, uv[pick], self.side_px[pick])


def tile_classes(
    view: LanguageView, classes: Floats, temperature: float, largest: float
) -> tuple[Ints, TileChoice]:
    """S = argmax cos⟨t_c, F⟩ at the scale that gives any class the highest probability.

    Args:
        view: P pixels and their tiles.
        classes: (C, D) unit vectors t_c.
        temperature: cosines are divided by it for probabilities.
        largest: share of the image height up to which tiles have a say; the smallest always have.

    Returns:
        (P,) classes, and the scales.
    """
    surest = np.full(len(view.uv), -1.0, np.float32)
    class_of_pixel = np.zeros(len(view.uv), np.int64)
    side_px = np.zeros(len(view.uv), np.float32)
    first, *others = view.pyramid.levels
    most_px = largest * view.camera.height
    for level in (first, *(level for level in others if level.side_px <= most_px)):
        chances = softmax(unit(level_at(level, view.uv)) @ classes.T / temperature)
        highest = chances.max(axis=1)
        better = highest > surest
        surest[better] = highest[better]
        class_of_pixel[better] = chances[better].argmax(axis=1)
        side_px[better] = level.side_px
    return class_of_pixel, TileChoice(view.pyramid, side_px)


def rank_regions(
    class_of_pixel: Ints, regions: NDArray[np.bool_], least_share: float = 0.0
) -> Ints:
    """Region Semantic Ranking Ψ(S) (eq. 5): every region takes its most frequent class.

    The paper ranks regions one after the other; ours come largest first, so that what lies on
    something keeps its own class. Pixels in no region keep theirs.

    Args:
        class_of_pixel: (P,) classes in [0, C).
        regions: (M, P) bool, largest first.
        least_share: of a region's pixels that its class must have, else the region is left alone
            (ours): a region that holds two things must not make one of them.
    """
    ranked = class_of_pixel.copy()
    for region in regions:
        counts = np.bincount(class_of_pixel[region])
        if len(counts) and counts.max() >= least_share * counts.sum():
            ranked[region] = counts.argmax()
    return ranked


def name_regions(class_of_pixel: Ints, regions: NDArray[np.bool_], class_of_region: Ints) -> Ints:
    """(P,) classes with every region, largest first, set to a class of its own."""
    named = class_of_pixel.copy()
    for region, own in zip(regions, class_of_region, strict=True):
        named[region] = own
    return named


@dataclass(frozen=True)
class ClassView:
    """A view with a class for every pixel.

    Attributes:
        view: its pixels.
        tiles: where features are looked up; None for a view that nobody captured.
        class_of_pixel: (P,) i64 what the field is trained on; None before the first renewal of a
            view that nobody captured.
        due_step: when the field's own classes replace `class_of_pixel`.
    """

    view: PixelView
    tiles: TileChoice | None
    class_of_pixel: Ints | None
    due_step: int
