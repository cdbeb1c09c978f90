"""Which phrases are asked of a scene: those of what is there, and of what is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semantic_field_ros.evaluation.ground_truth import TrueThing

ABSENT_PER_SCENE = 12


@dataclass(frozen=True)
class Vocabulary:
    """Words that phrases of absent things are made of."""

    categories: Sequence[str]
    colours: Sequence[str]


def present_phrases(
    things: Mapping[int, TrueThing], seen: Collection[int]
) -> dict[str, tuple[int, ...]]:
    """Each phrase of something that was seen, with the ids of all that it describes.

    The truth of a phrase is the union of everything that matches, also of what was seen badly.
    """
    matching: dict[str, list[int]] = {}
    for thing in things.values():
        matching.setdefault(thing.phrase, []).append(thing.id)
    return {
        phrase: tuple(ids)
        for phrase, ids in sorted(matching.items())
        if any(instance in seen for instance in ids)
    }


def absent_phrases(
    things: Iterable[TrueThing],
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    count: int = ABSENT_PER_SCENE,
) -> list[str]:
    """Phrases "colour category" of which the scene has no instance; the hard ones first.

    Half are hard, in turn: a category that is there in a colour that none of its kind has here,
    and a colour that is there on a category that is not. The easy half names a category and a
    colour of which the scene has neither, where such a colour exists.

    Args:
        things: everything in the scene, seen or not.
        vocabulary: what can be said.
        rng: source of chance.
        count: phrases wanted; fewer come back only if the words do not suffice.
    """
    pairs = {(thing.colour, thing.category) for thing in things}
    here = sorted({category for _, category in pairs} & set(vocabulary.categories))
    gone = [category for category in vocabulary.categories if category not in here]
    shown = sorted({colour for colour, _ in pairs} & set(vocabulary.colours))
    unshown = [colour for colour in vocabulary.colours if colour not in shown]
    recoloured = _shuffled(
        [(c, o) for o in here for c in vocabulary.colours if (c, o) not in pairs], rng
    )
    transferred = _shuffled([(c, o) for o in gone for c in shown], rng)
    unrelated = _shuffled([(c, o) for o in gone for c in unshown or vocabulary.colours], rng)
    hard = [pair for two in zip(recoloured, transferred, strict=False) for pair in two]
    chosen = hard[: (count + 1) // 2]
    chosen += [pair for pair in unrelated if pair not in chosen][: count - len(chosen)]
    return [f"{colour} {category}" for colour, category in chosen]


def _shuffled(pairs: list[tuple[str, str]], rng: np.random.Generator) -> list[tuple[str, str]]:
    """In random order, and as varied as possible: no category repeats before all have come."""
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    turn: dict[str, int] = {}
    rounds = []
    for colour, category in order:
        turn[category] = turn.get(category, 0) + 1
        rounds.append((turn[category], colour, category))
    rounds.sort(key=lambda entry: entry[0])
    return [(colour, category) for _, colour, category in rounds]


def new_phrases(vocabulary: Vocabulary, count: int, rng: np.random.Generator) -> list[str]:
    """`count` different phrases, whether they are there or not, for measuring latency."""
    places = ("", " on the left", " on the right", " in front", " behind the others", " on top")
    every = [
        f"{colour} {category}{place}"
        for place in places
        for colour in vocabulary.colours
        for category in vocabulary.categories
    ]
    if count > len(every):
        raise ValueError(f"at most {len(every)} different phrases can be made, got {count}")
    return [every[i] for i in rng.permutation(len(every))[:count]]
