"""Winding numbers that can be worked out by hand."""

import numpy as np

from semantic_field_ros.export.winding import point_areas, voxel_areas, winding_number


def test_a_closed_surface_winds_once_around_its_inside():
    # Six points in the middles of the faces of a cube of edge 2, each with an area of 4: in the
    # centre 6 · 4 / (4π · 1²) = 6/π.
    faces = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    wound = winding_number(np.zeros((1, 3), np.float32), faces, 4 * faces, 1e-6)
    np.testing.assert_allclose(wound, [6 / np.pi], rtol=1e-5)
    sphere = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    inside_and_out = np.array([[0, 0, 0], [0.5, 0, 0], [0, 2, 0], [0, 0, -3]], np.float32)
    wound = winding_number(inside_and_out, sphere, sphere * (4 * np.pi / 4000), 0.01)
    np.testing.assert_allclose(wound, [1, 1, 0, 0], atol=0.03)


def test_areas_count_the_voxels_that_a_plane_passes():
    # Along an axis one voxel per h²; on the diagonal √3 as many.
    normals = np.array([[0, 0, 1], np.full(3, 1 / np.sqrt(3))])
    np.testing.assert_allclose(voxel_areas(normals, 0.01), [1e-4, 1e-4 / np.sqrt(3)])


def test_sparse_points_stand_for_more_surface():
    # A square grid of edge 2 cm in voxels of 1 cm: in its middle the twelfth neighbour is two
    # steps away, and 13 points share a disc of 4 cm.
    steps = 0.02 * np.arange(9, dtype=np.float32)
    flat = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    points = np.column_stack([flat, 0 * flat[:, 0]])
    areas = point_areas(points, np.tile([0, 0, 1.0], (81, 1)), 0.01)
    np.testing.assert_allclose(areas[40], np.pi * 0.04**2 / 13, rtol=1e-5)
    assert point_areas(points[:1], np.array([[0, 0, 1.0]]), 0.01).tolist() == [1e-4]
