"""What exists in the built-in world: categories, colours, and what training never sees."""

from __future__ import annotations

from typing import Literal

from semantic_field_ros.stream.synthetic.furniture import FURNITURE
from semantic_field_ros.stream.synthetic.shape import Builder
from semantic_field_ros.stream.synthetic.tableware import TABLEWARE
from semantic_field_ros.stream.synthetic.things import THINGS

Split = Literal["train", "validation", "test"]

BUILDERS: dict[str, Builder] = {**TABLEWARE, **THINGS, **FURNITURE}
"""One builder per category."""

CATEGORIES: tuple[str, ...] = tuple(BUILDERS)
"""Names of all objects, small ones first, furniture last."""

SMALL_CATEGORIES: tuple[str, ...] = (*TABLEWARE, *THINGS)
"""What stands on tables; the rest is furniture."""

COLOUR_HSV: dict[str, tuple[float, float, float]] = {
    "red": (0.0, 0.88, 0.82),
    "orange": (25.0, 0.92, 1.0),
    "yellow": (53.0, 0.88, 1.0),
    "green": (128.0, 0.78, 0.55),
    "cyan": (183.0, 0.76, 0.92),
    "blue": (221.0, 0.85, 0.78),
    "purple": (276.0, 0.7, 0.64),
    "pink": (333.0, 0.48, 1.0),
    "brown": (22.0, 0.68, 0.42),
    "white": (45.0, 0.03, 0.97),
    "black": (240.0, 0.08, 0.1),
}
"""Hue in degrees, saturation and value in [0, 1] at the middle of each name."""

COLOURS: tuple[str, ...] = tuple(COLOUR_HSV)
"""Names that an object's base colour can have."""

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    (COLOURS[(7 * index + 3) % len(COLOURS)], category)
    for index, category in enumerate(CATEGORIES)
)
"""(colour, category) that only worlds of test seeds contain: one colour of each category."""


def split_of(seed: int) -> Split:
    """Which part of the seeds this is: 0-999 test, 1000-1999 validation, from 2000 on training.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    if seed < 1000:
        return "test"
    return "validation" if seed < 2000 else "train"
