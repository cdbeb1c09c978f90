"""Phrases against regions: thresholds, exclusions, boxes and crumbs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration, Image, LanguageModel, relevancy
from semantic_field_ros.queries import text
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.queries.text import PhraseBook, RegionLimits, TextResult, find_text
from semantic_field_ros.semantics.base import FrozenMethod, Region
from semantic_field_ros.types import SurfaceCloud

WORDS = {"red mug": (1, 0, 0), "blue mug": (0, 1, 0), "thing": (0, 0, 1), "mug": (0.7, 0.7, 0.1)}
CALIBRATION = Calibration(negatives=("thing",), temperature=10.0, threshold=0.6)
LIMITS = RegionLimits(link_spacings=1.5, min_points=3)


class WordModel(LanguageModel):
    """Four phrases in three dimensions."""

    dim = 3
    calibration = CALIBRATION
    asked = 0

    def encode_crops(self, images: Sequence[Image]) -> NDArray[np.float32]:
        raise NotImplementedError

    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        self.asked += len(phrases)
        vectors = np.array([WORDS[p] for p in phrases], np.float32).reshape(-1, 3)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class FixedRegions(FrozenMethod):
    """Given regions, scored by their language vectors."""

    def __init__(self, *members: tuple[NDArray[np.int64], tuple[float, ...]]) -> None:
        self._members = members

    def instances(self, surface: SurfaceCloud) -> list[Region]:
        return []

    def text_regions(
        self,
        surface: SurfaceCloud,
        phrase: NDArray[np.float32],
        negatives: NDArray[np.float32],
        calibration: Calibration,
    ) -> list[Region]:
        regions = []
        for indices, vector in self._members:
            language = np.array(vector, np.float32)
            score = relevancy(language[None], phrase, negatives, calibration.temperature)[0]
            regions.append(Region(indices, np.ones(len(indices), np.float32), score, language))
        return sorted(regions, key=lambda region: -region.score)


def line() -> SurfaceCloud:
    """100 points, 10 cm apart, along x."""
    points = np.zeros((100, 3), np.float32)
    points[:, 0] = np.arange(100) / 10
    rgb, spacing_m = np.zeros((100, 3), np.uint8), np.full(100, 0.1, np.float32)
    return SurfaceCloud(points, np.zeros_like(points), rgb, spacing_m, {}, 1)


def ask(query: TextQuery, method: FrozenMethod) -> TextResult:
    return find_text(query, line(), method, PhraseBook(WordModel()), CALIBRATION, LIMITS)


def ask_with_rivals(what: str, method: FrozenMethod, head_start: float) -> TextResult:
    """As `ask`, by a model that knows that what is red is not blue."""
    groups = (("red", "blue"),)
    knowing = replace(CALIBRATION, groups=groups, head_start=head_start)
    return find_text(TextQuery(what), line(), method, PhraseBook(WordModel()), knowing, LIMITS)


RED = (np.arange(10), (1.0, 0.0, 0.0))
BLUE = (np.arange(20, 30), (0.0, 1.0, 0.0))


def test_the_red_one_is_found_and_the_blue_one_is_not_it() -> None:
    result = ask(TextQuery("red mug"), FixedRegions(BLUE, RED))
    assert [region.indices.tolist() for region in result.regions] == [list(range(10))]
    # Cosine 1 to the phrase and 0 to the negative: 1 / (1 + exp(-10)).
    assert result.best_score == pytest.approx(0.9999546)


def test_nothing_above_the_threshold_is_an_answer_with_a_reason() -> None:
    result = ask(TextQuery("red mug"), FixedRegions(BLUE))
    assert result.regions == []
    assert result.best_score == pytest.approx(0.5)  # cosine 0 to both
    assert result.reason == (
        "'red mug' is not in the map: the best score is 0.50, found is 0.60 and above"
    )


@pytest.mark.parametrize("threshold", [np.nan, -0.1, 60.0])
def test_a_threshold_that_no_score_has_is_refused(threshold: float) -> None:
    """Not a number is neither reached nor missed, and the reason given was another one."""
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\], got"):
        TextQuery("red mug", threshold=threshold)


def test_a_query_may_bring_its_own_threshold() -> None:
    assert len(ask(TextQuery("red mug", threshold=0.4), FixedRegions(BLUE)).regions) == 1


def test_excluded_phrases_take_their_regions_with_them() -> None:
    both = ask(TextQuery("mug"), FixedRegions(RED, BLUE))
    assert len(both.regions) == 2
    without_red = ask(TextQuery("mug", exclude=("red mug",)), FixedRegions(RED, BLUE))
    assert [region.indices[0] for region in without_red.regions] == [20]


def test_a_region_of_interest_cuts_regions() -> None:
    box = (np.array([0.0, -1, -1]), np.array([0.45, 1, 1]))
    result = ask(TextQuery("red mug", region_m=box), FixedRegions(RED))
    assert result.regions[0].indices.tolist() == [0, 1, 2, 3, 4]


def test_what_is_there_but_not_wanted_is_said_to_be_there() -> None:
    method = FixedRegions(RED, BLUE)
    excluded = ask(TextQuery("mug", exclude=("red mug", "blue mug")), method)
    assert excluded.regions == [] and excluded.best_score == pytest.approx(0.9991, abs=1e-4)
    assert excluded.reason == (
        "'mug' is in the map, with a score of 1.00, but what is excluded fits it better"
    )
    box = (np.array([5.0, -1, -1]), np.array([6.0, 1, 1]))
    for query in (
        TextQuery("red mug", region_m=box),
        TextQuery("red mug", exclude=("blue mug",), region_m=box),
    ):
        elsewhere = ask(query, method)
        assert elsewhere.reason == (
            "'red mug' is in the map, with a score of 1.00, but not in the region asked for"
        )
    nowhere = ask(TextQuery("red mug", region_m=box), FixedRegions(BLUE))
    assert nowhere.reason == (
        "'red mug' is not in the map: the best score is 0.50, found is 0.60 and above"
    )


def test_crumbs_are_dropped() -> None:
    with_crumb = (np.array([*range(40, 60), 80]), (1.0, 0.0, 0.0))
    result = ask(TextQuery("red mug"), FixedRegions(with_crumb))
    assert result.regions[0].indices.tolist() == list(range(40, 60))


def test_a_worse_copy_of_a_region_is_dropped() -> None:
    copy = (np.arange(2, 11), (0.9, 0.4, 0.1))
    result = ask(TextQuery("red mug"), FixedRegions(RED, copy))
    assert [len(region.indices) for region in result.regions] == [10]


def test_what_is_much_less_likely_than_the_best_answer_is_something_else() -> None:
    # Cosines 0.9 and 0.6 to the phrase, against 0 and 0.4: scores 0.9999 and 0.8808, odds of
    # 8103 and 7.4. By itself the second is an answer, beside the first it is not.
    alike = (np.arange(40, 60), (0.6, 0.69282, 0.4))
    sure = (np.arange(10), (0.9, 0.43589, 0.0))
    beside = ask(TextQuery("red mug"), FixedRegions(alike, sure))
    assert [region.indices[0] for region in beside.regions] == [0]
    alone = ask(TextQuery("red mug"), FixedRegions(alike))
    assert alone.best_score == pytest.approx(0.8808, abs=1e-4)
    assert [region.indices[0] for region in alone.regions] == [40]
    asked_for = ask(TextQuery("red mug", threshold=0.6), FixedRegions(alike, sure))
    assert [region.indices[0] for region in asked_for.regions] == [0, 40]


def test_all_that_is_about_as_likely_is_an_answer() -> None:
    # Odds of exp(10 * 0.7) and exp(10 * 0.6): the second has 0.37 of the first's.
    first = (np.arange(10), (0.7, 0.71414, 0.0))
    second = (np.arange(40, 60), (0.6, 0.8, 0.0))
    result = ask(TextQuery("red mug"), FixedRegions(first, second))
    assert [region.indices[0] for region in result.regions] == [0, 40]


def test_the_whole_thing_answers_rather_than_a_part_that_fits_a_little_better() -> None:
    part, whole = (np.arange(5, 15), (0.7, 0.71414, 0.0)), (np.arange(5, 30), (0.6, 0.8, 0.0))
    result = ask(TextQuery("red mug"), FixedRegions(part, whole))
    assert [region.indices.tolist() for region in result.regions] == [list(range(5, 30))]
    assert result.best_score == pytest.approx(0.99909, abs=1e-5)


def test_a_part_that_fits_much_better_is_the_thing_itself() -> None:
    mug, cabinet = (np.arange(5, 15), (0.9, 0.43589, 0.0)), (np.arange(5, 30), (0.6, 0.8, 0.0))
    for threshold in (None, 0.6):
        result = ask(TextQuery("red mug", threshold=threshold), FixedRegions(mug, cabinet))
        assert [region.indices.tolist() for region in result.regions] == [list(range(5, 15))]


@pytest.mark.parametrize("most", [0, -1])
def test_no_results_at_all_cannot_be_asked_for(most: int) -> None:
    with pytest.raises(ValueError, match=f"max_results must be >= 1, got {most}"):
        TextQuery("mug", max_results=most)


def test_phrases_are_encoded_once() -> None:
    model = WordModel()
    book = PhraseBook(model)
    first = book.vectors(["red mug", "mug"])
    np.testing.assert_array_equal(book.vectors(["mug", "red mug"]), first[::-1])
    assert model.asked == 2


def test_phrases_that_are_asked_for_again_and_again_are_not_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(text, "REMEMBERED", 2)
    model = WordModel()
    book = PhraseBook(model)
    for phrase in ("thing", "red mug", "thing", "blue mug", "thing"):
        book.vectors([phrase])
    assert model.asked == 3


def test_a_phrase_that_its_rival_fits_better_is_not_found() -> None:
    # Cosines 0.6 to "red mug", 0.8 to "blue mug", 0 to "thing": 1 / (1 + exp(10 (0.8 - 0.6))).
    bluish = (np.arange(40, 50), (0.6, 0.8, 0.0))
    assert ask(TextQuery("red mug"), FixedRegions(bluish)).best_score > 0.99
    alone = ask_with_rivals("red mug", FixedRegions(bluish), head_start=0.0)
    assert not alone.regions and alone.best_score == pytest.approx(0.1192, abs=1e-4)
    # A head start of 2 makes up for it: 1 / (1 + exp(2 - 2)).
    helped = ask_with_rivals("red mug", FixedRegions(bluish), head_start=2.0)
    assert helped.best_score == pytest.approx(0.5, abs=1e-4)
    # What is redder, though farther from "thing", comes first.
    both = ask_with_rivals("red mug", FixedRegions(bluish, RED), head_start=2.0)
    assert [region.indices[0] for region in both.regions] == [0]


def test_a_phrase_without_words_of_a_group_has_no_rivals() -> None:
    without = ask(TextQuery("mug"), FixedRegions(RED, BLUE))
    with_groups = ask_with_rivals("mug", FixedRegions(RED, BLUE), head_start=0.0)
    assert [r.score for r in without.regions] == [r.score for r in with_groups.regions] != []
