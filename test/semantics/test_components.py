import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as graph_components

from semantic_field_ros.queries.masks import gravity_box, make_mask
from semantic_field_ros.semantics.components import connected_components
from semantic_field_ros.types import SurfaceCloud


def _line(start: float, count: int) -> np.ndarray:
    x = start + 0.01 * np.arange(count)
    return np.stack([x, np.zeros(count), np.zeros(count)], axis=1).astype(np.float32)


def test_pieces_are_numbered_from_the_largest():
    points = np.concatenate([_line(1.0, 5), _line(0.0, 30), _line(-1.0, 10)])
    labels = connected_components(points, np.full(45, 0.02))
    assert labels.tolist() == [2] * 5 + [0] * 30 + [1] * 10


def test_no_points_have_no_pieces():
    assert len(connected_components(np.zeros((0, 3), np.float32), np.zeros(0))) == 0


def test_links_must_be_positive():
    with pytest.raises(ValueError, match="link_m"):
        connected_components(_line(0, 2), np.array([0.1, 0.0]))


def test_fine_things_are_told_apart_where_coarse_ones_hang_together():
    """A wall of points 8 cm apart, and two lines of points 1 cm apart with a gap of 9 cm."""
    wall = 8 * _line(0.0, 6)
    fine = np.concatenate([_line(1.0, 5), _line(1.13, 4)])
    links = np.array([0.16] * 6 + [0.02] * 9, np.float32)
    labels = connected_components(np.concatenate([wall, fine]), links)
    assert labels.tolist() == [0] * 6 + [1] * 5 + [2] * 4


def test_a_coarse_point_reaches_fine_ones():
    points = np.concatenate([_line(0.0, 5), _line(0.1, 1), _line(0.5, 3)])
    links = np.array([0.02] * 5 + [0.16] + [0.02] * 3, np.float32)
    assert connected_components(points, links).tolist() == [0] * 6 + [1] * 3


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_components_are_those_of_the_pairs_within_reach(spread):
    """Never more pieces than links make, never fewer than links 4·√3 times as long make."""
    rng = np.random.default_rng(3)
    points = rng.uniform(0, 1, (200, 3)).astype(np.float32)
    links = (0.02 * 2.0 ** rng.uniform(0, spread, 200)).astype(np.float32)
    labels = connected_components(points, links)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    reach = np.maximum(links[:, None], links[None])
    assert (labels[:, None] == labels[None])[distance <= reach].all()
    _, widest = graph_components(coo_array(distance <= 4 * np.sqrt(3) * reach), directed=False)
    assert (widest[:, None] == widest[None])[labels[:, None] == labels[None]].all()


@pytest.mark.parametrize("yaw_deg", [0, 20, 75])
def test_the_box_turns_with_the_thing_and_stays_upright(yaw_deg):
    rng = np.random.default_rng(0)
    local = rng.uniform(-0.5, 0.5, (4000, 3)) * [0.6, 0.2, 0.4]
    yaw = np.radians(yaw_deg)
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    box = gravity_box((local @ turn.T + [1, 2, 3]).astype(np.float32))
    np.testing.assert_allclose(box.centre, [1, 2, 3], atol=0.01)
    np.testing.assert_allclose(sorted(box.size[:2]), [0.2, 0.6], atol=0.02)
    assert box.size[2] == pytest.approx(0.4, abs=0.01)
    np.testing.assert_allclose(box.quaternion[:2], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("points", "size"),
    [
        ([[1, 2, 3]], (0, 0, 0)),
        ([[0, 0, 0], [3, 4, 1]], (5, 0, 1)),
        ([[0, 0, 0], [1, 0, 0], [2, 0, 2]], (2, 0, 2)),
    ],
)
def test_boxes_of_points_without_volume(points, size):
    box = gravity_box(np.array(points, np.float32))
    np.testing.assert_allclose(sorted(box.size[:2]), sorted(size[:2]), atol=1e-6)
    assert box.size[2] == size[2]


def test_a_mask_needs_points():
    cloud = SurfaceCloud(_line(0, 3), _line(0, 3), np.zeros((3, 3), np.uint8), np.ones(3), {}, 4)
    mask = make_mask(cloud, np.array([2, 0]), np.array([0.9, 0.6]), "cup", 1.2)
    assert mask.score == 1.0 and mask.map_version == 4 and mask.label == "cup"
    np.testing.assert_array_equal(mask.points, cloud.points[[2, 0]])
    with pytest.raises(ValueError, match="at least one point"):
        make_mask(cloud, np.array([], np.int64), np.array([]), "cup", 1.0)


def test_parts_are_told_apart_far_from_the_origin():
    """Two rows of points half a metre apart."""
    row = np.stack([np.arange(0, 2, 0.01), np.zeros(200), np.zeros(200)], axis=1)
    points = np.concatenate([row, row + [0, 0.5, 0]]) + [90_000.0, -70_000.0, 30.0]
    labels = connected_components(points.astype(np.float32), np.full(400, 0.02))
    assert sorted(np.bincount(labels).tolist()) == [200, 200]
    assert len(set(labels[:200])) == 1
