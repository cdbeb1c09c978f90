"""Grasps of a can among walls, by what they must and must not touch."""

import json

import numpy as np
import pytest
from tabletop import TABLE_M, cylinder, grid, scene, wall

from semantic_field_ros.export.grasping import GraspPlan, plan_tree
from semantic_field_ros.export.grasps import plan_grasps
from semantic_field_ros.export.gripper import GraspWishes, Gripper
from semantic_field_ros.export.object_model import model_object

DEFAULT = Gripper()


def planned(surface, mask, gripper=DEFAULT, **wishes):
    return plan_grasps(model_object(surface, mask), surface, gripper, GraspWishes(**wishes))


def test_a_can_is_taken_across_its_middle(can):
    grasps, reason = planned(*can)
    assert grasps and reason == ""
    assert [g.score for g in grasps] == sorted((g.score for g in grasps), reverse=True)
    for grasp in grasps:
        pose = grasp.world_from_grasp
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        assert grasp.width_m == pytest.approx(0.06, abs=0.006)
        assert grasp.width_m + 0.01 <= grasp.opening_m <= 0.1
        assert abs(pose[2, 0]) < 0.3  # it closes level
        assert pose[2, 3] > TABLE_M + 0.004
        across = grasp.contacts[1] - grasp.contacts[0]
        np.testing.assert_allclose(across @ pose[:3, 0], grasp.width_m, atol=1e-6)
        assert np.linalg.norm(grasp.contacts.mean(axis=0)[:2]) < 0.01


def test_the_wished_approach_is_kept(can):
    sideways, _ = planned(*can, approach=np.array([1.0, 0, 0]), max_turn_rad=0.3)
    assert sideways
    assert all(g.world_from_grasp[0, 2] > np.cos(0.31) for g in sideways)


def test_fingers_stay_out_of_what_stands_beside():
    # 2 cm of room on either side along x: the fingers close along y.
    surface, mask = scene(cylinder(0.03, 0.12), wall(0.045), wall(-0.045))
    grasps, _ = planned(surface, mask)
    assert grasps
    assert all(abs(g.world_from_grasp[0, 0]) < 0.6 for g in grasps)


@pytest.mark.parametrize(("height_m", "fits"), [(0.45, False), (0.7, True)])
def test_a_long_gripper_stays_out_of_a_board_above(height_m, fits):
    """From fingertips to wrist it is 0.4 m long, and it comes from 0.1 m farther up."""
    gripper = Gripper(0.14, finger_length_m=0.15, palm_depth_m=0.25, palm_width_m=0.1)
    flat = grid((-0.3, 0.3), (-0.3, 0.3))
    board = np.column_stack([flat, np.full(len(flat), TABLE_M + height_m)])
    surface, mask = scene(cylinder(0.03, 0.12), (board, np.tile([0, 0, -1.0], (len(board), 1))))
    grasps, reason = planned(surface, mask, gripper, max_turn_rad=0.3)
    assert bool(grasps) == fits
    assert ("no room" in reason) != fits


def test_what_is_too_wide_is_refused_with_a_reason(can):
    grasps, reason = planned(*can, gripper=Gripper(max_opening_m=0.05))
    assert grasps == [] and "less than 0.040 m apart" in reason
    surface, mask = scene(cylinder(0.03, 0.12), *(wall(x, 0.3) for x in (0.034, -0.034)))
    grasps, reason = planned(surface, mask, approach=np.array([1.0, 0, 0]), max_turn_rad=0.3)
    assert grasps == [] and "no room" in reason


def test_the_results_are_few_and_differ(can):
    assert len(planned(*can, max_results=2)[0]) == 2
    grasps, _ = planned(*can)
    poses = [g.world_from_grasp for g in grasps]
    for i, pose in enumerate(poses):
        for other in poses[:i]:
            alike = abs(pose[:3, 0] @ other[:3, 0]) > 0.9 and pose[:3, 2] @ other[:3, 2] > 0.9
            assert not (alike and np.linalg.norm(pose[:3, 3] - other[:3, 3]) < 0.02)


@pytest.mark.parametrize(
    "sizes", [{"max_opening_m": 0.0}, {"finger_length_m": float("nan")}, {"min_opening_m": 0.2}]
)
def test_impossible_grippers_are_refused(sizes):
    with pytest.raises(ValueError, match="got"):
        Gripper(**sizes)


@pytest.mark.parametrize(
    "wishes", [{"approach": np.zeros(3)}, {"clearance_m": -0.1}, {"max_results": 0}]
)
def test_impossible_wishes_are_refused(wishes):
    with pytest.raises(ValueError, match="got"):
        GraspWishes(**wishes)


def test_a_plan_can_be_printed(can):
    surface, mask = can
    model = model_object(surface, mask)
    grasps, _ = plan_grasps(model, surface, DEFAULT, GraspWishes(max_results=1))
    plan = GraspPlan(True, "", mask, model, grasps, 0.5, 3, 42)
    tree = json.loads(json.dumps(plan_tree(plan)))
    assert tree["grasps"][0]["position_m"] == grasps[0].world_from_grasp[:3, 3].tolist()
    assert tree["object"]["support"] == [*model.support.normal, model.support.offset_m]
    nothing = GraspPlan(False, "there is no map yet", None, None, [], 0.0, 0, 0)
    assert "object" not in plan_tree(nothing)
