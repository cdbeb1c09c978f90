"""Grasp queries and plans as messages."""

import numpy as np
import pytest

from semantic_field_ros.export.grasping import GraspPlan
from semantic_field_ros.export.gripper import Grasp, Gripper
from semantic_field_ros.export.object_model import ObjectModel, SupportPlane
from semantic_field_ros.queries.base import Relation, TextQuery
from semantic_field_ros.ros.answers import AnswerFrame
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.grasping import grasp_query, plan_fields
from semantic_field_ros.ros.messages import point_message
from semantic_field_ros.stream.messages import matrix_from_pose
from semantic_field_ros.types import Mask3D, OrientedBox

types = Types()
make = types.message
SRV = "semantic_field_ros/srv/PlanGrasps"
#: `arm` lies 1 m along x of `map` and is turned by 90 degrees about z.
MAP_FROM_ARM = np.array([[0, -1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
ARM_FROM_MAP = np.linalg.inv(MAP_FROM_ARM)


class Frames:
    """A graph of which only transforms are asked."""

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> np.ndarray:
        return {("map", "arm"): MAP_FROM_ARM, ("arm", "map"): ARM_FROM_MAP}[target, source]


def request(**fields):
    return make(f"{SRV}_Request", **fields)


def test_what_a_request_leaves_out_is_at_its_default() -> None:
    query = grasp_query(request(text="red mug"), Frames(), "map")
    assert query.of.text == "red mug"
    assert query.gripper == Gripper()
    np.testing.assert_array_equal(query.wishes.approach, [0, 0, -1])
    assert (query.wishes.clearance_m, query.wishes.max_results) == (0.005, 10)


def test_a_sentence_is_understood_as_everywhere_else() -> None:
    query = grasp_query(request(text="the mug left of the laptop but not red"), Frames(), "map")
    assert query.of == TextQuery(
        "mug", exclude=("red mug",), relations=(Relation("left_of", "laptop"),), max_results=1
    )


def test_points_and_approach_are_moved_to_the_map() -> None:
    header = make("std_msgs/msg/Header", frame_id="arm")
    gripper = make("semantic_field_ros/msg/Gripper", max_opening=0.0625, finger_width=0.03125)
    asked = request(
        header=header,
        points=[point_message(make, [1.0, 2.0, 3.0])],
        approach=point_message(make, [1.0, 0.0, 0.0], "Vector3"),
        gripper=gripper,
        max_results=3,
        target_frame="arm",
    )
    query = grasp_query(asked, Frames(), "map")
    np.testing.assert_allclose(query.of.points_world, [[-1, 1, 3]], atol=1e-6)
    np.testing.assert_allclose(query.wishes.approach, [0, 1, 0], atol=1e-9)
    assert query.gripper == Gripper(max_opening_m=0.0625, finger_width_m=0.03125)
    assert query.wishes.max_results == 3


@pytest.mark.parametrize(
    ("fields", "got"),
    [({}, "neither"), ({"text": "mug", "points": [point_message(make, [0] * 3)]}, "both")],
)
def test_either_text_or_points(fields, got) -> None:
    with pytest.raises(ValueError, match=f"either text or points, got {got}$"):
        grasp_query(request(**fields), Frames(), "map")


def plan() -> GraspPlan:
    points = np.array([[1.0, 0, 0.5], [1.0, 0.1, 0.5], [1.1, 0, 0.5], [1.0, 0, 0.6]], np.float32)
    normals = np.tile(np.array([1, 0, 0], np.float32), (4, 1))
    rgb, box = (
        np.full((4, 3), 7, np.uint8),
        OrientedBox(points[0], np.array([0, 0, 0, 1]), points[1]),
    )
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    support = SupportPlane(np.array([0, 0, 1.0]), -0.5, True)
    seen = np.array([True, True, True, False])
    model = ObjectModel(points, normals, rgb, box, support, points, faces, normals, seen)
    pose = np.eye(4)
    pose[:3, 3] = [1, 2, 3]
    grasp = Grasp(pose, 0.05, 0.08, 0.5, np.array([[0.975, 2, 3], [1.025, 2, 3]]))
    mask = Mask3D(np.arange(4), points, rgb, np.ones(4, np.float32), "mug", 0.75, box, 6)
    return GraspPlan(True, "", mask, model, [grasp], 0.25, 6, 42)


def test_a_plan_arrives_in_the_target_frame() -> None:
    fields = plan_fields(make, plan(), AnswerFrame("arm", ARM_FROM_MAP))
    response = make(f"{SRV}_Response", **fields)
    sent = types.decode(types.encode(response), f"{SRV}_Response")
    assert (sent.header.frame_id, sent.found, sent.map_version, sent.latency_s) == (
        "arm", True, 6, 0.25,
    )  # fmt: skip
    grasp = sent.grasps[0]
    pose = matrix_from_pose(grasp.pose)
    np.testing.assert_allclose(MAP_FROM_ARM @ pose, plan().grasps[0].world_from_grasp, atol=1e-9)
    assert (grasp.score, round(grasp.width, 6), round(grasp.opening, 6)) == (0.5, 0.05, 0.08)
    # (0.975, 2, 3) of the map: 2 along x of the arm, 2.5 cm along its y.
    np.testing.assert_allclose(
        [[c.x, c.y, c.z] for c in grasp.contacts], [[2, 0.025, 3], [2, -0.025, 3]], atol=1e-9
    )
    np.testing.assert_allclose(sent.support.coef, [0, 0, 1, -0.5], atol=1e-9)
    assert sent.support_seen and sent.seen == 0.75
    vertices = np.array([[v.x, v.y, v.z] for v in sent.mesh.vertices])
    np.testing.assert_allclose(vertices[1], [0.1, 0, 0.5], atol=1e-6)
    assert list(sent.mesh.triangles[0].vertex_indices) == [0, 2, 1]
    names = [field.name for field in sent.cloud.fields]
    assert names == ["x", "y", "z", "normal_x", "normal_y", "normal_z", "rgb"]
    rows = sent.cloud.data.view("<f4").reshape(4, 7)
    np.testing.assert_allclose(rows[:, 3:6], np.tile([0, -1, 0], (4, 1)), atol=1e-6)
    assert sent.mask.label == "mug"


def test_nothing_found_is_a_plan_too() -> None:
    nothing = GraspPlan(False, "there is no map yet", None, None, [], 0.0, 0, 0)
    fields = plan_fields(make, nothing, AnswerFrame("map", np.eye(4)))
    response = make(f"{SRV}_Response", **fields)
    assert not response.found and response.reason == "there is no map yet"
    assert len(response.mesh.vertices) == 0
