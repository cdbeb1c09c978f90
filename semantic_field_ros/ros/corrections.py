"""Late corrections of poses, from a SLAM node's topics to the keyframes of the map.

Two topics say where keyframes should have been. `corrected_path` is what most SLAM nodes publish
anyway: the robot's whole way, matched by stamps. `corrected_poses` answers `~/keyframes`, the list
of the node's own keyframes, pose by pose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.keyframes.corrections import (
    MOST_TURN_RAD,
    Correction,
    Trajectory,
    corrected_poses,
    worth_moving,
)
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.ros.graph import LATCHED, Graph, TransformError
from semantic_field_ros.ros.messages import header_message, pose_message
from semantic_field_ros.ros.worker import Backlog, Job
from semantic_field_ros.stream.messages import matrix_from_pose, stamp_ns
from semantic_field_ros.stream.tally import Tally

Float = NDArray[np.float64]

#: so many lists of keyframes are remembered for `corrected_poses`.
_LISTS = 16


class PoseCorrections:
    """Moves keyframes as a SLAM node says.

    Attributes:
        tally: messages that moved nothing, by reason.
    """

    def __init__(
        self,
        graph: Graph,
        field: Any,
        map_frame: str,
        trajectory: Trajectory,
        run: Callable[[Job], None],
    ) -> None:
        """Subscribes and announces.

        Args:
            graph: the node.
            field: a `SemanticField`.
            map_frame: in which keyframes are.
            trajectory: where the frame was taken to be whose poses `corrected_path` tells.
            run: does a job in another thread than the callbacks', see `Worker`.
        """
        self._graph, self._field, self._map_frame = graph, field, map_frame
        self._trajectory, self._run = trajectory, run
        self.tally = Tally("pose corrections")
        self._path: Any | None = None
        self._arrays = Backlog(run, 1, self.tally, "pose array overtaken by the next")
        self._lists: dict[int, list[KeyframeView]] = {}
        self._announced: list[tuple[int, int, bytes]] = []
        self._keyframes = graph.publisher("nav_msgs/msg/Path", "~/keyframes", LATCHED)
        graph.subscribe("nav_msgs/msg/Path", "corrected_path", self._on_path)
        graph.subscribe("geometry_msgs/msg/PoseArray", "corrected_poses", self._on_poses)

    def announce(self, views: list[KeyframeView]) -> None:
        """Publishes `~/keyframes` if these are others than before, or elsewhere."""
        listed = [(v.keyframe_id, v.stamp_ns, v.world_from_camera.tobytes()) for v in views]
        if listed == self._announced:
            return
        make, at_ns = self._graph.message, self._graph.now_ns()
        poses = [
            make(
                "geometry_msgs/msg/PoseStamped",
                header=header_message(make, self._map_frame, view.stamp_ns),
                pose=pose_message(make, view.world_from_camera),
            )
            for view in views
        ]
        self._announced, self._lists[at_ns] = listed, views
        while len(self._lists) > _LISTS:
            self._lists.pop(next(iter(self._lists)))
        header = header_message(make, self._map_frame, at_ns)
        self._keyframes.publish(make("nav_msgs/msg/Path", header=header, poses=poses))

    def _on_path(self, message: Any) -> None:
        """Of several paths that wait only the newest counts: each is the whole way."""
        self._path = message
        self._run(self._follow_path)

    def _on_poses(self, message: Any) -> None:
        self._arrays.add(partial(self._follow_poses, message))

    def _follow_path(self) -> None:
        path, self._path = self._path, None
        if path is None:
            return
        stamps_ns = [stamp_ns(posed.header.stamp) for posed in path.poses]
        if any(late <= early for early, late in pairwise(stamps_ns)):
            self.tally.count("bad path", "stamps of the poses must increase")
            return
        poses = self._in_map(path.header, [posed.pose for posed in path.poses], "path")
        if poses is None:
            return
        correction = self._trajectory.correction(stamps_ns, poses)
        if not correction.stamps_ns:
            span = f"{len(stamps_ns)} poses from {stamps_ns[:1]} to {stamps_ns[-1:]} ns"
            self.tally.count("path of other times", f"{span} fit no frame that came in")
            return
        if (turn_rad := correction.turn_rad()) > MOST_TURN_RAD:
            said = f"it would turn the map by {np.degrees(turn_rad):.0f} degrees"
            cure = "corrected_frame must name the frame whose poses it tells"
            self.tally.count("path of another frame", f"{said}; {cure}")
            return
        corrected = corrected_poses(self._field.keyframes(), correction)
        if corrected:
            self._move(corrected, correction, "path")

    def _follow_poses(self, message: Any) -> None:
        asked_ns = stamp_ns(message.header.stamp)
        views = self._lists.get(asked_ns)
        if views is None or len(views) != len(message.poses):
            want = "the stamp and the number of poses of a recent ~/keyframes"
            got = f"{asked_ns} ns and {len(message.poses)} poses"
            self.tally.count("bad pose array", f"it must have {want}, got {got}")
            return
        poses = self._in_map(message.header, message.poses, "pose array")
        if poses is None:
            return
        listed = {_identity(view): pose for view, pose in zip(views, poses, strict=True)}
        held = [view for view in self._field.keyframes() if _identity(view) in listed]
        corrected = {view.keyframe_id: listed[_identity(view)] for view in held}
        if not worth_moving(held, corrected):
            return
        moved = {
            view.stamp_ns: corrected[view.keyframe_id] @ invert_rigid(view.world_from_camera)
            for view in held
        }
        stamps_ns = sorted(moved)
        correction = Correction(stamps_ns, [moved[stamp] for stamp in stamps_ns])
        self._move(corrected, correction, "pose array")

    def _move(self, poses: Mapping[int, Float], correction: Correction, what: str) -> None:
        """Moves keyframes, and all that the robot's way says of their times, or neither."""
        try:
            self._field.update_poses(poses)
        except ValueError as error:  # too far away
            self.tally.count(f"bad {what}", str(error))
        else:
            self._trajectory.apply(correction)

    def _in_map(self, header: Any, poses: Sequence[Any], what: str) -> list[Float] | None:
        """The (4, 4) poses in the map frame; None, and counted, if they make no sense."""
        try:
            frame = header.frame_id or self._map_frame
            world_from_frame = np.eye(4)
            if frame != self._map_frame:
                world_from_frame = self._graph.lookup(self._map_frame, frame, None)
            return [world_from_frame @ matrix_from_pose(pose) for pose in poses]
        except (ValueError, TransformError) as error:
            self.tally.count(f"bad {what}", str(error))
            return None


def _identity(view: KeyframeView) -> tuple[int, int, str]:
    """What no keyframe of another map shares; ids begin anew with each."""
    return view.keyframe_id, view.stamp_ns, view.camera_name
