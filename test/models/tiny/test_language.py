import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.models.tiny.clip import PrunedTokenizer
from semantic_field_ros.models.tiny.phrases import UNKNOWN, Meaning, every_word, plural, say
from semantic_field_ros.models.tiny.vocabulary import UNSEEN, draw_table, truth
from semantic_field_ros.stream.synthetic import CATEGORIES, COLOURS, HELD_OUT_PAIRS

TOKENIZER = PrunedTokenizer.of(every_word(CATEGORIES, COLOURS), 16)


def test_unknown_words_share_one_token():
    begin, zebra, end = TOKENIZER(["zebra"])[0, :3].tolist()
    assert (zebra, end) == (0, TOKENIZER.size - 1)
    assert begin == TOKENIZER.size - 2
    assert TOKENIZER([UNKNOWN])[0, 1] == 0


@given(st.integers(0, 10_000), st.sampled_from(CATEGORIES), st.sampled_from(("", *COLOURS)))
def test_every_way_to_say_it_uses_known_words_only(seed, category, colour):
    text = say(Meaning(colour, category), np.random.default_rng(seed))
    tokens = TOKENIZER([text.replace(UNKNOWN, "")])[0]
    end = int(tokens.argmax())
    assert (tokens[:end] > 0).all()


@pytest.mark.parametrize(
    ("noun", "many"), [("mug", "mugs"), ("box", "boxes"), ("shelf", "shelves"), ("dish", "dishes")]
)
def test_plural(noun, many):
    assert plural(noun) == many


def test_meaning():
    assert Meaning("red", "mug").fits("red", "mug")
    assert not Meaning("red", "mug").fits("blue", "mug")
    assert Meaning("", "mug").fits("blue", "mug")
    assert Meaning("red").fits("red", "book")
    assert not Meaning("red", known=False).fits("red", "book")


def test_truth_of_a_table():
    things = [("red", "mug"), ("blue", "mug"), ("wooden", "table")]
    table = draw_table(set(things), np.random.default_rng(0))
    target, weight = truth(table, things)
    assert target.shape == weight.shape == (3, len(table.texts))
    for column, meaning in enumerate(table.meanings):
        if meaning is None:
            assert target[:, column].tolist() == [0.5] * 3
        else:
            assert target[:, column].tolist() == [meaning.fits(*thing) for thing in things]
    column = table.meanings.index(Meaning("red", ""))
    assert weight[:, column].tolist() == [1.0, 1.0, 0.0]  # one word alone weighs fully
    far = table.meanings.index(Meaning("wooden", "table"))
    assert weight[:, far].tolist() == [pytest.approx(0.15), pytest.approx(0.15), 1.0]
    column = table.meanings.index(Meaning("red", "mug"))
    assert weight[2, column] == 1.0  # that a surface is no thing has to be learnt like near misses


def test_tables_never_name_what_must_stay_unseen():
    every = {(c, k) for c in COLOURS for k in CATEGORIES} - UNSEEN
    rng = np.random.default_rng(1)
    for _ in range(20):
        table = draw_table(every, rng)
        asked = {(m.colour, m.category) for m in table.meanings if m is not None}
        assert not asked & UNSEEN
    assert HELD_OUT_PAIRS <= UNSEEN
