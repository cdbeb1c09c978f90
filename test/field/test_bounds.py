import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.config import SceneConfig
from semantic_field_ros.field.bounds import SceneBounds, fix_bounds, focus_distance
from semantic_field_ros.geometry import look_at
from semantic_field_ros.types import PinholeCamera, PosedFrame

#: 4 x 2 x 1 m around (1, 0, 0.5): the cube around it has half side 2.
BOUNDS = SceneBounds((-1.0, -1.0, 0.0, 3.0, 1.0, 1.0))
CAMERA = PinholeCamera(40, 30, 30.0, 30.0, 19.5, 14.5)


def frame(pose, depth_m=None):
    rgb = np.zeros((30, 40, 3), np.uint8)
    return PosedFrame(0, "c", CAMERA, pose, rgb, depth_m)


@pytest.mark.parametrize(
    ("world", "unit"),
    [
        ([1.0, 0.0, 0.5], [0.5, 0.5, 0.5]),
        ([3.0, 0.0, 0.5], [0.75, 0.5, 0.5]),  # the cube's face: 0.5 + 0.5 / 2
        ([2.0, 1.0, 0.0], [0.625, 0.625, 0.4375]),  # inside, one scale for all axes
        # r = 2: c = 1 - 0.5² / (0.5 + 0.5) = 0.75, so 0.5 + 0.75 / 2.
        ([5.0, 0.0, 0.5], [0.875, 0.5, 0.5]),
        # r = 2.5: c = 1 - 0.5² / (0.5 + 0.75) = 0.8, so 0.5 - 0.8 / 2.
        ([1.0, -5.0, 0.5], [0.5, 0.1, 0.5]),
    ],
)
def test_hand_worked_positions(world, unit):
    got = BOUNDS.unit_from_world(torch.tensor([world]))
    torch.testing.assert_close(got, torch.tensor([unit]), atol=1e-6, rtol=0)


coordinate = st.floats(-60, 60, width=32)


@given(st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=1, max_size=20))
def test_contraction_is_inverted(points):
    world = torch.tensor(points, dtype=torch.float64)
    unit = BOUNDS.unit_from_world(world)
    assert ((unit > 0) & (unit < 1)).all()
    torch.testing.assert_close(BOUNDS.world_from_unit(unit), world, atol=1e-6, rtol=1e-6)


@given(st.tuples(coordinate, coordinate, coordinate), st.floats(1.01, 5))
def test_farther_points_are_nearer_to_the_border(point, factor):
    centre = torch.tensor(BOUNDS.centre)
    ray = torch.tensor(point, dtype=torch.float64) - centre
    if ray.abs().max() < 1e-2:
        return
    near, far = (
        (BOUNDS.unit_from_world((centre + f * ray)[None]) - 0.5).abs().max() for f in (1, factor)
    )
    assert near < far < 0.5


def test_contraction_is_smooth_at_the_box():
    just = torch.tensor([[2.999, 0.0, 0.5], [3.0, 0.0, 0.5], [3.001, 0.0, 0.5]])
    unit = BOUNDS.unit_from_world(just.double())[:, 0]
    before, after = unit[1] - unit[0], unit[2] - unit[1]
    torch.testing.assert_close(before, after, atol=0, rtol=5e-3)


def test_lengths_shrink_with_the_slope_of_the_contraction():
    at = torch.tensor([[1.5, 0.3, 0.5], [5.0, 0.0, 0.5]], dtype=torch.float64)
    step = torch.tensor([1e-4, 0, 0], dtype=torch.float64)
    unit, shrink = BOUNDS.contract(at)
    slope = (BOUNDS.unit_from_world(at + step) - unit)[:, 0] / 1e-4
    # In the box 4 m fill half of the unit cube; at r = 2, c' / a = (0.5 / 1)² = 0.25.
    torch.testing.assert_close(shrink[:, 0], torch.tensor([1.0, 0.25], dtype=torch.float64))
    torch.testing.assert_close(slope, shrink[:, 0] / 8, atol=1e-5, rtol=0)


def test_box_properties():
    assert BOUNDS.centre.tolist() == [1.0, 0.0, 0.5]
    assert BOUNDS.half_side_m == 2.0
    inside = BOUNDS.contains(torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 1.5]]))
    assert inside.tolist() == [True, False]
    assert BOUNDS.stretched(2).box_m == (-3.0, -2.0, -0.5, 5.0, 2.0, 1.5)


@pytest.mark.parametrize("box", [(0, 0, 0, 1, 1), (0, 0, 0, 1, 1, 0), (0, 0, 0, 1, 1, np.nan)])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(ValueError, match="minimum corner below maximum, got"):
        SceneBounds(box)


def test_a_configured_box_wins():
    config = SceneConfig(box_m=(0.0, 0.0, 0.0, 1.0, 2.0, 3.0))
    assert fix_bounds(config, []).box_m == (0.0, 0.0, 0.0, 1.0, 2.0, 3.0)


def test_no_box_and_no_frame_is_refused():
    with pytest.raises(ValueError, match="scene.box_m or at least one frame"):
        fix_bounds(SceneConfig(), [])


def test_depth_fixes_the_box_despite_outliers():
    # 40 frames look along +x from the origin at a wall 2 m away; one pixel of one reads 50 m.
    depth = np.full((30, 40), 2.0, np.float32)
    depth[8, 8] = np.nan
    stray = depth.copy()
    stray[0, 0] = 50.0
    pose = look_at(np.zeros(3), np.array([1.0, 0, 0]))
    frames = [frame(pose, stray)] + [frame(pose, depth)] * 39
    bounds = fix_bounds(SceneConfig(margin_m=0.25), frames)
    assert bounds.maximum[0] == pytest.approx(2.25, abs=1e-3)
    # As much room behind the camera as before it.
    assert bounds.minimum[0] == pytest.approx(-2.25, abs=1e-3)
    # The first column is 19.5 / 30 · 2 m to the left, which is +y, and behind to the right.
    assert bounds.minimum[1] == pytest.approx(-19.5 / 30 * 2 - 0.25, abs=0.02)


def test_without_depth_the_cameras_focus_is_inside():
    eyes = [(2.0, 0.0, 1.0), (0.0, 2.0, 1.0), (-2.0, 0.0, 1.0), (0.0, -2.0, 1.0)]
    frames = [frame(look_at(np.array(eye), np.array([0.3, 0.0, 0.0]))) for eye in eyes]
    bounds = fix_bounds(SceneConfig(), frames)
    assert bounds.contains(torch.tensor([[0.3, 0.0, 0.0], *eyes])).all()
    assert focus_distance([f.world_from_camera for f in frames]) == pytest.approx(2.25, abs=0.15)


def test_parallel_cameras_have_no_focus():
    poses = [look_at(np.array([0.0, y, 0.0]), np.array([1.0, y, 0.0])) for y in (0.0, 1.5)]
    assert focus_distance(poses) == 3.0
