"""Classes and relevancy against the truth, on a map of four points."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.evaluation.asking import Bench
from semantic_field_ros.evaluation.clicks import Click
from semantic_field_ros.evaluation.dense import (
    ClassList,
    class_list,
    judge_classes,
    judge_instances,
    judge_relevancy,
    judge_view_classes,
    most_relevant_lies_inside,
)
from semantic_field_ros.evaluation.ground_truth import FrameTruth, TrueThing
from semantic_field_ros.evaluation.metrics import ClassFigures, TrueSurface, register
from semantic_field_ros.evaluation.questions import Questions
from semantic_field_ros.queries.base import Classification
from semantic_field_ros.types import PinholeCamera, PosedFrame, SurfaceCloud

CAMERA = PinholeCamera(4, 1, 2.0, 2.0, 1.5, 0.0)
#: one point per pixel of a camera that looks at them from 2 m; a metre apart.
POINTS = np.array([[u - 1.5, 0.0, 2.0] for u in range(4)], np.float32)
#: two mugs' points, a pan's, and one of the table's.
OWNER = np.array([1, 2, 3, 9])
THINGS = {
    1: TrueThing(1, "red mug"),
    2: TrueThing(2, "red mug"),
    3: TrueThing(3, "pan"),
}
#: the second mug is seen too badly to be clicked.
CLICKS = (Click(1, 0, (0, 0)), Click(3, 0, (2, 0)))
CLASSES = ClassList(("pan", "red mug"), ("wooden table", "things"))


def truth(lists_everything=True):
    view = FrameTruth(
        CAMERA, np.eye(4), OWNER.reshape(1, 4).astype(np.int32), np.full((1, 4), 2.0, np.float32)
    )
    return SimpleNamespace(
        things=THINGS,
        scenery=("wooden table",),
        lists_everything=lists_everything,
        names_every_place=False,
        knows=lambda frame: frame.stamp_ns == 0,
        of=lambda frame: view,
    )


def bench(named, relevancy=(0, 0, 0, 0), lists_everything=True, parts=()):
    """A map of the four points that names them so, finds them so relevant, tells them so apart."""
    surface = SurfaceCloud(
        POINTS, np.zeros_like(POINTS), np.zeros((4, 3), np.uint8), np.ones(4, np.float32)
    )
    field = SimpleNamespace(
        classify=lambda phrases: Classification(
            tuple(phrases), np.array(named), np.ones(4, np.float32), 1
        ),
        relevancy=lambda phrase: np.array(relevancy, np.float32),
        render=lambda camera, pose, layer: np.full((1, 4), 2.0, np.float32),
        instances=lambda vocabulary: SimpleNamespace(
            masks=[SimpleNamespace(indices=np.array(part)) for part in parts]
        ),
    )
    frame = PosedFrame(0, "camera", CAMERA, np.eye(4), np.zeros((1, 4, 3), np.uint8), None)
    unlabelled = replace(frame, stamp_ns=1)
    true_surface = TrueSurface(POINTS, OWNER)
    return Bench(
        field,
        SimpleNamespace(held_out=[frame, unlabelled]),
        truth(lists_everything),
        surface,
        true_surface,
        register(POINTS, true_surface),
        Questions({"red mug": (1, 2), "blue box": (7,)}, (), CLICKS),
    )


def test_a_class_list_has_each_phrase_once_and_scenery_in_the_background():
    assert class_list(truth(), ("things", "wooden table", "pan")) == ClassList(
        ("pan", "red mug"), ("wooden table", "things")
    )
    assert CLASSES.phrases == ("pan", "red mug", "wooden table", "things")


def test_any_word_of_the_background_is_right_there():
    for background in (2, 3):
        assert judge_classes(bench([1, 1, 0, background]), CLASSES) == ClassFigures(1.0, 1.0)


def test_a_wrong_name_counts_against_both_classes():
    # Mugs: 1 of 2 found, union 2. Pan: 1 of 1, union 2. Background: nothing of 1.
    figures = judge_classes(bench([1, 0, 0, -1]), CLASSES)
    assert figures.mean_iou == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert figures.mean_accuracy == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_what_a_folder_does_not_label_does_not_count():
    figures = judge_classes(bench([1, 1, 0, 0], lists_everything=False), CLASSES)
    assert figures == ClassFigures(1.0, 1.0)


def test_a_map_that_names_nothing_is_wrong_everywhere():
    nothing = bench([-1, -1, -1, -1])
    assert judge_classes(nothing, CLASSES) == ClassFigures(0.0, 0.0)
    assert judge_view_classes(nothing, CLASSES) == ClassFigures(0.0, 0.0)


def test_class_maps_are_judged_over_the_pixels_of_labelled_views():
    # The view shows each point in one pixel: the same figures as on the surface.
    for named in ([1, 0, 0, -1], [1, 1, 0, 3]):
        assert judge_view_classes(bench(named), CLASSES) == judge_classes(bench(named), CLASSES)
    some = judge_view_classes(bench([1, 0, 0, -1], lists_everything=False), CLASSES)
    assert some.mean_iou == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_a_closed_list_of_classes_has_no_background():
    closed = truth()
    closed.names_every_place = True
    assert class_list(closed, ("things",)) == ClassList(("pan", "red mug"), ())


def test_instances_are_judged_by_what_is_seen_well():
    figures = judge_instances(bench([0] * 4, parts=([0], [1], [2, 3])))
    # Mug 1: IoU 1. Mug 2 is seen badly, so its instance is not spurious. Pan: IoU 1/2, no match.
    assert (figures.matched, figures.spurious, figures.missed) == (1, 1, 1)
    # Where not everything is labelled, the table's point counts nowhere: pan IoU 1.
    figures = judge_instances(bench([0] * 4, parts=([0], [2, 3]), lists_everything=False))
    assert figures.quality == 1.0


def test_relevancy_is_judged_for_each_phrase_that_a_view_shows():
    figures = judge_relevancy(bench([0] * 4, [1.0, 0.5, 0.5, 0.0]))
    # The box is in no view. D: (0 + 0.25 + 0.25 + 0) / 4; the most relevant pixel is a mug's.
    assert (figures.recall, figures.count, figures.localisation) == (1.0, 1, 1.0)
    assert figures.distance == pytest.approx(0.125)
    wrong = judge_relevancy(bench([0] * 4, [0.6, 0.0, 0.9, 0.0]))
    assert (wrong.recall, wrong.localisation) == (0.0, 0.0)


def test_of_equally_relevant_pixels_the_innermost_tells_where_a_thing_is():
    relevancy = np.zeros((7, 7), np.float32)
    relevancy[1:6, 1:6] = 0.8  # a region a pixel larger than the thing all around
    inside = np.zeros((7, 7), np.bool_)
    inside[2:5, 2:5] = True
    assert most_relevant_lies_inside(relevancy, inside)
    relevancy[1, 1] = 0.9
    assert not most_relevant_lies_inside(relevancy, inside)
    assert not most_relevant_lies_inside(np.zeros((7, 7), np.float32), inside)
