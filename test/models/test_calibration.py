from semantic_field_ros.models.base import Calibration
from semantic_field_ros.models.registry import load_language_model

TWO_GROUPS = Calibration(groups=(("red", "blue", "green"), ("mug", "bowl")))


def test_rivals_differ_in_one_word_of_a_group():
    assert TWO_GROUPS.rivals("red mug") == ["blue mug", "green mug", "red bowl"]
    assert TWO_GROUPS.rivals("the Blue chair") == ["the red chair", "the green chair"]
    assert TWO_GROUPS.rivals("old chair") == []
    assert Calibration().rivals("red mug") == []


def test_the_bundled_model_knows_what_it_was_taught_to_tell_apart():
    rivals = load_language_model("tiny").calibration.rivals("red mug")
    assert {"blue mug", "red bowl"} <= set(rivals) and "red mug" not in rivals
    assert len(rivals) == len(set(rivals)) == 10 + 43
