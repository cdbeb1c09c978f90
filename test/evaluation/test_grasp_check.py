"""Grasps of a block between other blocks, with verdicts that follow from the numbers."""

import numpy as np
import pytest

from semantic_field_ros.evaluation.grasp_check import Box, ExactScene, boxes_cut
from semantic_field_ros.export.gripper import Grasp, Gripper
from semantic_field_ros.stream.synthetic.mesh import box

GRIPPER = Gripper(
    max_opening_m=0.1,
    finger_length_m=0.06,
    finger_width_m=0.02,
    finger_thickness_m=0.01,
    palm_depth_m=0.05,
    palm_width_m=0.06,
)


def block(size, x=0.0, y=0.0, z=0.0):
    mesh = box(size).moved(x, y, z)
    return mesh.vertices.astype(np.float64), mesh.triangles


def from_above(x=0.0, tip_z=0.02, opening_m=0.08, yaw=0.0) -> Grasp:
    closing = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    approach = np.array([0, 0, -1.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([closing, np.cross(approach, closing), approach], axis=1)
    pose[:3, 3] = [x, 0, tip_z]
    return Grasp(pose, 0.04, opening_m, 1.0, np.zeros((2, 3)))


def check(grasp: Grasp, *others):
    """A block of 4 x 4 x 6 cm on a table, with others beside."""
    table = block((1.0, 1.0, 0.02), z=-0.02)
    meshes = dict(enumerate([table, block((0.04, 0.04, 0.06)), *others]))
    return ExactScene(meshes).check(grasp, GRIPPER, 1)


def test_a_block_is_held_square():
    verdict = check(from_above())
    assert verdict.closes and verdict.reason == ""
    assert verdict.cosine == pytest.approx(1.0)
    assert verdict.push_m == pytest.approx(0.0, abs=1e-6)


def test_off_the_middle_it_is_pushed():
    # The fingers are 4 cm to either side of x = 5 mm, the block 2 cm to either side of 0: one
    # travels 25 mm, the other 15.
    assert check(from_above(x=0.005)).push_m == pytest.approx(0.005, abs=1e-6)


@pytest.mark.parametrize(
    ("grasp", "others", "reason"),
    [
        (from_above(tip_z=-0.001), (), "something else on the way in"),
        (from_above(x=0.03), (), "the object on the way in"),
        (from_above(tip_z=0.065), (), "meets nothing"),
        (from_above(), (block((0.01, 0.02, 0.3), x=0.045),), "something else on the way in"),
        (from_above(), (block((0.01, 0.02, 0.06), x=0.03),), "something else while closing"),
        (from_above(), (block((0.01, 0.01, 0.05), y=0.05, z=0.09),), ""),
        (from_above(), (block((0.01, 0.02, 0.05), y=0.03, z=0.09),), "something else on the way"),
    ],
    ids=["table", "object", "above", "finger", "between", "free", "palm"],
)
def test_what_is_in_the_way_is_hit(grasp, others, reason):
    verdict = check(grasp, *others)
    assert verdict.closes == (reason == "")
    assert reason in verdict.reason


def test_a_twisted_grasp_meets_an_edge():
    verdict = check(from_above(yaw=np.radians(30)))
    assert verdict.closes
    # An edge between faces at 30 and at 60 degrees.
    assert verdict.cosine == pytest.approx((0.866 + 0.5) / 2, abs=0.1)


def test_triangles_cut_boxes_as_they_lie():
    unit = Box(np.zeros(3), np.ones(3))
    flat = np.array([[-1, -1, 0], [3, -1, 0], [-1, 3, 0]], float)
    cutting, above = flat + [0, 0, 0.5], flat + [0, 0, 1.1]
    small = 0.1 * flat + 0.5
    # Its plane and its bounds touch the box, the triangle itself passes by the corner.
    corner = np.array([[1.3, 0.9, 0.5], [0.9, 1.3, 0.5], [1.3, 1.3, 0.5]])
    triangles = np.stack([cutting, above, small, corner])
    assert boxes_cut(triangles, unit).tolist() == [True, False, True, False]
