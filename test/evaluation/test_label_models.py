import cv2
import numpy as np
import pytest

from semantic_field_ros.evaluation.label_faults import NO_FAULTS, Faults
from semantic_field_ros.evaluation.label_models import (
    LabelLanguage,
    LabelledView,
    LabelSegmenter,
    phrase_vector,
)
from semantic_field_ros.models.base import Prompts

NAMED = {1: "red mug", 2: "blue box"}


def view(seed):
    instance = np.zeros((48, 64), np.int32)
    instance[5:25, 5:30], instance[25:45, 35:60] = 1, 2
    rgb = np.random.default_rng(seed).integers(0, 80, (48, 64, 3)).astype(np.uint8)
    rgb[instance == 1], rgb[instance == 2] = (200, 30, 30 + seed), (30, 30, 200)
    return LabelledView(rgb, instance)


VIEWS = [view(0), view(40)]


def box_crop(image, proposal):
    left, top, right, bottom = proposal.box_px
    return cv2.resize(image[top : bottom + 1, left : right + 1], (32, 32))


def test_a_click_gives_the_region_under_it_in_its_own_view():
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    embedding = segmenter.embed(VIEWS[1].rgb)
    assert embedding.dtype == np.float16 and embedding[0, 0, 0] == 1
    mug, box = segmenter.decode(
        embedding, (48, 64), [Prompts.click(10, 10), Prompts.click(40, 30)]
    )
    assert ((mug.logits[0] > 0) == (VIEWS[1].instance == 1)).all()
    assert ((box.logits[0] > 0) == (VIEWS[1].instance == 2)).all()


def test_negative_points_and_boxes_are_heeded():
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    embedding = segmenter.embed(VIEWS[0].rgb)
    both = Prompts(np.array([[10, 10], [40, 30]], np.float32), np.array([False, True]))
    boxed = Prompts(
        np.zeros((0, 2), np.float32), np.zeros(0, bool), np.array([33, 24, 61, 46], np.float32)
    )
    for answer in segmenter.decode(embedding, (48, 64), [both, boxed]):
        assert ((answer.logits[0] > 0) == (VIEWS[0].instance == 2)).all()


def test_a_smaller_copy_is_recognised_and_a_stranger_is_not():
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    small = cv2.resize(VIEWS[1].rgb, (32, 24), interpolation=cv2.INTER_AREA)
    assert segmenter.embed(small)[0, 0, 0] == 1
    assert segmenter.propose(segmenter.embed(small), small)[0].shape == (24, 32)
    with pytest.raises(ValueError, match="no labelled view looks like this image"):
        segmenter.embed(255 - VIEWS[0].rgb)


def test_a_blank_image_to_warm_up_with_is_background():
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    blank = np.zeros((24, 32, 3), np.uint8)
    (region,) = segmenter.propose(segmenter.embed(blank), blank)
    assert region.mask().all()


def test_rendered_embeddings_are_refused():
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    with pytest.raises(ValueError, match="that `embed` returned, got view number 0.4"):
        segmenter.decode(np.full((32, 64, 64), 0.4), (48, 64), [Prompts.click(1, 1)])


def test_crops_get_the_vector_of_their_object():
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    language = LabelLanguage(segmenter, VIEWS, NAMED, box_crop, NO_FAULTS)
    proposals = segmenter.propose(segmenter.embed(VIEWS[0].rgb), VIEWS[0].rgb)
    vectors = language.encode_crops([box_crop(VIEWS[0].rgb, p) for p in proposals])
    expected = language.encode_text(["red mug", "blue box", "background"])
    assert np.allclose(vectors, expected, atol=1e-6)
    assert language.encode_crops([]).shape == (0, 64)


def test_noise_keeps_unit_vectors_and_costs_similarity():
    noisy = Faults()
    segmenter = LabelSegmenter(VIEWS, NAMED, NO_FAULTS)
    language = LabelLanguage(segmenter, VIEWS, NAMED, box_crop, noisy)
    proposals = segmenter.propose(segmenter.embed(VIEWS[0].rgb), VIEWS[0].rgb)
    vectors = language.encode_crops([box_crop(VIEWS[0].rgb, p) for p in proposals])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert 0.6 < float(vectors[0] @ phrase_vector("red mug")) < 0.95


def test_phrases_that_share_a_word_are_nearer():
    mug = phrase_vector("red mug")
    assert mug @ phrase_vector("blue mug") > 0.25 > abs(mug @ phrase_vector("green plate"))
