from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import minimum_filter

from semantic_field_ros.geometry import pixel_grid, project, unproject
from semantic_field_ros.stream.synthetic import (
    CATEGORIES,
    COLOURS,
    HELD_OUT_PAIRS,
    World,
    make_world,
    split_of,
)
from semantic_field_ros.types import PinholeCamera, check_rigid

CAMERA = PinholeCamera(96, 72, 84.0, 84.0, 47.5, 35.5)


@pytest.fixture(scope="module", params=["table", "room"])
def world(request: pytest.FixtureRequest) -> World:
    return make_world(request.param, 2000)


def named(world: World) -> list:
    return [o for o in world.objects if o.is_object]


def test_there_are_many_categories_and_colours():
    assert len(CATEGORIES) >= 30
    assert len(COLOURS) >= 10
    assert len(set(CATEGORIES)) == len(CATEGORIES)


def test_one_colour_of_each_category_is_held_out():
    assert len(HELD_OUT_PAIRS) == len(CATEGORIES)
    assert Counter(category for _, category in HELD_OUT_PAIRS) == dict.fromkeys(CATEGORIES, 1)
    assert {colour for colour, _ in HELD_OUT_PAIRS} == set(COLOURS)


@pytest.mark.parametrize(
    ("seed", "split"),
    [(0, "test"), (999, "test"), (1000, "validation"), (1999, "validation"), (2000, "train")],
)
def test_seeds_are_split(seed, split):
    assert split_of(seed) == split


@pytest.mark.parametrize(("kind", "seed"), [("garden", 1), ("table", -1)])
def test_a_world_that_does_not_exist_is_refused(kind, seed):
    with pytest.raises(ValueError, match="must be"):
        make_world(kind, seed)


def test_ids_count_from_one_and_phrases_say_colour_and_category(world):
    assert [o.id for o in world.objects] == list(range(1, len(world.objects) + 1))
    for o in named(world):
        assert o.phrase == f"{o.colour} {o.category}"
        assert o.colour in COLOURS and o.category in CATEGORIES
    assert {"floor", "wall"} <= {o.phrase for o in world.objects if not o.is_object}


def test_the_same_seed_gives_the_same_pictures(world):
    again = make_world(world.kind, world.seed)
    assert again.objects == world.objects
    pose = world.camera_path(3)[1]
    first, second = world.render(CAMERA, pose), again.render(CAMERA, pose)
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.instance, second.instance)


def test_another_seed_gives_another_world(world):
    assert make_world(world.kind, world.seed + 1).objects != world.objects


def test_depth_lies_on_the_surface_of_the_instance_it_names(world):
    pose = world.camera_path(5)[2]
    view = world.render(CAMERA, pose)
    pixel = pixel_grid(CAMERA.width, CAMERA.height)
    points = unproject(CAMERA, pose, pixel, view.depth_m.ravel())
    for instance in np.unique(view.instance[view.instance > 0]):
        mesh = world.meshes[int(instance)]
        seen = points[view.instance.ravel() == instance]
        assert (seen > mesh.vertices.min(0) - 1e-3).all()
        assert (seen < mesh.vertices.max(0) + 1e-3).all()


def test_a_view_may_show_nothing_but_the_middle_of_one_thing(world):
    floor = next(o.id for o in world.objects if o.phrase == "floor")
    low, high = (getattr(world.meshes[floor].vertices, end)(axis=0) for end in ("min", "max"))
    straight_down = np.diag([1.0, -1.0, -1.0, 1.0])
    straight_down[:3, 3] = [*(0.9 * low + 0.1 * high)[:2], high[2] + 0.02]
    view = world.render(CAMERA, straight_down)
    assert set(np.unique(view.instance)) == {floor}
    np.testing.assert_allclose(view.depth_m, 0.02, rtol=1e-3)


def test_surface_points_are_never_in_front_of_the_rendered_depth(world):
    points, ids = world.sample_surface(3000, np.random.default_rng(0))
    assert set(ids) <= {o.id for o in named(world)}
    fine = PinholeCamera(320, 240, 280.0, 280.0, 159.5, 119.5)
    pose = world.camera_path(5)[2]
    view = world.render(fine, pose)
    pixel, depth = project(fine, pose, points)
    column, row = np.rint(pixel).astype(int).T
    inside = (column >= 0) & (column < 320) & (row >= 0) & (row < 240) & (depth > 0)
    nearest = minimum_filter(view.depth_m, 3)  # at an outline one of the neighbours sees it
    in_front = depth[inside] < nearest[row[inside], column[inside]] - 0.02
    assert inside.sum() > 100
    assert in_front.mean() < 0.003  # what is thinner than a pixel


def test_surface_points_are_spread_by_area():
    world = make_world("table", 2001)
    _, ids = world.sample_surface(20000, np.random.default_rng(1))
    area = {o.id: world.meshes[o.id].areas().sum() for o in named(world)}
    share = np.array(list(area.values())) / sum(area.values())
    found = np.array([(ids == i).mean() for i in area])
    np.testing.assert_allclose(found, share, atol=0.01)


def test_paths_are_rigid_clear_of_everything_and_see_every_object(world):
    path = world.camera_path(40)
    seen: set[int] = set()
    for pose in path:
        check_rigid(pose)
        view = world.render(CAMERA, pose)
        assert np.nanmin(view.depth_m) > 0.1
        seen |= set(np.unique(view.instance).tolist())
    ids = {o.id for o in named(world)}
    assert len(ids & seen) >= 0.95 * len(ids)


def test_a_path_moves_smoothly_and_depends_on_its_offset(world):
    path = np.array(world.camera_path(100))
    steps = np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1)
    assert 0.005 < steps.mean() < 0.3
    assert steps.max() < 0.4
    assert not np.allclose(path, world.camera_path(100, seed_offset=1))


def test_random_views_show_objects(world):
    rng = np.random.default_rng(0)
    ids = [o.id for o in named(world)]
    for _ in range(10):
        view = world.render(CAMERA, world.random_view(rng))
        assert np.isin(view.instance, ids).mean() > 0.005


def test_a_path_without_frames_is_refused(world):
    with pytest.raises(ValueError, match="got 0"):
        world.camera_path(0)
