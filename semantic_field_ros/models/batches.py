"""Batches of few different sizes.

What computes under torch keeps compiled kernels and working memory for every shape that it has
met, and a picture with 17 prompts after one with 18 is a new shape. On a CPU, looking at pictures
alone took half a megabyte more with each of them; filled up to few sizes it takes no more after
the first ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

SMALL, STEP = (1, 2, 4), 8


def filled_up(items: Sequence[Item]) -> list[Item]:
    """N items and repeats of the last one, 1, 2, 4 or a multiple of 8 in all; none of none."""
    count = len(items)
    size = next((small for small in SMALL if count <= small), count + -count % STEP)
    return [*items, *list(items[-1:]) * (size - count)]
