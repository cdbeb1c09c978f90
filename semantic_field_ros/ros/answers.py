"""Queries and answers as messages: requests in, masks, markers, boxes and clouds out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import (
    pose_from_quaternion,
    quaternion_from_matrix,
    transform_points,
)
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.ros.clouds import LabelledCloud, cloud_from_message, cloud_message
from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.messages import (
    Make,
    header_message,
    matrix_from_pose,
    point_message,
    pose_message,
    stamp_ns,
)
from semantic_field_ros.types import Mask3D, OrientedBox, QueryAnswer

Float = NDArray[np.float64]

DEFAULT_MAX_RESULTS = 10
#: Colours of the best, second … answer, RGB.
PALETTE = np.array(
    [[230, 60, 50], [50, 130, 230], [60, 180, 80], [240, 170, 40], [150, 80, 200], [40, 190, 190]],
    np.uint8,
)
_CUBE, _TEXT, _DELETE_ALL = 1, 9, 3


@dataclass(frozen=True)
class AnswerFrame:
    """Where and as what an answer goes out.

    Attributes:
        frame_id: name of the target frame.
        target_from_world: (4, 4), moves map points into it.
        query_id: 0 when nothing more will follow.
        final: False while a refined answer is being computed.
    """

    frame_id: str
    target_from_world: Float
    query_id: int = 0
    final: bool = True


def text_query(request: Any, graph: Graph, map_frame: str) -> TextQuery:
    """The query in a QueryText request.

    Raises:
        ValueError: a relation, region or frame that makes no sense.
        TransformError: target or viewpoint frame is not known.
    """
    viewpoint = request.viewpoint
    reference = None
    if viewpoint.header.frame_id:
        frame, at_ns = viewpoint.header.frame_id, stamp_ns(viewpoint.header.stamp) or None
        reference = lookup(graph, map_frame, frame, at_ns) @ matrix_from_pose(viewpoint.pose)
    return TextQuery(
        text=request.text,
        exclude=tuple(request.exclude),
        negatives=tuple(request.negatives) or None,
        relations=tuple(Relation(item.relation, item.anchor) for item in request.relations),
        threshold=float(request.threshold) or None,
        region_m=_region(request, lookup(graph, map_frame, request.target_frame or map_frame)),
        max_results=int(request.max_results) or DEFAULT_MAX_RESULTS,
        reference_pose=reference,
        refine=bool(request.refine),
    )


def click_query(request: Any, graph: Graph, map_frame: str) -> ClickQuery:
    """The query in a QueryClick request.

    Raises:
        ValueError: both or neither of points and pixels, or lengths that differ.
        TransformError: the frame of the points is not known.
    """
    points = np.array([[p.x, p.y, p.z] for p in request.points], np.float64).reshape(-1, 3)
    pixels = np.array([[p.u, p.v] for p in request.pixels], np.float32).reshape(-1, 2)
    box = np.array([[p.u, p.v] for p in request.box], np.float32).reshape(-1)
    positive = np.asarray(request.positive, np.bool_)
    if len(points) and (len(pixels) or len(box)):
        raise ValueError("a click is points or pixels and box, got both")
    if len(box) not in (0, 4):
        raise ValueError(f"box must be empty or two corners, got {len(box) // 2}")
    count = len(points) or len(pixels)
    if len(positive) not in (0, count):
        raise ValueError(f"positive must be empty or hold {count} flags, got {len(positive)}")
    if len(points):
        frame = request.header.frame_id or map_frame
        at_ns = stamp_ns(request.header.stamp) or None
        points[:] = transform_points(lookup(graph, map_frame, frame, at_ns), points)
    return ClickQuery(
        points_world=points.astype(np.float32) if len(points) else None,
        pixels=pixels if len(pixels) else None,
        positive=positive if len(positive) else None,
        camera_name=request.camera,
        stamp_ns=stamp_ns(request.stamp),
        box_px=box if len(box) else None,
        refine=bool(request.refine),
    )


def lookup(graph: Graph, target: str, source: str, at_ns: int | None = None) -> Float:
    """`Graph.lookup`, which a frame and itself do not need."""
    return np.eye(4) if target == source else graph.lookup(target, source, at_ns)


def answer_message(make: Make, answer: QueryAnswer, frame: AnswerFrame) -> Any:
    """semantic_field_ros/QueryAnswer in the target frame."""
    header = header_message(make, frame.frame_id, answer.stamp_ns)
    moved = [moved_mask(mask, frame.target_from_world) for mask in answer.masks]
    return make(
        "semantic_field_ros/msg/QueryAnswer",
        header=header,
        found=bool(answer.found),
        reason=answer.reason,
        score=float(answer.score),
        masks=[_mask_message(make, header, mask, i) for i, mask in enumerate(moved)],
        map_version=int(answer.map_version),
        latency_s=float(answer.latency_s),
        query_id=int(frame.query_id),
        final=frame.final,
    )


def answer_from_message(message: Any) -> QueryAnswer:
    """The answer in a semantic_field_ros/QueryAnswer, in the frame of its header."""
    return QueryAnswer(
        found=bool(message.found),
        reason=message.reason,
        masks=[_mask_from_message(mask) for mask in message.masks],
        score=float(message.score),
        latency_s=float(message.latency_s),
        map_version=int(message.map_version),
        stamp_ns=stamp_ns(message.header.stamp),
    )


def answer_cloud(make: Make, answer: QueryAnswer, frame_id: str) -> Any:
    """PointCloud2 of all masks, in the map frame; `label` counts the masks from 0."""
    sizes = [len(mask.points) for mask in answer.masks]
    label = np.repeat(np.arange(len(sizes), dtype=np.uint32), sizes)
    empty = [np.zeros((0, 3), np.float32)], [np.zeros(0, np.float32)]
    cloud = LabelledCloud(
        points=np.concatenate([mask.points for mask in answer.masks] or empty[0]),
        rgb=PALETTE[label % len(PALETTE)],
        label=label,
        score=np.concatenate([mask.point_scores for mask in answer.masks] or empty[1]),
    )
    return cloud_message(make, header_message(make, frame_id, answer.stamp_ns), cloud)


def answer_markers(make: Make, answer: QueryAnswer, frame_id: str) -> Any:
    """MarkerArray: what was there before goes, then a box and its label per mask."""
    header = header_message(make, frame_id, answer.stamp_ns)
    markers = [make("visualization_msgs/msg/Marker", header=header, action=_DELETE_ALL)]
    for index, mask in enumerate(answer.masks):
        red, green, blue = (float(c) / 255 for c in PALETTE[index % len(PALETTE)])
        color = {"r": red, "g": green, "b": blue}
        look = {"header": header, "id": index}
        markers.append(
            make(
                "visualization_msgs/msg/Marker",
                **look,
                ns="box",
                type=_CUBE,
                pose=pose_message(make, box_pose(mask.box)),
                scale=point_message(make, np.maximum(mask.box.size, 1e-3), "Vector3"),
                color=make("std_msgs/msg/ColorRGBA", **color, a=0.3),
            )
        )
        markers.append(_label_marker(make, look, mask, color))
    return make("visualization_msgs/msg/MarkerArray", markers=markers)


def answer_detections(make: Make, answer: QueryAnswer, frame_id: str) -> Any:
    """vision_msgs/Detection3DArray, one detection per mask."""
    header = header_message(make, frame_id, answer.stamp_ns)
    detections = []
    for index, mask in enumerate(answer.masks):
        pose = pose_message(make, box_pose(mask.box))
        hypothesis = make(
            "vision_msgs/msg/ObjectHypothesis", class_id=mask.label, score=float(mask.score)
        )
        result = make(
            "vision_msgs/msg/ObjectHypothesisWithPose",
            hypothesis=hypothesis,
            pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose),
        )
        size = point_message(make, mask.box.size, "Vector3")
        box = make("vision_msgs/msg/BoundingBox3D", center=pose, size=size)
        detections.append(
            make(
                "vision_msgs/msg/Detection3D",
                header=header,
                results=[result],
                bbox=box,
                id=str(index),
            )
        )
    return make("vision_msgs/msg/Detection3DArray", header=header, detections=detections)


def box_pose(box: OrientedBox) -> Float:
    """(4, 4) world_from_box."""
    return pose_from_quaternion(box.centre, box.quaternion)


def moved_mask(mask: Mask3D, target_from_world: Float) -> Mask3D:
    """The mask with points and box in another frame."""
    pose = target_from_world @ box_pose(mask.box)
    box = OrientedBox(pose[:3, 3], quaternion_from_matrix(pose), mask.box.size)
    return replace(mask, points=transform_points(target_from_world, mask.points), box=box)


def _region(request: Any, world_from_target: Float) -> tuple[Float, Float] | None:
    low, high = (
        np.array([corner.x, corner.y, corner.z])
        for corner in (request.region_min, request.region_max)
    )
    if np.array_equal(low, high):
        return None
    if not np.isfinite([low, high]).all() or (low > high).any():
        raise ValueError(f"region needs finite min <= max, got {low.tolist()}, {high.tolist()}")
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    moved = transform_points(world_from_target, corners)
    return moved.min(axis=0), moved.max(axis=0)


def _mask_message(make: Make, header: Any, mask: Mask3D, index: int) -> Any:
    label = np.full(len(mask.points), index, np.uint32)
    cloud = LabelledCloud(mask.points, mask.rgb, label, mask.point_scores)
    return make(
        "semantic_field_ros/msg/Mask3D",
        label=mask.label,
        score=float(mask.score),
        points=cloud_message(make, header, cloud),
        indices=mask.indices.astype(np.uint32),
        box_pose=pose_message(make, box_pose(mask.box)),
        box_size=point_message(make, mask.box.size, "Vector3"),
        map_version=int(mask.map_version),
    )


def _mask_from_message(message: Any) -> Mask3D:
    cloud = cloud_from_message(message.points)
    pose, size = matrix_from_pose(message.box_pose), message.box_size
    extent = np.array([size.x, size.y, size.z])
    return Mask3D(
        indices=np.asarray(message.indices, np.int64),
        points=cloud.points,
        rgb=cloud.rgb,
        point_scores=cloud.score,
        label=message.label,
        score=float(message.score),
        box=OrientedBox(pose[:3, 3], quaternion_from_matrix(pose), extent),
        map_version=int(message.map_version),
    )


def _label_marker(make: Make, look: dict[str, Any], mask: Mask3D, color: dict[str, float]) -> Any:
    above = np.eye(4)
    above[:3, 3] = mask.box.centre
    above[2, 3] = mask.points[:, 2].max() + 0.05 if len(mask.points) else mask.box.centre[2]
    return make(
        "visualization_msgs/msg/Marker",
        **look,
        ns="label",
        type=_TEXT,
        pose=pose_message(make, above),
        scale=make("geometry_msgs/msg/Vector3", z=0.06),
        color=make("std_msgs/msg/ColorRGBA", **color, a=1.0),
        text=f"{mask.label} {mask.score:.2f}",
    )
