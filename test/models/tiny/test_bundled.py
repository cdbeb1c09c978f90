"""The weights in the repository, on validation worlds that neither training nor cards saw."""

import numpy as np
import pytest

from semantic_field_ros.models.base import Prompts
from semantic_field_ros.models.registry import load_language_model, load_segmenter
from semantic_field_ros.models.tiny.data import PictureStore, render_world, write_pictures
from semantic_field_ros.models.tiny.evaluate import measure_language, measure_segmenter
from semantic_field_ros.models.tiny.load import CLIP_WEIGHTS, SAM_WEIGHTS
from semantic_field_ros.models.tiny.prompts import interior_most
from semantic_field_ros.models.tiny.weights_io import load_weights, read_card


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation")
    for seed in (1901, 1902, 1904):
        write_pictures(folder, render_world(seed, views=3))
    return PictureStore(folder)


@pytest.fixture(scope="module")
def language():
    return load_language_model("tiny")


def test_both_fit_into_sixteen_megabytes():
    assert sum(path.stat().st_size for path in (SAM_WEIGHTS, CLIP_WEIGHTS)) <= 16_000_000


@pytest.mark.parametrize("weights", [SAM_WEIGHTS, CLIP_WEIGHTS])
def test_cards_tell_how_they_were_made(weights):
    card = read_card(weights)
    assert {"name", "scope", "architecture", "recipe", "data", "validation"} <= set(card)
    assert "never seen" in card["data"]["test_seeds"]


def test_one_click_finds_the_object(worlds):
    figures = measure_segmenter(load_segmenter("tiny"), worlds, views=3)
    assert figures["objects"] >= 30
    assert figures["one_click_iou"] >= 0.77
    assert figures["proposal_iou"] >= 0.7


def test_crops_are_named(worlds, language):
    figures = measure_language(language, worlds, views=3)
    assert figures["crop_top1"] >= 0.8
    assert figures["unknown_not_found"] >= 0.95


def test_a_click_answers_around_the_click(worlds):
    pictures = next(iter(worlds.worlds.values()))
    ids, counts = np.unique(pictures.instance[0], return_counts=True)
    u, v = interior_most(pictures.instance[0] == ids[counts.argmax()])
    segmenter = load_segmenter("tiny")
    embedding = segmenter.embed(np.ascontiguousarray(pictures.rgb[0]))
    (answer,) = segmenter.decode(embedding, (240, 320), [Prompts.click(u, v)])
    assert answer.logits[0, v, u] > 0


@pytest.mark.parametrize(
    "phrase", ["Red Mug", "a red mug", "the red mug", "a photo of the red mug", "red mugs"]
)
def test_articles_case_and_plural_hardly_matter(language, phrase):
    same, other, colour = language.encode_text(["red mug", "green book", "blue mug"])
    (vector,) = language.encode_text([phrase])
    assert vector @ same > 0.85
    assert vector @ same > max(vector @ other, vector @ colour) + 0.2


def test_unknown_nouns_are_alike_and_unlike_things(language):
    zebra, elephant, mug = language.encode_text(["zebra", "elephant", "mug"])
    assert zebra @ elephant > zebra @ mug


def test_weights_are_finite():
    for path in (SAM_WEIGHTS, CLIP_WEIGHTS):
        assert all(bool(value.isfinite().all()) for value in load_weights(path).values())
