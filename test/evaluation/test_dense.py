"""Classes and relevancy against the truth, on a map of four points."""

from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.evaluation.asking import Bench
from semantic_field_ros.evaluation.dense import (
    ClassList,
    class_list,
    judge_classes,
    judge_relevancy,
)
from semantic_field_ros.evaluation.ground_truth import TrueThing
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
CLASSES = ClassList(("pan", "red mug"), ("wooden table", "things"))


def truth(lists_everything=True):
    instance = OWNER.reshape(1, 4)
    return SimpleNamespace(
        things=THINGS,
        scenery=("wooden table",),
        lists_everything=lists_everything,
        of=lambda frame: SimpleNamespace(instance=instance),
    )


def bench(named, relevancy=(0, 0, 0, 0), lists_everything=True):
    """A map of the four points that names them so, and finds them so relevant."""
    surface = SurfaceCloud(
        POINTS, np.zeros_like(POINTS), np.zeros((4, 3), np.uint8), np.ones(4, np.float32)
    )
    field = SimpleNamespace(
        classify=lambda phrases: Classification(
            tuple(phrases), np.array(named), np.ones(4, np.float32), 1
        ),
        relevancy=lambda phrase: np.array(relevancy, np.float32),
        render=lambda camera, pose, layer: np.full((1, 4), 2.0, np.float32),
    )
    frame = PosedFrame(0, "camera", CAMERA, np.eye(4), np.zeros((1, 4, 3), np.uint8), None)
    true_surface = TrueSurface(POINTS, OWNER)
    return Bench(
        field,
        SimpleNamespace(held_out=[frame]),
        truth(lists_everything),
        surface,
        true_surface,
        register(POINTS, true_surface),
        Questions({"red mug": (1, 2), "blue box": (7,)}, (), ()),
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


def test_a_map_that_names_nothing_has_no_figures():
    assert judge_classes(bench([-1, -1, -1, -1]), CLASSES) is None


def test_relevancy_is_judged_for_each_phrase_that_a_view_shows():
    figures = judge_relevancy(bench([0] * 4, [1.0, 0.5, 0.5, 0.0]))
    # The box is in no view. D: (0 + 0.25 + 0.25 + 0) / 4; the most relevant pixel is a mug's.
    assert (figures.recall, figures.count) == (1.0, 1)
    assert figures.distance == pytest.approx(0.125)
    assert judge_relevancy(bench([0] * 4, [0.6, 0.0, 0.9, 0.0])).recall == 0.0
