"""Which phrases a training step of the language model asks about, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.tiny.phrases import GENERIC, Meaning, say
from semantic_field_ros.stream.synthetic import CATEGORIES, COLOURS, HELD_OUT_PAIRS

Pair = tuple[str, str]

SURFACES: tuple[Pair, ...] = (
    ("", "floor"),
    ("", "wall"),
    ("", "ceiling"),
    ("", "clutter"),
    ("", "tablecloth"),
    ("wooden", "table"),
    ("marble", "table"),
    ("stone", "table"),
)

#: Pairs that training leaves out besides the world's own, so that zero-shot composition can be
#: measured on validation worlds, which never show the world's held-out pairs.
PROBE_PAIRS: frozenset[Pair] = frozenset(
    (COLOURS[(7 * index + 5) % len(COLOURS)], category)
    for index, category in enumerate(CATEGORIES)
    if index % 3 == 0
)
UNSEEN: frozenset[Pair] = PROBE_PAIRS | HELD_OUT_PAIRS


@dataclass(frozen=True)
class Table:
    """P phrases of one step.

    Attributes:
        texts: how they are put.
        meanings: what they ask; None for the generic words.
        is_pair: (P,) bool, colour and category both named.
    """

    texts: list[str]
    meanings: list[Meaning | None]
    is_pair: NDArray[np.bool_]


def draw_table(things: set[Pair], rng: np.random.Generator, most_pairs: int = 130) -> Table:
    """Phrases for the (colour, category) pairs in a batch, with near misses of each."""
    pairs = {pair for pair in things if pair[0] in COLOURS}
    for colour, category in sorted(pairs):
        pairs |= {(str(c), category) for c in rng.choice(COLOURS, 1)}
        pairs |= {(colour, str(c)) for c in rng.choice(CATEGORIES, 1)}
    named = sorted(pairs - UNSEEN)
    chosen = [named[i] for i in rng.permutation(len(named))[:most_pairs]]
    meanings: list[Meaning | None] = [Meaning(c, k) for c, k in (*chosen, *SURFACES)]
    meanings += [Meaning("", str(k)) for k in rng.choice(CATEGORIES, 24, replace=False)]
    meanings += [Meaning(c, "") for c in COLOURS]
    meanings += [Meaning("", "", known=False)] * 3
    meanings += [Meaning(str(c), "", known=False) for c in rng.choice(COLOURS, 4)]
    texts = [say(meaning, rng) for meaning in meanings if meaning is not None]
    texts += GENERIC
    meanings += [None] * len(GENERIC)
    is_pair = np.array([m is not None and bool(m.colour and m.category) for m in meanings])
    return Table(texts, meanings, is_pair)


def truth(table: Table, things: list[Pair]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is true of N things: targets and weights, both (N, P) f32.

    Targets are 1, 0, or 0.5 for the generic words. Near misses (the colour or the category fits,
    or a surface is taken for a thing) and misses of a bare noun or colour, where no second word
    tells things apart, weigh more than far ones. Bare colours are not asked of surfaces, whose
    materials have none.
    """
    asked = [m or Meaning(known=False) for m in table.meanings]
    wanted_colour, wanted_category = (
        np.array([getattr(m, part) for m in asked])[None] for part in ("colour", "category")
    )
    known = np.array([m.known for m in asked])[None]
    colour, category = (np.array(part)[:, None] for part in zip(*things, strict=True))
    same_colour, same_category = wanted_colour == colour, wanted_category == category
    fits = (
        known & (same_colour | (wanted_colour == "")) & (same_category | (wanted_category == ""))
    )
    surface = ~np.isin(colour, COLOURS)
    bare = (wanted_colour == "") | (wanted_category == "")
    near = (same_colour & (colour != "")) | same_category | surface | bare
    weight = np.where(near, 1.0, 0.15).astype(np.float32)
    weight[known & (wanted_category == "") & surface] = 0.0
    generic = np.array([m is None for m in table.meanings])
    target = fits.astype(np.float32)
    target[:, generic], weight[:, generic] = 0.5, 1.0
    return target, weight
