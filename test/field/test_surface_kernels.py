import numpy as np

from semantic_field_ros.field.surface_kernels import (
    count_votes,
    flatten,
    merge_samples,
    voxel_levels,
)


def finest(rows):
    """All samples in voxels of level 0."""
    return np.zeros(len(rows), np.int8)


def test_points_in_a_voxel_become_their_weighted_mean():
    rows = np.zeros((3, 11), np.float32)
    rows[:, :3] = [[0.1, 0.1, 0.1], [0.5, 0.1, 0.1], [1.5, 0.1, 0.1]]
    rows[:, 9] = 3, 1, 1
    rows[:, 10] = 0.4, 0.2, 0.3
    merged, levels, live = merge_samples(rows, finest(rows), 3, 1.0, 10)
    np.testing.assert_allclose(merged[:, :3], [[0.2, 0.1, 0.1], [1.5, 0.1, 0.1]], atol=1e-6)
    assert merged[:, 9].tolist() == [4, 1]
    np.testing.assert_allclose(merged[:, 10], [0.2, 0.3])
    assert levels.tolist() == [0, 0]
    assert live == 2


def test_voxels_double_with_the_level():
    rows = np.ones((4, 11), np.float32)
    rows[:, 0] = 0.5, 1.5, 8.5, 9.5
    merged, levels, _ = merge_samples(rows, np.array([0, 0, 1, 1], np.int8), 4, 1.0, 10)
    np.testing.assert_allclose(merged[:, 0], [0.5, 1.5, 9.0])
    assert levels.tolist() == [0, 0, 1]


def test_the_finest_footprint_decides_for_its_cell():
    """Cells of 8 m: the first is seen from near and from far, the others from farther away."""
    rows = np.ones((5, 11), np.float32)
    rows[:, 0] = 0.5, 7.5, 8.5, 16.5, 24.5
    rows[:, 10] = 9.0, 1.9, 2.0, 4.0, 99.0
    assert voxel_levels(rows, 1.0, 1.0).tolist() == [0, 0, 1, 2, 3]


def test_layers_of_a_surface_become_one():
    """Two layers of a wall, and the other side of the wall, which stays as it is."""
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) + 0.5
    rows = np.zeros((75, 11), np.float32)
    rows[:, :2] = np.concatenate([grid] * 3)
    rows[:, 2] = np.repeat([0.9, 1.1, 2.5], 25)
    rows[:, 5] = np.repeat([-1, -1, 1], 25)
    rows[:, 9] = 1
    flat = flatten(rows, finest(rows), 1.0)
    np.testing.assert_allclose(flat[:50, 2], 1.0, atol=1e-6)
    np.testing.assert_allclose(flat[50:, 2], 2.5, atol=1e-6)
    np.testing.assert_array_equal(flat[:, 3:6], rows[:, 3:6])
    np.testing.assert_array_equal(flat[:, :2], rows[:, :2])


def test_a_sample_that_faces_nowhere_stays_where_it_is():
    """The normals of a sheet's two sides have cancelled each other in one voxel."""
    rows = np.zeros((2, 11), np.float32)
    rows[:, :3] = [[0.5, 0.5, 0.5], [1.5, 0.5, 0.6]]
    rows[1, 5] = 1
    rows[:, 9] = 1
    np.testing.assert_array_equal(flatten(rows, finest(rows), 1.0)[0], rows[0])


def test_what_was_left_behind_counts_only_where_nobody_looks():
    rows = np.zeros((3, 11), np.float32)
    rows[:, 0] = 0.1, 0.9, 1.5
    rows[:, 9] = 1
    rows[:, 10] = 0.4, 0.2, 0.3
    merged, _, live = merge_samples(rows, finest(rows), 1, 1.0, 10)
    np.testing.assert_allclose(merged[:, 0], [0.1, 1.5])
    np.testing.assert_allclose(merged[:, 10], [0.2, 0.3])  # who saw it best is not forgotten
    assert live == 1


def test_a_view_agrees_looks_through_or_has_nothing_to_say():
    """A camera at the origin sees a wall at 2 m, and on the right nothing that is known."""
    depth = np.full((5, 9), 2.0, np.float32)
    depth[:, 5:] = np.nan
    points = np.array(
        [
            [-0.5, 0, 2.015],  # on the wall
            [-0.25, 0, 1.0],  # in front of it
            [-0.6, 0, 3.0],  # hidden behind it
            [0.75, 0, 1.0],  # where nothing is known
            [-0.5, 0, -2.0],  # behind the camera
            [-5.0, 0, 1.0],  # beside the picture
        ],
        np.float32,
    )
    votes = np.zeros((6, 2), np.int32)
    camera, tolerance = np.array([4, 4, 4, 2], np.float32), np.array([0.01, 0.01], np.float32)
    count_votes(points, np.eye(4, dtype=np.float32)[:3], camera, depth, tolerance, votes)
    assert votes.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0], [0, 0]]


def test_a_thing_seen_in_the_next_pixel_is_not_looked_through():
    depth = np.full((5, 5), 2.0, np.float32)
    depth[2, 3] = 1.0
    votes = np.zeros((1, 2), np.int32)
    camera, tolerance = np.array([4, 4, 2, 2], np.float32), np.array([0.01, 0.01], np.float32)
    point = np.array([[0, 0, 1]], np.float32)
    count_votes(point, np.eye(4, dtype=np.float32)[:3], camera, depth, tolerance, votes)
    assert votes.tolist() == [[1, 0]]
