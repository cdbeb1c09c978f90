"""Floor, walls and ceiling are told from what stands before them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from semantic_field_ros.field.enclosure import enclosing
from semantic_field_ros.geometry import transform_points

SPACING_M = 0.04
SIDE_M = 3.0
FLOOR, WALL_X, WALL_Y, BOX_TOP, BOX_FRONT = range(5)
Floats = NDArray[np.floating]
Vector = list[float]


def sheet(corner: Vector, along: Vector, across: Vector, facing: Vector) -> Floats:
    """(N, 6) points and normals of a rectangle, one per `SPACING_M`."""
    first, second = np.array(along), np.array(across)
    u, v = (np.arange(SPACING_M / 2, np.linalg.norm(e), SPACING_M) for e in (first, second))
    steps = [u[:, None, None] * first / np.linalg.norm(first)]
    steps.append(v[None, :, None] * second / np.linalg.norm(second))
    points = (np.array(corner) + steps[0] + steps[1]).reshape(-1, 3)
    return np.hstack([points, np.tile(facing, (len(points), 1))])


def corner_of_a_room(noise_m: float = 0.0) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Floor, two walls, and a box of 1 x 1 x 0.5 m at the first wall: points, normals, parts."""
    parts = [
        sheet([0, 0, 0], [SIDE_M, 0, 0], [0, SIDE_M, 0], [0, 0, 1]),
        sheet([0, 0, 0], [0, SIDE_M, 0], [0, 0, 2], [1, 0, 0]),
        sheet([0, 0, 0], [SIDE_M, 0, 0], [0, 0, 2], [0, 1, 0]),
        sheet([0.05, 1, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1]),
        sheet([1.05, 1, 0.1], [0, 1, 0], [0, 0, 0.4], [1, 0, 0]),
    ]
    part = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    points, normals = np.split(np.concatenate(parts), 2, axis=1)
    noise = np.random.default_rng(0).normal(0, noise_m, (len(points), 1)) if noise_m else 0.0
    return (points + noise * normals).astype(np.float32), normals.astype(np.float32), part


def found(points: Floats, normals: Floats) -> NDArray[np.bool_]:
    return enclosing(points, normals, np.full(len(points), SPACING_M, np.float32))


@pytest.mark.parametrize("noise_m", [0.0, 0.005])
def test_floor_and_walls_enclose_and_a_box_between_them_does_not(noise_m: float) -> None:
    points, normals, part = corner_of_a_room(noise_m)
    share = [found(points, normals)[part == i].mean() for i in range(5)]
    assert min(share[FLOOR], share[WALL_X], share[WALL_Y]) > 0.97
    assert max(share[BOX_TOP], share[BOX_FRONT]) < 0.03


def test_it_does_not_matter_which_way_is_up() -> None:
    points, normals, _ = corner_of_a_room(0.005)
    turn = np.eye(4)
    turn[:3, :3] = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turned = found(transform_points(turn, points) + 5, transform_points(turn, normals))
    assert (turned == found(points, normals)).mean() > 0.98


def test_a_wall_with_something_behind_it_encloses_nothing() -> None:
    points, normals, part = corner_of_a_room()
    beyond = sheet([-2, 0, 0], [2, 0, 0], [0, SIDE_M, 0], [0, 0, 1]).astype(np.float32)
    points, normals = np.vstack([points, beyond[:, :3]]), np.vstack([normals, beyond[:, 3:]])
    share = [found(points, normals)[: len(part)][part == i].mean() for i in (WALL_X, WALL_Y)]
    assert share[0] < 0.03
    assert share[1] > 0.97


def test_points_count_by_the_area_that_they_stand_for() -> None:
    points, normals, part = corner_of_a_room()
    spacing_m = np.where(part == FLOOR, 0.004, SPACING_M).astype(np.float32)
    hit = enclosing(points, normals, spacing_m)
    assert not hit[part == FLOOR].any()  # a hundredth of its area: too little for a plane
    assert hit[part == WALL_X].mean() > 0.97


def test_what_is_no_plane_encloses_nothing_and_nothing_has_no_enclosure() -> None:
    rng = np.random.default_rng(2)
    normals = rng.normal(size=(2000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert not found(normals.astype(np.float32), normals.astype(np.float32)).any()
    none = np.zeros((0, 3), np.float32)
    assert found(none, none).shape == (0,)
