import numpy as np

from semantic_field_ros.config import NavigationConfig
from semantic_field_ros.export.costmap import (
    FREE,
    OCCUPIED,
    UNKNOWN,
    build_costmap,
    clearance_m,
)
from semantic_field_ros.types import SurfaceCloud

CONFIG = NavigationConfig(resolution_m=0.1)


def at(costmap, x, y):
    row, column = costmap.grid.cells(np.array([[x, y]]))[0]
    return costmap.cells[row, column]


def test_floor_is_free_and_what_stands_on_it_is_not(room):
    costmap = build_costmap(room.surface, [], CONFIG)
    assert at(costmap, -1.0, 0.0) == FREE
    assert at(costmap, 0.8, 0.1) == OCCUPIED
    assert at(costmap, 0.0, -1.5) == OCCUPIED
    assert costmap.map_version == 7
    assert set(np.unique(costmap.cells)) <= {FREE, OCCUPIED, UNKNOWN}


def test_what_was_never_seen_is_unknown(room):
    far = np.array([[0.0, 2.0, 0.5]], np.float32)
    surface = with_points(room.surface, far)
    assert at(build_costmap(surface, [], CONFIG), 0.0, 1.8) == UNKNOWN


def test_a_ray_just_above_the_floor_is_evidence(room):
    """From 0.2 m above the floor at y = 1 the camera sees a post at y = 2.45."""
    post = np.array([[0.0, 2.45, z] for z in np.arange(0.02, 1.0, 0.02)], np.float32)
    surface = with_points(room.surface, post)
    view = room.view([0.0, 1.0, 0.2], [0.0, 2.45, 0.2])
    before, after = (build_costmap(surface, views, CONFIG) for views in ([], [view]))
    assert at(before, 0.0, 2.0) == UNKNOWN
    assert at(after, 0.0, 2.0) == FREE
    assert at(after, 0.0, 2.45) == OCCUPIED
    assert at(after, 1.0, 2.45) == UNKNOWN


def test_a_ray_over_everything_is_none(room):
    post = np.array([[0.0, 2.45, z] for z in np.arange(0.02, 1.0, 0.02)], np.float32)
    surface = with_points(room.surface, post)
    view = room.view([0.0, 1.0, 0.9], [0.0, 2.45, 0.9])
    assert at(build_costmap(surface, [view], CONFIG), 0.0, 1.75) == UNKNOWN


def test_a_drop_is_not_free(room):
    """The floor ends at x = 2; of the ground 1 m lower, cameras 1 m above the floor see what the
    edge does not hide, by rays that pass the edge just above the floor."""
    ground = room.sheet((3.0, 8.0), (-1.5, 1.5), -1.0)
    surface = surface_of(room.sheet((-2.0, 2.0), (-1.5, 1.5), 0.0), ground)
    views = [room.view([x, 0.0, 1.0], [5.0, 0.0, -0.2]) for x in (-0.5, 0.0, 0.5, 1.0)]
    costmap = build_costmap(surface, views, CONFIG)
    assert at(costmap, 1.5, 0.0) == FREE
    assert {at(costmap, x, 0.0) for x in (2.15, 2.5, 3.2, 5.0, 7.0)} == {UNKNOWN}


def test_a_ray_across_a_drop_does_not_make_it_free(room):
    """From 0.2 m above the floor the wall on the other side is seen."""
    floor = room.sheet((-2.0, 2.0), (-1.5, 1.5), 0.0)
    ground = room.sheet((2.0, 6.0), (-1.5, 1.5), -1.0)
    surface = surface_of(floor, ground, room.sheet(6.0, (-1.5, 1.5), (-1.0, 1.0)))
    view = room.view([0.0, 0.0, 0.2], [6.0, 0.0, 0.2])
    costmap = build_costmap(surface, [view], CONFIG)
    assert at(costmap, 1.5, 0.0) == FREE
    assert {at(costmap, x, 0.0) for x in (2.15, 4.0, 5.5)} == {UNKNOWN}


def test_heights_are_above_the_floor(room):
    """Raised by a metre with its floor, the room is the same; with the floor left where it was,
    everything is above the robot's head."""
    lifted = room.surface.points + np.float32([0, 0, 1])
    surface = with_points(room.surface, lifted, replace=True)
    same = build_costmap(surface, [], NavigationConfig(resolution_m=0.1, floor_m=1.0))
    np.testing.assert_array_equal(same.cells, build_costmap(room.surface, [], CONFIG).cells)
    under = build_costmap(surface, [], NavigationConfig(resolution_m=0.1, obstacle_high_m=0.9))
    assert (under.cells == UNKNOWN).all()


def test_a_single_stray_point_is_noise(room):
    stray = np.array([[-1.0, 0.0, 0.5]], np.float32)
    surface = with_points(room.surface, stray, spacing_m=0.02)
    assert at(build_costmap(surface, [], CONFIG), -1.0, 0.0) == FREE


def test_clearance_is_never_more_than_there_is():
    """In a free square of 5 by 5 cells of 0.1 m the middle is 0.25 m from its border."""
    middle_m = clearance_m(np.ones((5, 5), np.bool_), 0.1)[2, 2]
    assert 0.2 < middle_m <= 0.25
    assert clearance_m(np.zeros((5, 5), np.bool_), 0.1).max() == 0


def test_a_hole_in_a_table_top_is_not_free(room):
    """Through the hole the floor is seen; a robot does not fit into it."""
    grid = np.arange(-1.6, -0.4, 0.04)
    x, y = (g.ravel() for g in np.meshgrid(grid, grid))
    top = np.stack([x, y, np.full_like(x, 0.7)], axis=1).astype(np.float32)
    hole = (np.abs(top[:, :2] + 1.0) < 0.1).all(axis=1)
    costmap = build_costmap(with_points(room.surface, top[~hole]), [], CONFIG)
    assert at(costmap, -1.0, -1.0) == UNKNOWN
    assert at(costmap, -1.3, -1.3) == OCCUPIED
    assert at(costmap, -1.0, 1.0) == FREE


def surface_of(*sheets):
    points = np.concatenate(sheets).astype(np.float32)
    up, black = np.tile(np.float32([0, 0, 1]), (len(points), 1)), np.zeros(points.shape, np.uint8)
    return SurfaceCloud(points, up, black, np.full(len(points), 0.04, np.float32))


def with_points(surface, points, spacing_m=0.04, replace=False):
    from dataclasses import replace as changed

    if replace:
        return changed(surface, points=points)
    count = len(points)
    return changed(
        surface,
        points=np.concatenate([surface.points, points]),
        normals=np.concatenate([surface.normals, np.tile(np.float32([0, 0, 1]), (count, 1))]),
        rgb=np.concatenate([surface.rgb, np.zeros((count, 3), np.uint8)]),
        spacing_m=np.concatenate([surface.spacing_m, np.full(count, spacing_m, np.float32)]),
    )
