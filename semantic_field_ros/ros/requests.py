"""Queries as requests: from the messages of a service to the nouns of `queries/`, and back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import transform_points
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.queries.pointing import nearest_view
from semantic_field_ros.ros.graph import Graph, TransformError
from semantic_field_ros.ros.messages import (
    Make,
    header_message,
    point_message,
    pose_message,
    time_message,
)
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.messages import matrix_from_pose, stamp_ns
from semantic_field_ros.types import PinholeCamera

Float = NDArray[np.float64]

DEFAULT_MAX_RESULTS = 10
#: stands for a threshold of 0 in a request, where 0 stands for none.
LEAST_THRESHOLD = 1e-6
#: a service waits this long for what tf will say about the present, seconds.
TF_PATIENCE_S = 0.5


def text_query(request: Any, graph: Graph, map_frame: str) -> TextQuery:
    """The query in a QueryText request.

    Raises:
        ValueError: a relation, region or frame that makes no sense.
        TransformError: target or viewpoint frame is not known.
    """
    viewpoint = request.viewpoint
    reference = None
    if viewpoint.header.frame_id:
        world_from_frame = world_from_header(graph, map_frame, viewpoint.header)
        reference = world_from_frame @ matrix_from_pose(viewpoint.pose)
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
        ValueError: both or none of points and pixels or box, or lengths that differ.
        TransformError: the frame of the points is not known.
    """
    points = np.array([[p.x, p.y, p.z] for p in request.points], np.float64).reshape(-1, 3)
    pixels = np.array([[p.u, p.v] for p in request.pixels], np.float32).reshape(-1, 2)
    box = np.array([[p.u, p.v] for p in request.box], np.float32).reshape(-1)
    positive = np.asarray(request.positive, np.bool_)
    if len(points) and (len(pixels) or len(box)):
        raise ValueError("a click is points or pixels and box, got both")
    if not (len(points) or len(pixels) or len(box)):
        raise ValueError("a click needs points, pixels or a box, got none")
    if len(box) not in (0, 4):
        raise ValueError(f"box must be empty or two corners, got {len(box) // 2}")
    count = len(points) or len(pixels)
    if len(positive) not in (0, count):
        raise ValueError(f"positive must be empty or hold {count} flags, got {len(positive)}")
    if len(points):
        points[:] = transform_points(world_from_header(graph, map_frame, request.header), points)
    return ClickQuery(
        points_world=points.astype(np.float32) if len(points) else None,
        pixels=pixels if len(pixels) else None,
        positive=positive if len(positive) else None,
        camera_name=request.camera,
        stamp_ns=stamp_ns(request.stamp),
        box_px=box if len(box) else None,
        refine=bool(request.refine),
    )


def undistorted_click(
    query: ClickQuery, lenses: Mapping[str, Lens], views: Sequence[KeyframeView]
) -> ClickQuery:
    """The click in pixels of keyframes, which are free of distortion.

    Args:
        query: in pixels of the image as its camera publishes it.
        lenses: by name of the camera; pixels of any other are left as they are.
        views: all keyframes.

    Raises:
        ValueError: a pixel, or a whole box, that the image or keyframes of it do not show.
    """
    view = nearest_view(query, views)
    name = query.camera_name or ("" if view is None else view.camera_name)
    lens = lenses.get(name)
    if lens is None or query.points_world is not None:
        return query
    pixels, box_px = query.pixels, query.box_px
    if query.pixels is not None:
        pixels = lens.undistort_points(query.pixels)
        asked = f"pixels {query.pixels.tolist()}"
        _check_shown(lens.camera, name, asked, [(query.pixels, query.pixels), (pixels, pixels)])
    if query.box_px is not None:
        low, high = _undistorted_box(lens, query.box_px)
        asked = f"box {query.box_px.tolist()}"
        spans = [(query.box_px[:2], query.box_px[2:]), (low, high)]
        _check_shown(lens.camera, name, asked, spans)
        box_px = np.concatenate([np.maximum(low, -0.5), np.minimum(high, _edge(lens.camera))])
    return replace(query, camera_name=name, pixels=pixels, box_px=box_px)


def _undistorted_box(lens: Lens, box_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, 2) least and greatest u v of nine points of a box, whose edges the lens has bent."""
    u, v = np.linspace(box_px[:2], box_px[2:], 3, dtype=np.float32).T
    points = lens.undistort_points(np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2))
    return np.stack([points.min(axis=0), points.max(axis=0)])


def _check_shown(
    image: PinholeCamera, name: str, asked: str, spans: Sequence[tuple[NDArray, NDArray]]
) -> None:
    """Raises ValueError for what lies outside of an image.

    Args:
        image: as large as it is published, and as keyframes are of it.
        name: of its camera.
        asked: what was clicked.
        spans: its least and greatest u v in the published image, and in keyframes.
    """
    whole = f"the image of camera {name!r}"
    places = (
        f"{whole}, {image.width} x {image.height} pixels",
        f"what is left of {whole} without its distortion",
    )
    for place, (low, high) in zip(places, spans, strict=True):
        if not ((high >= -0.5) & (low <= _edge(image))).all():
            raise ValueError(f"a click must lie in {place}, got {asked}")


def _edge(image: PinholeCamera) -> NDArray[np.float32]:
    """(2,) greatest u v of an image."""
    return np.array([image.width, image.height], np.float32) - 0.5


def world_from_header(
    graph: Graph, map_frame: str, header: Any, patience_s: float = TF_PATIENCE_S
) -> Float:
    """(4, 4) of the frame of a request's header at its stamp; without a frame, of the map itself.

    Requests are often stamped with the present, of which tf tells a moment later. That is waited
    for, in the thread of the service; callbacks have no patience.

    Raises:
        TransformError: the frame is not known, or not at that stamp.
    """
    frame, at_ns = header.frame_id or map_frame, stamp_ns(header.stamp) or None
    until_s = time.monotonic() + patience_s
    while True:
        try:
            return lookup(graph, map_frame, frame, at_ns)
        except TransformError as error:
            if at_ns is None or not error.may_still_come or time.monotonic() >= until_s:
                raise
        time.sleep(0.02)


def lookup(graph: Graph, target: str, source: str, at_ns: int | None = None) -> Float:
    """`Graph.lookup`, which a frame and itself do not need."""
    return np.eye(4) if target == source else graph.lookup(target, source, at_ns)


def text_request(make: Make, query: TextQuery, map_frame: str, target_frame: str = "") -> Any:
    """A QueryText request; the query's region must be in the target frame."""
    fields: dict[str, Any] = {}
    if query.region_m is not None:
        names = ("region_min", "region_max")
        corners = zip(names, query.region_m, strict=True)
        fields = {name: point_message(make, corner) for name, corner in corners}
    if query.reference_pose is not None:
        fields["viewpoint"] = make(
            "geometry_msgs/msg/PoseStamped",
            header=header_message(make, map_frame, 0),
            pose=pose_message(make, query.reference_pose),
        )
    relations = [
        make("semantic_field_ros/msg/Relation", relation=item.relation, anchor=item.anchor)
        for item in query.relations
    ]
    return make(
        "semantic_field_ros/srv/QueryText_Request",
        text=query.text,
        exclude=list(query.exclude),
        negatives=list(query.negatives or ()),
        relations=relations,
        threshold=0.0 if query.threshold is None else max(query.threshold, LEAST_THRESHOLD),
        max_results=int(query.max_results),
        refine=query.refine,
        target_frame=target_frame,
        **fields,
    )


def click_request(make: Make, query: ClickQuery, map_frame: str, target_frame: str = "") -> Any:
    """A QueryClick request."""
    points = np.zeros((0, 3)) if query.points_world is None else query.points_world
    pixels = np.zeros((0, 2)) if query.pixels is None else query.pixels
    box = np.zeros((0, 2)) if query.box_px is None else query.box_px.reshape(2, 2)
    return make(
        "semantic_field_ros/srv/QueryClick_Request",
        header=header_message(make, map_frame, 0),
        points=[point_message(make, point) for point in points],
        camera=query.camera_name,
        stamp=time_message(make, query.stamp_ns),
        pixels=_pixels(make, pixels),
        box=_pixels(make, box),
        positive=[] if query.positive is None else [bool(flag) for flag in query.positive],
        refine=query.refine,
        target_frame=target_frame,
    )


def _pixels(make: Make, pixels: NDArray) -> list[Any]:
    return [make("semantic_field_ros/msg/Pixel", u=float(u), v=float(v)) for u, v in pixels]


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
