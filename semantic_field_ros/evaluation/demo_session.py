"""The demo's side of the graph: it hears the node's topics and asks its services."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.client import NodeClient
from semantic_field_ros.ros.clouds import LabelledCloud, cloud_from_message
from semantic_field_ros.ros.dds_environment import read_environment
from semantic_field_ros.ros.dds_graph import DdsGraph
from semantic_field_ros.ros.graph import LATCHED
from semantic_field_ros.ros.messages import camera_info_message, header_message, pose_message
from semantic_field_ros.stream.messages import depth_from_message, rgb_from_message
from semantic_field_ros.types import PosedFrame, QueryAnswer

NODE = "/semantic_field"
#: how long a service may take before the demo gives up, seconds.
TIMEOUT_S = 30.0
#: snapshots that are remembered, so that an answer finds the surface that it indexes.
SURFACES = 6
#: a point of an answer lies on a surface if it is this near, metres.
SAME_POINT_M = 1e-5


class DemoSession:
    """One node of the graph that watches and asks the mapping node.

    Attributes:
        client: the node's query services.
        keyframe_stamps: stamps of images that are known to be in the map, from answers.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Joins the domain that `environment` names."""
        self._graph = DdsGraph(parse_arguments([], "demo"), read_environment(environment))
        self._lock = threading.Lock()
        self._status: Any = None
        self._surfaces: deque[LabelledCloud] = deque(maxlen=SURFACES)
        self.client = NodeClient(self._graph, NODE, TIMEOUT_S)
        self.keyframe_stamps: set[int] = set()
        status, cloud = "semantic_field_ros/msg/Status", "sensor_msgs/msg/PointCloud2"
        self._graph.subscribe(status, f"{NODE}/status", self._on_status, LATCHED)
        self._graph.subscribe(cloud, f"{NODE}/surface", self._on_surface, LATCHED)

    def close(self) -> None:
        """Leaves the graph."""
        self._graph.close()

    def status(self) -> Any:
        """The newest semantic_field_ros/Status, None before the first."""
        with self._lock:
            return self._status

    def surface_of(self, answer: QueryAnswer) -> LabelledCloud | None:
        """The surface that an answer's indices count in; the newest if it has no masks.

        Waits a little, as the surface may come after the answer.
        """
        deadline = time.monotonic() + 5.0
        while True:
            with self._lock:
                surfaces = list(self._surfaces)
            for surface in reversed(surfaces):
                if all(_is_part(mask.indices, mask.points, surface) for mask in answer.masks):
                    return surface
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)

    def remember(self, answer: QueryAnswer) -> QueryAnswer:
        """Notes which keyframe an answer names as the newest."""
        if answer.stamp_ns or answer.map_version:
            self.keyframe_stamps.add(answer.stamp_ns)
        return answer

    def render(self, frame: PosedFrame, layer: str) -> NDArray[np.generic]:
        """The map from a frame's pose: (H, W, 3) u8 for "rgb", (H, W) f32 metres for "depth".

        Raises:
            RuntimeError: the node says why it cannot.
        """
        make = self._graph.message
        pose = make(
            "geometry_msgs/msg/PoseStamped",
            header=header_message(make, "map", 0),
            pose=pose_message(make, frame.world_from_camera),
        )
        request = make(
            "semantic_field_ros/srv/RenderView_Request",
            pose=pose,
            camera_info=camera_info_message(make, header_message(make, "map", 0), frame.camera),
            layer=layer,
        )
        service = "semantic_field_ros/srv/RenderView"
        reply = self._graph.call(service, f"{NODE}/render_view", request, TIMEOUT_S)
        if not reply.success:
            raise RuntimeError(f"{NODE}/render_view: {reply.message}")
        read = rgb_from_message if layer == "rgb" else depth_from_message
        image: NDArray[np.generic] = read(reply.image)
        return image

    def _on_status(self, message: Any) -> None:
        with self._lock:
            self._status = message

    def _on_surface(self, message: Any) -> None:
        cloud = cloud_from_message(message)
        with self._lock:
            self._surfaces.append(cloud)


def _is_part(
    indices: NDArray[np.int64], points: NDArray[np.float32], surface: LabelledCloud
) -> bool:
    """Whether the points are those of the surface at the indices."""
    if len(indices) == 0 or indices.max() >= len(surface.points):
        return len(indices) == 0
    return bool(np.abs(surface.points[indices] - points).max() < SAME_POINT_M)


def normals_towards(
    points: NDArray[np.float32], eyes: NDArray[np.floating]
) -> NDArray[np.float32]:
    """(N, 3) unit normals of a cloud, turned towards the nearest of the (K, 3) eyes."""
    import open3d as o3d

    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points.astype(np.float64)))
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(12))
    normals = np.asarray(cloud.normals).astype(np.float32)
    towards = eyes[cKDTree(eyes).query(points)[1]] - points
    flipped = (normals * towards).sum(axis=1) < 0
    normals[flipped] *= -1
    return normals
