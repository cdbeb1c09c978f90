import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.semantics.voxels import (
    VoxelIndex,
    key_offset,
    voxel_centres,
    voxel_keys,
)


def test_centres_lie_in_the_voxels_of_the_points():
    points = np.array([[0.04, -0.04, 0.26], [-1.0, 2.0, 0.0]], np.float32)
    centres = voxel_centres(points, 0.1)
    np.testing.assert_allclose(centres, [[0.05, -0.05, 0.25], [-0.95, 2.05, 0.05]], atol=1e-6)


@given(st.tuples(*[st.integers(-1000, 1000)] * 3), st.tuples(*[st.integers(-1, 1)] * 3))
def test_offset_reaches_the_neighbour(cell, step):
    here = (np.array([cell]) + 0.5) * 0.1
    there = here + np.array(step) * 0.1
    assert voxel_keys(there, 0.1)[0] == voxel_keys(here, 0.1)[0] + key_offset(step)


@given(st.tuples(*[st.sampled_from([-99_999.0, -52_428.85, 0.05, 52_428.75, 1e5])] * 3))
def test_neighbours_are_told_apart_however_far_from_the_origin(at):
    steps = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    assert len(set(voxel_keys(np.array(at) + 0.1 * steps, 0.1))) == 27


def test_larger_voxels_have_keys_of_their_own():
    points = np.array([[0.05] * 3, [0.15] * 3, [0.25] * 3])
    fine, coarse = voxel_keys(points, 0.1), voxel_keys(points, 0.1, level=1)
    assert coarse[0] == coarse[1] != coarse[2]
    assert len({*fine, *coarse}) == 5


def test_rows_are_given_in_order_of_adding_and_kept():
    index = VoxelIndex()
    assert index.find(np.array([7])).tolist() == [-1]
    assert index.add(np.array([50, 10, 50])).tolist() == [1, 0, 1]
    assert index.add(np.array([30, 10])).tolist() == [2, 0]
    assert index.find(np.array([50, 11, 30])).tolist() == [1, -1, 2]
    assert index.keys().tolist() == [10, 50, 30]


def test_a_copy_does_not_follow_later_additions():
    index = VoxelIndex(np.array([5, 3]))
    copy = index.copy()
    index.add(np.array([4]))
    assert len(copy) == 2 and copy.find(np.array([4, 3])).tolist() == [-1, 1]


@pytest.mark.parametrize("keys", [[9, 2, 5], [1]])
def test_index_from_keys_numbers_them_by_position(keys):
    assert VoxelIndex(np.array(keys)).find(np.array(keys)).tolist() == list(range(len(keys)))
