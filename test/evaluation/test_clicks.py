import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semantic_field_ros.evaluation.clicks import choose_clicks, interior_pixel, views_by_object
from semantic_field_ros.evaluation.ground_truth import FrameTruth
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(60, 50, 50.0, 50.0, 29.5, 24.5)


def view(**boxes):
    """A view with rectangles `i7=(row0, row1, column0, column1)`."""
    instance = np.zeros((50, 60), np.int32)
    for name, (top, bottom, left, right) in boxes.items():
        instance[top:bottom, left:right] = int(name[1:])
    return FrameTruth(CAMERA, np.eye(4), instance, np.ones((50, 60), np.float32))


def test_the_middle_of_a_bar_and_not_its_centroid_when_bent():
    mask = np.zeros((9, 20), bool)
    mask[2:7, 3:8] = True
    assert interior_pixel(mask) == (5, 4)
    bent = np.zeros((20, 20), bool)
    bent[:, :3], bent[17:, :] = True, True  # an L, whose centroid lies outside
    u, v = interior_pixel(bent)
    assert bent[v, u]


def test_the_edge_of_the_image_is_outside():
    mask = np.zeros((9, 9), bool)
    mask[:, :5] = True
    assert interior_pixel(mask)[0] == 2


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="not be empty"):
        interior_pixel(np.zeros((3, 3), bool))


@given(hnp.arrays(np.bool_, (7, 9)).filter(np.any))
def test_the_pixel_always_belongs_to_the_mask(mask):
    u, v = interior_pixel(mask)
    assert mask[v, u]


def test_only_views_with_400_pixels_count():
    views = {1: view(i3=(0, 20, 0, 20)), 2: view(i3=(0, 20, 0, 19), i4=(30, 50, 0, 40))}
    assert views_by_object(views) == {3: [1], 4: [2]}


@given(st.integers(0, 2**32 - 1))
def test_each_wanted_object_is_clicked_once_inside_itself(seed):
    views = {
        10: view(i3=(0, 20, 0, 20), i4=(25, 50, 0, 40)),
        20: view(i3=(0, 30, 0, 30), i9=(30, 50, 30, 60)),
    }
    clicks = choose_clicks(views, {3: "mug", 4: "bowl"}, np.random.default_rng(seed))
    assert [click.id for click in clicks] == [3, 4]
    for click in clicks:
        u, v = click.pixel
        assert views[click.stamp_ns].instance[v, u] == click.id
