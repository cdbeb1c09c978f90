import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.evaluation.ground_truth import TrueThing
from semantic_field_ros.evaluation.phrases import (
    Vocabulary,
    absent_phrases,
    new_phrases,
    present_phrases,
)

WORDS = Vocabulary(
    ["mug", "bowl", "ball", "book", "lamp", "plate"], ["red", "blue", "green", "white"]
)


def thing(instance, colour, category):
    return TrueThing(instance, f"{colour} {category}", category, colour)


SCENE = [
    thing(1, "red", "mug"),
    thing(2, "blue", "mug"),
    thing(3, "red", "mug"),
    thing(4, "red", "ball"),
]


def test_the_truth_of_a_phrase_is_the_union_and_needs_one_seen_object():
    things = {t.id: t for t in SCENE}
    assert present_phrases(things, seen={1, 2}) == {"blue mug": (2,), "red mug": (1, 3)}
    assert present_phrases(things, seen=set()) == {}


@given(st.integers(0, 2**32 - 1))
def test_absent_phrases_are_absent_distinct_and_half_hard(seed):
    phrases = absent_phrases(SCENE, WORDS, np.random.default_rng(seed), count=8)
    assert len(set(phrases)) == 8
    assert not {t.phrase for t in SCENE} & set(phrases)
    hard, easy = phrases[:4], phrases[4:]
    for recoloured in hard[::2]:
        assert recoloured.split()[1] in ("mug", "ball")
    for transferred in hard[1::2]:
        colour, category = transferred.split()
        assert colour in ("red", "blue") and category in ("bowl", "book", "lamp", "plate")
    for phrase in easy:
        colour, category = phrase.split()
        assert colour in ("green", "white") and category in ("bowl", "book", "lamp", "plate")


def test_categories_vary_before_they_repeat():
    phrases = absent_phrases(SCENE, WORDS, np.random.default_rng(1), count=8)
    assert len({phrase.split()[1] for phrase in phrases[4:]}) == 4


def test_new_phrases_never_repeat():
    assert len(set(new_phrases(WORDS, 100, np.random.default_rng(0)))) == 100
    with pytest.raises(ValueError, match="at most 144"):
        new_phrases(WORDS, 145, np.random.default_rng(0))
