import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.queries.base import Relation
from semantic_field_ros.queries.composition import KeepAway, keep_away, parse


@pytest.mark.parametrize(
    ("sentence", "text", "relations", "exclude"),
    [
        ("red mug", "red mug", (), ()),
        ("Find me the red mug, please.", "red mug, please", (), ()),
        ("where is the laptop?", "laptop", (), ()),
        (
            "the red mug left of the laptop but not the blue one",
            "red mug",
            (("left_of", "laptop"),),
            ("blue mug",),
        ),
        ("mug to the left of the laptop", "mug", (("left_of", "laptop"),), ()),
        ("a book, not red", "book", (), ("red book",)),
        ("a cup but not a laptop", "cup", (), ("laptop",)),
        ("everything on the white table", "everything", (("on", "white table"),), ()),
        (
            "the apple that is on the plate next to a green bottle",
            "apple",
            (("on", "plate"), ("near", "green bottle")),
            (),
        ),
        ("boot under the chair", "boot", (("under", "chair"),), ()),
        ("ball in front of the red cone", "ball", (("in_front_of", "red cone"),), ()),
        ("cup standing on top of the book", "cup", (("on", "book"),), ()),
        ("spoon in the bowl", "spoon", (("inside", "bowl"),), ()),
        ("the mug that is not on the table", "mug that is not on the table", (), ()),
        ("a chair not near the door", "chair not near the door", (), ()),
        (
            "cup not in the sink but on the tray",
            "cup not in the sink",
            (("on", "tray"),),
            (),
        ),
        ("mug on ,", "mug", (), ()),
        ("mug, not ,", "mug", (), ()),
        ("on the table", "on the table", (), ()),
        ("", "", (), ()),
    ],
)
def test_sentences(sentence, text, relations, exclude):
    query = parse(sentence)
    assert query.text == text
    assert query.relations == tuple(Relation(*pair) for pair in relations)
    assert query.exclude == exclude


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("keep away from the plant", KeepAway("the plant", None)),
        ("Please keep 0.5 m away from the plant.", KeepAway("the plant", 0.5)),
        ("stay at least 30cm clear of the red sofa", KeepAway("the red sofa", 0.3)),
        ("keep 2 metres away from the bed near the door", KeepAway("the bed near the door", 2.0)),
        ("the plant", None),
        ("keep away from", None),
        ("a keep away from the plant", None),
    ],
)
def test_wishes_for_a_keep_out_zone(sentence, expected):
    assert keep_away(sentence) == expected


WORDS = st.sampled_from(["the", "mug", "on", "not", "but not", "in", "near", "that is", ","])


@given(st.text(max_size=60) | st.lists(WORDS, max_size=8).map(" ".join))
def test_any_text_is_a_query(sentence):
    query = parse(sentence)
    assert isinstance(query.text, str)
    assert all(relation.anchor for relation in query.relations)
    assert all(query.exclude)
