"""Where a camera was at a stamp: from tf, or from a topic of poses."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.graph import (
    SENSOR,
    TF_CACHE,
    Graph,
    UnknownFrameError,
    UnnamedFrameError,
)
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.stream.messages import matrix_from_pose, stamp_ns
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.stream.tf_tree import TfTree

Float = NDArray[np.float64]
_POSED = "what the pose topic moves"


def named(frame: str, images: str, parameter: str) -> str:
    """The optical frame of a camera, which must have a name where tf is asked about it.

    Args:
        frame: what the parameter or else the images say.
        images: what they are called in the reason.
        parameter: by which the user can name the frame.

    Raises:
        UnnamedFrameError: it has none.
    """
    if not frame:
        raise UnnamedFrameError(f"{images} have no frame_id: name their frame by {parameter}")
    return frame


class Poses(Protocol):
    """Where a camera was."""

    def at(self, camera_frame: str, stamp_ns: int) -> Float:
        """map_from_camera (4, 4), or a TransformError."""

    def clear(self) -> None:
        """Forgets everything, after a jump of time."""


class TfPoses:
    """Poses from tf."""

    def __init__(self, graph: Graph, map_frame: str) -> None:
        """`map_frame`: the world."""
        self._graph, self._map_frame = graph, map_frame

    def at(self, camera_frame: str, stamp_ns: int) -> Float:
        """See `Poses`."""
        frame = named(camera_frame, "images", "camera_frame")
        return self._graph.lookup(self._map_frame, frame, stamp_ns)

    def clear(self) -> None:
        """See `Poses`."""
        self._graph.clear_transforms()


class TopicPoses:
    """Poses from PoseStamped on `pose` or Odometry on `odom`, interpolated between messages.

    The header's frame is brought into the map frame, and the posed frame to the camera, by tf
    where they differ.
    """

    def __init__(self, graph: Graph, settings: NodeSettings, tally: Tally) -> None:
        """Subscribes; poses that make no sense are counted in `tally`."""
        self._graph, self._settings, self._tally = graph, settings, tally
        cache_s: Any = graph.parameter(TF_CACHE.name)
        self._tree = TfTree(cache_s)
        self._parent, self._posed_frame = "", settings.pose_frame
        odometry = settings.pose_source == "odometry"
        kind = "nav_msgs/msg/Odometry" if odometry else "geometry_msgs/msg/PoseStamped"
        self._topic = graph.subscribe(
            kind,
            "odom" if odometry else "pose",
            self._on_odometry if odometry else self._on_pose,
            SENSOR,
        ).topic

    def at(self, camera_frame: str, stamp_ns: int) -> Float:
        """See `Poses`."""
        if not self._parent:
            raise UnknownFrameError(f"no pose came on {self._topic} yet")
        count = len(self._settings.cameras)
        if not self._posed_frame and count > 1:
            raise UnknownFrameError(
                f"pose_frame must name the frame whose pose {self._topic} tells: its messages "
                f"have no child_frame_id, and the {count} cameras cannot all be there"
            )
        pose = self._tree.lookup(self._parent, _POSED, stamp_ns)
        if self._parent != self._settings.map_frame:
            pose = self._graph.lookup(self._settings.map_frame, self._parent, stamp_ns) @ pose
        if self._posed_frame in ("", camera_frame):
            return pose
        frame = named(camera_frame, "images", "camera_frame")
        return pose @ self._graph.lookup(self._posed_frame, frame, stamp_ns)

    def clear(self) -> None:
        """See `Poses`."""
        self._tree.clear()
        self._graph.clear_transforms()

    def _on_pose(self, message: Any) -> None:
        self._insert(message.header, message.pose)

    def _on_odometry(self, message: Any) -> None:
        self._posed_frame = self._settings.pose_frame or message.child_frame_id
        self._insert(message.header, message.pose.pose)

    def _insert(self, header: Any, pose: Any) -> None:
        parent = header.frame_id or self._settings.map_frame
        try:
            edge = (parent, _POSED, stamp_ns(header.stamp), matrix_from_pose(pose))
            if not self._tree.set_transform(*edge):
                self._tree.clear()
                self._tree.set_transform(*edge)
        except ValueError as error:
            self._tally.count("bad pose", str(error))
        else:
            self._parent = parent


def make_poses(graph: Graph, settings: NodeSettings, tally: Tally) -> Poses:
    """The source that the settings name."""
    if settings.pose_source == "tf":
        return TfPoses(graph, settings.map_frame)
    return TopicPoses(graph, settings, tally)
