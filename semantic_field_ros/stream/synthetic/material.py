"""Colours, patterns and gloss: what light meets at a point of a surface.

Patterns are functions of the position in the object's own frame, so they need no texture
coordinates. Colours are display values in [0, 1]; no gamma is modelled.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.synthetic.catalogue import COLOUR_HSV
from semantic_field_ros.stream.synthetic.mesh import Part
from semantic_field_ros.stream.synthetic.shape import Rng

Float32 = NDArray[np.float32]

NOISE_SIZE = 64
"""Edge of the periodic noise volume, voxels."""

FEATURE_VOXELS = 6.0
"""Voxels per typical blob of the noise volume."""


class Pattern(IntEnum):
    """How the second colour is laid over the first."""

    PLAIN = 0
    STRIPES = 1
    DOTS = 2
    CHECKS = 3
    CLOUDS = 4
    TWO_TONE = 5
    GRAIN = 6
    VEINS = 7
    TILES = 8


@dataclass(frozen=True)
class Paint:
    """What one part of an instance is painted with.

    Attributes:
        base: (r, g, b) in [0, 1], over most of the surface.
        second: (r, g, b) of the pattern.
        pattern: how they mix.
        period_m: size of the pattern; the height of the border for TWO_TONE.
        axis: unit direction across stripes and grain, in the object's frame.
        gloss: strength of the highlight, [0, 1].
    """

    base: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.PLAIN
    period_m: float = 0.1
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    gloss: float = 0.0


ACCENTS: dict[Part, Paint] = {
    Part.METAL: Paint((0.62, 0.63, 0.66), gloss=0.6),
    Part.DARK: Paint((0.13, 0.13, 0.14), gloss=0.2),
    Part.LIGHT: Paint((0.92, 0.91, 0.86)),
    Part.WOOD: Paint((0.5, 0.36, 0.24)),
    Part.AMBER: Paint((0.98, 0.62, 0.12)),
}
"""Parts whose colour is not the object's own."""


SECOND_SHADES: dict[str, tuple[float, ...]] = {
    "red": (-0.32,),
    "orange": (0.3,),
    "yellow": (0.42,),
    "green": (-0.32, 0.28),
    "cyan": (-0.28, 0.4),
    "blue": (-0.35, 0.28),
    "purple": (-0.35, 0.28),
    "pink": (0.45,),
    "brown": (-0.35, 0.2),
    "white": (-0.2,),
    "black": (0.2,),
}
"""How much lighter (> 0) or darker a pattern may be before the colour's name would change."""

PLAIN_SHARE = 0.3
OBJECT_PATTERNS = (
    Pattern.STRIPES,
    Pattern.DOTS,
    Pattern.CHECKS,
    Pattern.CLOUDS,
    Pattern.TWO_TONE,
)


def _shaded(colour: Sequence[float], lighter: float) -> tuple[float, float, float]:
    """Mixed with white if `lighter` > 0, darkened if < 0; the hue stays."""
    rgb = np.asarray(colour)
    mixed = rgb + (1 - rgb) * lighter if lighter > 0 else rgb * (1 + lighter)
    return (float(mixed[0]), float(mixed[1]), float(mixed[2]))


def named_colour(name: str, rng: Rng) -> tuple[float, float, float]:
    """One (r, g, b) in [0, 1] that a person would call by this name."""
    hue, saturation, value = COLOUR_HSV[name]
    grey = saturation < 0.1
    hue += rng.uniform(-4, 4)
    saturation = np.clip(saturation + rng.uniform(-0.05, 0.05) * (not grey), 0, 1)
    value = np.clip(value + rng.uniform(-0.04, 0.04), 0, 1)
    return colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)


def object_paint(colour: str, size_m: tuple[float, float, float], rng: Rng) -> Paint:
    """A random finish in a named colour; the second colour is a shade of the same hue.

    Args:
        colour: one of `COLOURS`.
        size_m: (x, y, z) extents of the object, for the size of the pattern.
        rng: source of chance.
    """
    base = named_colour(colour, rng)
    second = _shaded(base, rng.choice(SECOND_SHADES[colour]))
    pattern = Pattern.PLAIN
    if rng.random() > PLAIN_SHARE:
        pattern = OBJECT_PATTERNS[rng.integers(len(OBJECT_PATTERNS))]
    period = float(np.clip(max(size_m) * rng.uniform(0.2, 0.5), 0.022, 0.25))
    if pattern == Pattern.TWO_TONE and size_m[2] < 0.6 * max(size_m):
        pattern = Pattern.PLAIN  # the lower part of something flat would be all that one sees
    if pattern == Pattern.TWO_TONE:
        period = size_m[2] * rng.uniform(0.25, 0.45)
    axis = ((0, 0, 1), (1, 0, 0), (0.707, 0, 0.707))[rng.integers(3)]
    shiniest = 0.7 if max(size_m) < 0.35 else 0.3  # flat furniture would turn white
    gloss = rng.uniform(0.2, shiniest) if rng.random() < 0.5 else 0.0
    return Paint(base, second, pattern, period, axis, gloss)


def parts_of(paint: Paint) -> list[Paint]:
    """One paint per `Part`, in its order, for an object painted so."""
    plain = replace(paint, pattern=Pattern.PLAIN)
    tint = replace(plain, base=_shaded(paint.base, 0.25))
    shade = replace(plain, base=_shaded(paint.base, -0.22))
    own = {Part.PAINT: paint, Part.TINT: tint, Part.SHADE: shade}
    return [own.get(part) or ACCENTS[part] for part in Part]


@lru_cache(maxsize=1)
def noise_volume() -> Float32:
    """(64, 64, 64) f32 smooth periodic noise, mean 0.5, standard deviation 0.17, in [0, 1]."""
    white = np.random.default_rng(0).normal(size=(NOISE_SIZE,) * 3)
    axis = np.fft.fftfreq(NOISE_SIZE)
    distance = np.sqrt(sum(np.square(g) for g in np.meshgrid(axis, axis, axis)))
    band = np.exp(-((distance * FEATURE_VOXELS / 0.8) ** 2))
    smooth = np.fft.ifftn(np.fft.fftn(white) * band).real
    smooth = 0.5 + 0.17 * smooth / smooth.std()
    return np.clip(smooth, 0, 1).astype(np.float32)


def _noise(at: Float32) -> Float32:
    """Noise at (N, 3) positions in units of its blobs."""
    from scipy.ndimage import map_coordinates

    cell = (at * np.float32(FEATURE_VOXELS)).T
    return map_coordinates(noise_volume(), cell, np.float32, order=1, mode="grid-wrap")


def _edge(distance: Float32, softness: Float32) -> Float32:
    """1 inside (> 0) a pattern's edge, 0 outside, blended over the width of a pixel."""
    return np.clip(0.5 + distance / softness, 0, 1)


class Palette:
    """All paints of a world as arrays, and their mixing at hit points.

    Attributes:
        gloss: (M,) f32 strength of the highlight of each paint.
    """

    def __init__(self, paints: Sequence[Paint]) -> None:
        self._base = np.array([p.base for p in paints], np.float32)
        self._step = np.array([p.second for p in paints], np.float32) - self._base
        self._pattern = np.array([p.pattern for p in paints], np.int8)
        self._period = np.array([p.period_m for p in paints], np.float32)
        self._axis = np.array([p.axis for p in paints], np.float32)
        self.gloss = np.array([p.gloss for p in paints], np.float32)

    def albedo(self, paint: NDArray[np.int32], local: Float32, footprint_m: Float32) -> Float32:
        """(N, 3) colours in [0, 1].

        Args:
            paint: (N,) index of the paint.
            local: (N, 3) metres in the object's frame.
            footprint_m: (N,) width of a pixel on the surface, metres.
        """
        colour = self._base[paint]
        kind = self._pattern[paint]
        for pattern, mix in _MIXERS.items():
            rows = np.flatnonzero(kind == pattern)
            if len(rows):
                which = paint[rows]
                period = self._period[which]
                cells = local[rows] / period[:, None]
                softness = np.maximum(footprint_m[rows] / period, 1e-3)
                share = mix(cells, self._axis[which], softness)
                colour[rows] += share[:, None] * self._step[which]
        return colour


def _stripes(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    across = np.einsum("nd,nd->n", cells, axis)
    return _edge(np.abs(across % 1 - 0.5) - 0.3, softness)


def _dots(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    offset = cells % 1 - 0.5
    return _edge(0.36 - np.sqrt(np.einsum("nd,nd->n", offset, offset)), softness)


def _checks(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    waves = 1 - 4 * np.abs((cells + 0.13) % 1 - 0.5)
    return _edge(waves.prod(axis=1) - 0.05, 4 * softness)


def _clouds(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    return np.clip(3.5 * (_noise(cells * 1.4) - 0.54), 0, 1)


def _two_tone(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    return _edge(1 - cells[:, 2], softness)


def _grain(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    across = np.einsum("nd,nd->n", cells, axis)[:, None] * axis
    stretched = across + (cells - across) * 0.08
    rings = np.abs((stretched.sum(1) + 1.6 * _noise(stretched * 0.6)) % 1 - 0.5) * 2
    return 0.5 * rings + 0.5 * _noise(stretched * 4.0)


def _veins(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    field = _noise(cells) + 0.4 * _noise(cells * 2.7)
    return np.clip(1 - 9 * np.abs(field - 0.7), 0, 1)


def _tiles(cells: Float32, axis: Float32, softness: Float32) -> Float32:
    joint = np.abs(cells[:, :2] % 1 - 0.5).max(1)
    tone = 0.35 * _noise(np.floor(cells) * np.float32(0.37))
    return np.maximum(_edge(joint - 0.48, softness), tone)


_MIXERS = {
    Pattern.STRIPES: _stripes,
    Pattern.DOTS: _dots,
    Pattern.CHECKS: _checks,
    Pattern.CLOUDS: _clouds,
    Pattern.TWO_TONE: _two_tone,
    Pattern.GRAIN: _grain,
    Pattern.VEINS: _veins,
    Pattern.TILES: _tiles,
}
