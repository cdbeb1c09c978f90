"""Grasp queries and plans as messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.export.grasping import GraspPlan, GraspQuery
from semantic_field_ros.export.gripper import Grasp, GraspWishes, Gripper
from semantic_field_ros.export.object_model import ObjectModel
from semantic_field_ros.geometry import transform_points
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.queries.composition import parse
from semantic_field_ros.ros.answers import AnswerFrame, mask_message, moved_mask
from semantic_field_ros.ros.clouds import normals_message
from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.messages import Make, header_message, point_message, pose_message
from semantic_field_ros.ros.requests import lookup, world_from_header

Float = NDArray[np.float64]

#: what a Gripper message tells.
_SIZES = (
    "max_opening",
    "min_opening",
    "finger_length",
    "finger_width",
    "finger_thickness",
    "palm_depth",
    "palm_width",
)


def grasp_query(request: Any, graph: Graph, map_frame: str) -> GraspQuery:
    """The query in a PlanGrasps request.

    Raises:
        ValueError: both or neither of text and points, or sizes that make no gripper.
        TransformError: the frame of the points or of the answer is not known.
    """
    points = np.array([[p.x, p.y, p.z] for p in request.points], np.float64).reshape(-1, 3)
    if bool(request.text.strip()) == bool(len(points)):
        got = "both" if len(points) else "neither"
        raise ValueError(f"a grasp needs either text or points, got {got}")
    of: TextQuery | ClickQuery = replace(parse(request.text), max_results=1)
    if len(points):
        moved = transform_points(world_from_header(graph, map_frame, request.header), points)
        of = ClickQuery(points_world=moved.astype(np.float32))
    world_from_target = lookup(graph, map_frame, request.target_frame or map_frame)
    return GraspQuery(of, _gripper(request.gripper), _wishes(request, world_from_target))


def _gripper(message: Any) -> Gripper:
    """Sizes that are 0 stay at their defaults."""
    told = {f"{name}_m": float(getattr(message, name)) for name in _SIZES}
    return Gripper(**{name: size_m for name, size_m in told.items() if size_m != 0})


def _wishes(request: Any, world_from_target: Float) -> GraspWishes:
    told: dict[str, Any] = {
        "max_turn_rad": float(request.max_turn),
        "clearance_m": float(request.clearance),
        "max_results": int(request.max_results),
    }
    approach = np.array([request.approach.x, request.approach.y, request.approach.z])
    if approach.any():
        told["approach"] = world_from_target[:3, :3] @ approach
    return GraspWishes(**{name: value for name, value in told.items() if np.any(value)})


def plan_fields(make: Make, plan: GraspPlan, frame: AnswerFrame) -> dict[str, Any]:
    """The fields of a PlanGrasps response, in the target frame."""
    header = header_message(make, frame.frame_id, plan.stamp_ns)
    target_from_world = frame.target_from_world
    fields: dict[str, Any] = {
        "header": header,
        "found": plan.found,
        "reason": plan.reason,
        "grasps": [_grasp_message(make, grasp, target_from_world) for grasp in plan.grasps],
        "map_version": int(plan.map_version),
        "latency_s": float(plan.latency_s),
    }
    if plan.mask is not None:
        mask = plan.mask
        if plan.model is not None:
            mask = replace(mask, box=plan.model.box)
            fields |= _model_fields(make, header, plan.model, target_from_world)
        fields["mask"] = mask_message(make, header, moved_mask(mask, target_from_world), 0)
    return fields


def _grasp_message(make: Make, grasp: Grasp, target_from_world: Float) -> Any:
    contacts = transform_points(target_from_world, grasp.contacts)
    return make(
        "semantic_field_ros/msg/Grasp",
        pose=pose_message(make, target_from_world @ grasp.world_from_grasp),
        width=float(grasp.width_m),
        opening=float(grasp.opening_m),
        score=float(grasp.score),
        contacts=[point_message(make, contact) for contact in contacts],
    )


def _model_fields(
    make: Make, header: Any, model: ObjectModel, target_from_world: Float
) -> dict[str, Any]:
    rotation = target_from_world[:3, :3]
    points = transform_points(target_from_world, model.points)
    normals = (model.normals @ rotation.T).astype(np.float32)
    normal = rotation @ model.support.normal
    offset_m = model.support.offset_m - float(normal @ target_from_world[:3, 3])
    return {
        "cloud": normals_message(make, header, points, normals, model.rgb),
        "mesh": _mesh_message(make, transform_points(target_from_world, model.vertices), model),
        "seen": float(model.seen.mean()),
        "support": make("shape_msgs/msg/Plane", coef=np.array([*normal, offset_m])),
        "support_seen": model.support.seen,
    }


def _mesh_message(make: Make, vertices: NDArray[np.floating], model: ObjectModel) -> Any:
    """shape_msgs/Mesh."""
    triangles = [
        make("shape_msgs/msg/MeshTriangle", vertex_indices=corners.astype(np.uint32))
        for corners in model.triangles
    ]
    points = [point_message(make, vertex) for vertex in vertices]
    return make("shape_msgs/msg/Mesh", triangles=triangles, vertices=points)
