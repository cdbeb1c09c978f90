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

#: Colours of the best, second … answer, RGB: few things have the first ones, and all of them stand
#: out from white walls as from the dark behind everything.
PALETTE = np.array(
    [[255, 0, 220], [0, 185, 255], [110, 210, 0], [255, 160, 0], [140, 90, 255], [0, 210, 140]],
    np.uint8,
)
#: Letters are this share of the longest side of what they name, within limits in metres.
_LETTER_SHARE, _LETTER_M = 0.3, (0.06, 0.15)
_LINE_LIST, _TEXT, _DELETE_ALL = 5, 9, 3


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
        masks=[mask_message(make, header, mask, i) for i, mask in enumerate(moved)],
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
    """MarkerArray: what was there before goes, then per mask a box, label and shadow."""
    header = header_message(make, frame_id, answer.stamp_ns)
    markers = [make("visualization_msgs/msg/Marker", header=header, action=_DELETE_ALL)]
    for index, mask in enumerate(answer.masks):
        red, green, blue = (float(c) / 255 for c in PALETTE[index % len(PALETTE)])
        color = make("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=1.0)
        white = make("std_msgs/msg/ColorRGBA", r=1.0, g=1.0, b=1.0, a=1.0)
        coloured = {"header": header, "id": index, "color": color}
        markers.append(_box_marker(make, coloured, mask.box))
        # White alone vanishes before walls, and a colour before things that have it.
        markers.append(_label_marker(make, coloured | {"ns": "shadow"}, mask, 0.12))
        markers.append(_label_marker(make, coloured | {"ns": "label", "color": white}, mask))
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


def mask_message(make: Make, header: Any, mask: Mask3D, index: int) -> Any:
    """semantic_field_ros/Mask3D; `index` becomes the label of its points."""
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


def _box_marker(make: Make, look: dict[str, Any], box: OrientedBox) -> Any:
    """The twelve edges of a box, which hide nothing of what is inside."""
    corner = [
        point_message(make, np.array([x, y, z]) * box.size / 2)
        for x in (-1, 1)
        for y in (-1, 1)
        for z in (-1, 1)
    ]
    # Corners are numbered in binary, a digit per axis: an edge joins two that differ in one.
    edges = [(i, i | axis) for axis in (1, 2, 4) for i in range(8) if not i & axis]
    return make(
        "visualization_msgs/msg/Marker",
        **look,
        ns="box",
        type=_LINE_LIST,
        pose=pose_message(make, box_pose(box)),
        scale=make("geometry_msgs/msg/Vector3", x=_letter_m(box) / 6),
        points=[corner[end] for edge in edges for end in edge],
    )


def _label_marker(make: Make, look: dict[str, Any], mask: Mask3D, lowered: float = 0.0) -> Any:
    """What the mask is called, half a letter above the top of its box; `lowered` in letters."""
    letter_m, upright = _letter_m(mask.box), box_pose(mask.box)[2, :3]
    above = np.eye(4)
    above[:3, 3] = mask.box.centre
    above[2, 3] += np.abs(upright) @ mask.box.size / 2 + (1 - lowered) * letter_m
    return make(
        "visualization_msgs/msg/Marker",
        **look,
        type=_TEXT,
        pose=pose_message(make, above),
        # RViz makes a space x wide; left at 0 it is as wide as in letters of a metre.
        scale=make("geometry_msgs/msg/Vector3", x=0.4 * letter_m, z=letter_m),
        text=f"{mask.label} {mask.score:.2f}".strip(),
    )


def _letter_m(box: OrientedBox) -> float:
    """Height of the letters beside a box, metres."""
    return float(np.clip(_LETTER_SHARE * box.size.max(), *_LETTER_M))
