from collections import Counter

import numpy as np
import pytest

from semantic_field_ros.stream.synthetic.catalogue import (
    BUILDERS,
    CATEGORIES,
    COLOUR_HSV,
    COLOURS,
    HELD_OUT_PAIRS,
)
from semantic_field_ros.stream.synthetic.layout import DIRECTIONS, Surface, footprint, stand
from semantic_field_ros.stream.synthetic.material import Palette, named_colour, object_paint
from semantic_field_ros.stream.synthetic.mesh import axis_rotation, box, cylinder, torus
from semantic_field_ros.stream.synthetic.scene import build_stage
from semantic_field_ros.stream.synthetic.shape import Shape


def objects(kind, seed):
    return [item for item in build_stage(kind, seed).items if item.is_object]


@pytest.mark.parametrize("kind", ["table", "room"])
@pytest.mark.parametrize("seed", [0, 1, 1000, 2000, 2001, 2002, 2003])
def test_every_scene_is_full_and_ambiguous_enough(kind, seed):
    items = objects(kind, seed)
    least, most = (10, 20) if kind == "table" else (20, 60)
    assert least <= len(items) <= most
    assert max(Counter(item.category for item in items).values()) >= 2
    assert max(Counter(item.colour for item in items).values()) >= 2
    assert max(Counter(item.phrase for item in items).values()) == 1


def test_held_out_pairs_appear_in_test_seeds_only():
    def held(seed):
        return [i for i in objects("table", seed) if (i.colour, i.category) in HELD_OUT_PAIRS]

    assert not any(held(seed) for seed in (*range(1000, 1004), *range(2000, 2004)))
    assert sum(len(held(seed)) for seed in range(5)) > 1


@pytest.mark.parametrize("seed", [2000, 2001, 2002, 2003])
def test_everything_on_a_table_rests_on_it_or_on_something(seed):
    stage = build_stage("table", seed)
    meshes = [item.pose.place(item.mesh) for item in stage.items if item.is_object]
    levels = [stage.focus[2], *(mesh.vertices[:, 2].max() for mesh in meshes)]
    for mesh in meshes:
        assert np.abs(mesh.vertices[:, 2].min() - np.array(levels)).min() < 2e-3


@pytest.mark.parametrize("category", CATEGORIES)
def test_shapes_stand_near_the_origin_at_a_realistic_size(category):
    for seed in range(3):
        mesh = BUILDERS[category](np.random.default_rng(seed)).mesh
        low, high = mesh.vertices.min(0), mesh.vertices.max(0)
        small = category not in ("chair", "stool", "sofa", "table", "cabinet", "shelf", "bed")
        assert 0.09 < (high - low).max() < (0.42 if small else 2.0)
        assert abs(low[2]) < 5e-3
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)
        assert mesh.triangles.max() < len(mesh.vertices)
        assert len(mesh.parts) == len(mesh.triangles)


def test_areas_of_a_box_and_a_cylinder():
    assert box((1, 2, 3)).areas().sum() == pytest.approx(22)
    expected = 2 * np.pi * 0.5 * 2 + 2 * np.pi * 0.25
    assert cylinder(0.5, 2.0, segments=200).areas().sum() == pytest.approx(expected, rel=1e-3)
    assert torus(1.0, 0.1).areas().sum() == pytest.approx(4 * np.pi**2 * 0.1, rel=0.05)


def test_normals_of_a_cylinder_point_outwards():
    mesh = cylinder(0.5, 1.0)
    radial = mesh.normals[:, :2]
    side = np.linalg.norm(radial, axis=1) > 0.5
    assert (np.einsum("nd,nd->n", radial[side], mesh.vertices[side, :2]) > 0).all()


def test_rotations_are_right_handed():
    np.testing.assert_allclose(axis_rotation("x", 90) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(axis_rotation("y", 90) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(axis_rotation("z", 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_places_never_overlap_and_some_touch():
    rng = np.random.default_rng(0)
    surface = Surface(np.zeros(3), 0.0, np.array([0.6, 0.5]))
    shape = Shape(box((0.12, 0.08, 0.1)))
    poses = [stand(surface, shape, rng) for _ in range(40)]
    assert len(surface.taken) == sum(pose is not None for pose in poses) > 10
    nearest = []
    for index, reach in enumerate(surface.taken):
        others = Surface(
            surface.origin,
            0.0,
            surface.half,
            taken=[*surface.taken[:index], *surface.taken[index + 1 :]],
        )
        nearest.append(others.gaps(reach)[0].min())
    assert min(nearest) >= 0
    assert sum(gap < 2e-3 for gap in nearest) >= 4


def test_a_footprint_is_the_reach_along_each_direction():
    reach = footprint(box((2, 4, 1)).vertices)
    assert reach[0] == pytest.approx(1)
    assert reach[len(DIRECTIONS) // 4] == pytest.approx(2)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_named_colour_covers_most_of_an_object_and_stays_nearest_to_its_name(colour):
    import colorsys

    names = {
        n: np.array(colorsys.hsv_to_rgb(h / 360, s, v)) for n, (h, s, v) in COLOUR_HSV.items()
    }
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 0.15, (3000, 3)).astype(np.float32)
    for _ in range(20):
        jittered = np.array(named_colour(colour, rng))
        assert min(names, key=lambda n: np.abs(names[n] - jittered).sum()) == colour
        paint = object_paint(colour, (0.15, 0.15, 0.15), rng)
        which, footprint_m = np.zeros(3000, np.int32), np.full(3000, 2e-3, np.float32)
        seen = Palette([paint]).albedo(which, points, footprint_m)
        assert seen.min() >= 0 and seen.max() <= 1
        step = np.subtract(paint.second, paint.base)
        share = (seen - paint.base) @ step / (step @ step)
        assert share.mean() < 0.55
