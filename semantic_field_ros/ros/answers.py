"""Answers as messages: masks, markers, boxes and clouds."""

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
from semantic_field_ros.ros.clouds import LabelledCloud, cloud_from_message, cloud_message
from semantic_field_ros.ros.messages import Make, header_message, point_message, pose_message
from semantic_field_ros.stream.messages import matrix_from_pose, stamp_ns
from semantic_field_ros.types import Mask3D, OrientedBox, QueryAnswer

Float = NDArray[np.float64]

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


def answer_labels(make: Make, answer: QueryAnswer, frame_id: str) -> Any:
    """vision_msgs/LabelInfo: what `label` means in the cloud of the same answer.

    The threshold is the lowest score in the answer, for a phrase's own is not known here.
    """
    names = [
        make("vision_msgs/msg/VisionClass", class_id=index, class_name=mask.label)
        for index, mask in enumerate(answer.masks)
    ]
    header = header_message(make, frame_id, answer.stamp_ns)
    lowest = min((mask.score for mask in answer.masks), default=0.0)
    return make("vision_msgs/msg/LabelInfo", header=header, class_map=names, threshold=lowest)


def box_pose(box: OrientedBox) -> Float:
    """(4, 4) world_from_box."""
    return pose_from_quaternion(box.centre, box.quaternion)


def moved_mask(mask: Mask3D, target_from_world: Float) -> Mask3D:
    """The mask with points and box in another frame."""
    pose = target_from_world @ box_pose(mask.box)
    box = OrientedBox(pose[:3, 3], quaternion_from_matrix(pose), mask.box.size)
    return replace(mask, points=transform_points(target_from_world, mask.points), box=box)


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
