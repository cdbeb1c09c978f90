"""Objects on a table, modelled from what a map shows of them."""

from dataclasses import replace

import numpy as np
import open3d as o3d
import pytest
from tabletop import TABLE_M, cylinder, scene

from semantic_field_ros.export.object_model import model_object
from semantic_field_ros.queries.masks import make_mask


def as_mesh(model) -> o3d.geometry.TriangleMesh:
    return o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(model.vertices), o3d.utility.Vector3iVector(model.triangles)
    )


def test_a_can_is_closed_down_to_the_table(can):
    surface, mask = can
    model = model_object(surface, mask)
    mesh = as_mesh(model)
    assert mesh.is_watertight() and mesh.is_orientable()
    assert mesh.get_volume() == pytest.approx(np.pi * 0.03**2 * 0.12, rel=0.12)
    np.testing.assert_allclose(model.box.size, [0.06, 0.06, 0.12], atol=0.006)
    assert model.support.seen
    np.testing.assert_allclose(model.support.heights(np.array([[0, 0, TABLE_M]])), 0, atol=1e-3)
    outward = ((model.vertices - mesh.get_center()) * model.vertex_normals).sum(axis=1)
    assert (outward > 0).mean() > 0.95
    # Its bottom is a guess, and nothing else.
    assert not model.seen[model.vertices[:, 2] < TABLE_M + 0.001].all()
    assert model.seen[model.vertices[:, 2] > TABLE_M + 0.015].all()


def test_an_unseen_back_is_closed_flat_and_marked():
    surface, mask = scene(cylinder(0.03, 0.12, half_only=True))
    model = model_object(surface, mask)
    assert as_mesh(model).is_watertight()
    back = model.vertices[:, 0] > 0.02
    assert not model.seen[back & (model.vertices[:, 2] < TABLE_M + 0.1)].any()


def test_what_a_mask_has_of_the_table_is_left_out(can):
    surface, mask = can
    spilled = np.flatnonzero(surface.points[:, 2] == np.float32(TABLE_M))[::9]
    indices = np.concatenate([mask.indices, spilled])
    greedy = make_mask(surface, indices, np.ones(len(indices), np.float32), "can", 1.0)
    model = model_object(surface, greedy)
    assert len(model.points) == len(mask.points)
    np.testing.assert_allclose(model.box.size, [0.06, 0.06, 0.12], atol=0.006)


def test_without_a_table_the_support_is_the_lowest_point(can):
    surface, mask = can
    alone = replace(
        surface,
        points=mask.points,
        normals=surface.normals[mask.indices],
        rgb=mask.rgb,
        spacing_m=surface.spacing_m[mask.indices],
    )
    model = model_object(alone, mask)
    assert not model.support.seen
    assert model.support.offset_m == pytest.approx(-mask.points[:, 2].min())


def test_masks_of_another_map_and_of_nothing_are_refused(can):
    surface, mask = can
    with pytest.raises(ValueError, match="map version 3, got 2"):
        model_object(surface, replace(mask, map_version=2))
    flat = np.flatnonzero(surface.points[:, 2] == np.float32(TABLE_M))[:40]
    table = make_mask(surface, flat, np.ones(40, np.float32), "table", 1.0)
    with pytest.raises(ValueError, match="nothing above its support"):
        model_object(surface, table)


def test_an_empty_mask_is_no_object(can):
    surface, mask = can
    empty = replace(mask, indices=np.zeros(0, np.int64), points=np.zeros((0, 3), np.float32))
    with pytest.raises(ValueError, match="a mask must hold points of the surface, got none"):
        model_object(surface, empty)
