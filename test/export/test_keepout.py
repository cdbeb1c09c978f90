from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_field_ros.export.ground import GroundGrid
from semantic_field_ros.export.keepout import (
    ALLOWED,
    FORBIDDEN,
    KeepOutZone,
    QueryZones,
    keep_out_mask,
)
from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.queries.composition import parse

GROUND = GroundGrid(0.1, np.array([0, 0]), (20, 20))
CORNERS = np.array([[0.8, 0.8, 0.0], [1.2, 0.8, 0.3], [0.8, 1.2, 0.0], [1.2, 1.2, 0.0]])


def value(mask, x, y):
    row, column = mask.grid.cells(np.array([[x, y]]))[0]
    return mask.cells[row, column]


def test_a_zone_is_the_footprint_and_its_surroundings():
    mask = keep_out_mask(GROUND, [KeepOutZone("box", CORNERS, 0.3)])
    assert mask.grid.shape == GROUND.shape
    assert value(mask, 1.0, 1.0) == FORBIDDEN  # between the corners that were seen
    assert value(mask, 1.45, 1.0) == FORBIDDEN
    assert value(mask, 1.75, 1.0) == ALLOWED
    assert set(np.unique(mask.cells)) == {ALLOWED, FORBIDDEN}


def test_without_zones_nothing_is_forbidden():
    mask = keep_out_mask(GROUND, [])
    assert mask.cells.shape == GROUND.shape
    assert (mask.cells == ALLOWED).all()


def test_the_mask_grows_where_a_zone_leaves_the_map():
    mask = keep_out_mask(GROUND, [KeepOutZone("door", CORNERS - [1.0, 0, 0], 0.5)])
    assert value(mask, -0.6, 1.0) == FORBIDDEN
    np.testing.assert_allclose(mask.grid.origin_m, [-2.0, 0.0])
    assert value(mask, 1.95, 1.95) == ALLOWED


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), min_size=1, max_size=6),
    st.floats(0, 0.6),
)
def test_everything_within_the_radius_of_a_point_is_forbidden(points, radius_m):
    points = np.array([[*point, 0.0] for point in points])
    mask = keep_out_mask(GROUND, [KeepOutZone("thing", points, radius_m)])
    angle = np.linspace(0, 2 * np.pi, 9)
    for x, y, _ in points:
        for turn in angle:
            reach = 0.999 * radius_m
            assert value(mask, x + reach * np.cos(turn), y + reach * np.sin(turn)) == FORBIDDEN


@pytest.mark.parametrize(("points", "radius_m"), [(CORNERS, -0.1), (CORNERS, np.inf), ([], 0.1)])
def test_zones_that_make_no_sense_are_refused(points, radius_m):
    with pytest.raises(ValueError, match="keep-out zone|radius must"):
        KeepOutZone("thing", np.asarray(points).reshape(-1, 3), radius_m)


def click(x_m):
    return ClickQuery(points_world=np.array([[x_m, 0.8, 0.0]], np.float32))


def test_a_query_is_the_same_by_its_meaning_and_a_click_by_what_it_hits():
    zones = (KeepOutZone("box", CORNERS, 0.3),)
    asked = QueryZones(parse("the red box on the table"), zones)
    assert asked.asked_by(parse("Red box on a table!"))
    assert not asked.asked_by(parse("red box"))
    assert not asked.asked_by(click(0.8))
    assert asked.asked_by(replace(parse("red box on a table"), threshold=0.5, max_results=1))
    clicked = QueryZones(click(0.8), zones)
    assert clicked.asked_by(click(0.82))
    assert not clicked.asked_by(click(0.9))
    assert not clicked.asked_by(parse("red box"))


def test_the_same_words_mean_another_thing_in_another_region_or_seen_from_elsewhere():
    zones = (KeepOutZone("box", CORNERS, 0.3),)

    def there(x_m):
        return replace(parse("the box"), region_m=(np.zeros(3), np.array([x_m, 1.0, 1.0])))

    asked = QueryZones(there(2.0), zones)
    assert asked.asked_by(there(2.0))
    assert not asked.asked_by(there(3.0)) and not asked.asked_by(parse("the box"))

    def seen_from(x_m):
        pose = np.eye(4)
        pose[0, 3] = x_m
        return replace(parse("the box left of the door"), reference_pose=pose)

    asked = QueryZones(seen_from(0.0), zones)
    assert asked.asked_by(seen_from(0.0)) and not asked.asked_by(seen_from(1.0))
