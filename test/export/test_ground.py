import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.export.ground import GroundGrid

GRID = GroundGrid(0.5, np.array([-2, 4]), (3, 4))  # x in [-1, 1), y in [2, 3.5)


def test_rows_go_along_y_and_columns_along_x():
    points = np.array([[-1.0, 2.0, 9.0], [0.6, 3.4, 9.0], [1.0, 2.0, 9.0]])
    cells = GRID.cells(points)
    np.testing.assert_array_equal(cells, [[0, 0], [2, 3], [0, 4]])
    np.testing.assert_array_equal(GRID.inside(cells), [True, True, False])
    np.testing.assert_allclose(GRID.centres(cells[:2]), [[-0.75, 2.25], [0.75, 3.25]])


def test_amounts_are_sums_in_cells():
    points = np.array([[-0.9, 2.1], [-0.8, 2.2], [5.0, 5.0]])
    amount = GRID.amount(points, np.array([1.0, 2.0, 4.0]))
    assert amount[0, 0] == 3.0
    assert amount.sum() == 3.0
    assert GRID.amount(points)[0, 0] == 2.0


@given(st.lists(st.tuples(*[st.floats(-20, 20)] * 2), min_size=1, max_size=20))
def test_the_grid_around_points_holds_them_in_whole_blocks_and_no_more_of_them(points):
    points = np.array(points)
    grid = GroundGrid.around(points, 0.25)
    cells = grid.cells(points)
    assert grid.inside(cells).all()
    assert (grid.first % 20 == 0).all() and (np.array(grid.shape) % 20 == 0).all()
    assert (cells.min(axis=0) < 20).all()
    assert (cells.max(axis=0) >= np.array(grid.shape) - 20).all()


def test_a_map_that_grows_a_little_keeps_its_grid():
    before = GroundGrid.around(np.array([[-0.2, 0.1], [1.4, 1.7]]), 0.05)
    after = GroundGrid.around(np.array([[-0.4, 0.05], [1.96, 1.75]]), 0.05)
    np.testing.assert_array_equal(before.first, [-20, 0])
    np.testing.assert_array_equal(after.first, before.first)
    assert before.shape == after.shape == (40, 60)


def test_a_hull_covers_what_is_between_points():
    corners = np.array([[-0.9, 2.1], [0.9, 2.1], [-0.9, 3.4]])
    np.testing.assert_array_equal(
        GRID.covered(corners), [[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]]
    )
    assert GRID.covered(corners[:1]).sum() == 1
    assert GRID.covered(corners[:2]).sum() == 4


@pytest.mark.parametrize(
    ("first", "shape", "held"),
    [
        ([-2, 4], (3, 4), True),
        ([-1, 5], (2, 3), True),
        ([-3, 4], (3, 4), False),
        ([-2, 4], (3, 5), False),
        ([-2, 5], (3, 4), False),
    ],
)
def test_a_grid_holds_another_where_it_has_all_its_cells(first, shape, held):
    assert GRID.holds(GroundGrid(0.5, np.array(first), shape)) is held


def test_no_points_and_far_too_many_cells_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        GroundGrid.around(np.zeros((0, 3)), 0.1)
    for away_m in (1e4, 2.0**31 / 10, 1e38):
        with pytest.raises(ValueError, match="larger ones"):
            GroundGrid.around(np.array([[0.0, 0.0], [away_m, 2 * away_m]]), 0.1)
