"""Late corrections of poses: where the robot was taken to be, and how that was wrong.

A loop closure moves poses of long ago. What it says about the poses that it names is carried to
all others of the same time, of every camera, because it is the same for all that the robot
carries: a rigid motion of the world, old to new, that changes with time.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import interpolate_pose, invert_rigid, rotation_angle_rad
from semantic_field_ros.keyframes.memory import KeyframeView

Float = NDArray[np.float64]

#: poses are remembered this far apart at first, nanoseconds, and this many at most.
SAMPLE_NS, CAPACITY = 100_000_000, 20_000
#: between poses that are this many times farther apart than they need be, and than their like
#: usually are, nobody knows where the robot was.
MAX_GAP, MAX_USUAL_GAP = 10, 3
#: a pose that is older by more than this comes after a jump of time, nanoseconds.
JUMP_NS = 5_000_000_000
#: corrections of a long path are taken at this many of its poses.
MOST_POSES = 1000
#: a correction that moves no keyframe farther than this is none, metres and radians.
LEAST_M, LEAST_RAD = 0.01, 0.005
#: a path that turns the world by more than this, most of the time, is that of another frame of the
#: robot, which looks another way; radians.
MOST_TURN_RAD = np.pi / 4


@dataclass(frozen=True)
class Correction:
    """How the world moved, over time.

    Attributes:
        stamps_ns: N increasing stamps, nanoseconds.
        new_from_old: at each of them, the (4, 4) rigid motion of what was known of the world.
    """

    stamps_ns: Sequence[int]
    new_from_old: Sequence[Float]

    def at(self, stamp_ns: int) -> Float | None:
        """(4, 4), between two stamps interpolated; None before the first and after the last."""
        return _interpolated(self.stamps_ns, self.new_from_old, stamp_ns)

    def turn_rad(self) -> float:
        """By how much the world turns, the median over the stamps; 0 without any."""
        turns = [rotation_angle_rad(np.eye(4), motion) for motion in self.new_from_old]
        return float(np.median(turns)) if turns else 0.0


class Trajectory:
    """Where the robot was taken to be; corrected along with the keyframes. For several threads.

    Its memory is bounded: when it is full every other pose goes, from the beginning to the end,
    and from then on half as many are remembered.
    """

    def __init__(self) -> None:
        self._apart_ns = SAMPLE_NS
        self._stamps_ns: list[int] = []
        self._poses: list[Float] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._stamps_ns)

    def add(self, stamp_ns: int, world_from_body: Float) -> None:
        """The newest pose (4, 4); after a jump back of time everything is forgotten first."""
        with self._lock:
            newest_ns = self._stamps_ns[-1] if self._stamps_ns else stamp_ns - self._apart_ns
            if stamp_ns < newest_ns - JUMP_NS:
                self._stamps_ns, self._poses, self._apart_ns = [], [], SAMPLE_NS
            elif stamp_ns < newest_ns + self._apart_ns:
                return
            self._stamps_ns.append(stamp_ns)
            self._poses.append(world_from_body)
            if len(self._stamps_ns) > CAPACITY:
                self._stamps_ns, self._poses = self._stamps_ns[::2], self._poses[::2]
                self._apart_ns *= 2

    def correction(self, stamps_ns: Sequence[int], world_from_body: Sequence[Float]) -> Correction:
        """What corrected poses (4, 4) at increasing stamps say; those of unknown times are left
        out."""
        with self._lock:  # shortly: a camera's callback adds to them
            known_ns, poses = list(self._stamps_ns), list(self._poses)
            least_ns = MAX_GAP * self._apart_ns
        old_ns, new_ns = _usual_gap_ns(known_ns), _usual_gap_ns(stamps_ns)
        old_gap_ns, new_gap_ns = (max(least_ns, MAX_USUAL_GAP * ns) for ns in (old_ns, new_ns))
        # Between two poses a robot goes round a bend: those that are closer together are asked
        # where it was at the stamps of the others.
        asked = known_ns if old_ns > max(least_ns, new_ns) else stamps_ns
        every = max(1, -(-len(asked) // MOST_POSES))
        motions: dict[int, Float] = {}
        # Counted from the newest, which must not be left out.
        for stamp_ns in asked[::-every][::-1]:
            old = _interpolated(known_ns, poses, stamp_ns, old_gap_ns)
            new = _interpolated(stamps_ns, world_from_body, stamp_ns, new_gap_ns)
            if old is not None and new is not None:
                motions[stamp_ns] = new @ invert_rigid(old)
        return Correction(list(motions), list(motions.values()))

    def apply(self, correction: Correction) -> None:
        """Moves all poses of the times that the correction speaks of."""
        with self._lock:
            for i, stamp_ns in enumerate(self._stamps_ns):
                motion = correction.at(stamp_ns)
                if motion is not None:
                    self._poses[i] = motion @ self._poses[i]


def corrected_poses(views: Sequence[KeyframeView], correction: Correction) -> dict[int, Float]:
    """New world_from_camera (4, 4) by keyframe id, of the times that the correction speaks of.

    Empty if none of them is `worth_moving`.
    """
    poses = {
        view.keyframe_id: motion @ view.world_from_camera
        for view in views
        if (motion := correction.at(view.stamp_ns)) is not None
    }
    return poses if worth_moving(views, poses) else {}


def worth_moving(views: Sequence[KeyframeView], poses: Mapping[int, Float]) -> bool:
    """Whether some keyframe moves by more than `LEAST_M` or turns by more than `LEAST_RAD`.

    Mappers publish what they know again and again, and what is good enough must not be learnt
    anew.

    Args:
        views: as keyframes are.
        poses: world_from_camera (4, 4) by keyframe id, as some of them should be.
    """
    for view in views:
        old, new = view.world_from_camera, poses.get(view.keyframe_id)
        if new is not None:
            moved_m = float(np.linalg.norm(new[:3, 3] - old[:3, 3]))
            if moved_m > LEAST_M or rotation_angle_rad(old, new) > LEAST_RAD:
                return True
    return False


def _usual_gap_ns(stamps_ns: Sequence[int]) -> int:
    """Median time between neighbours, nanoseconds; 0 without any."""
    return median_low([late - early for early, late in pairwise(stamps_ns)] or [0])


def _interpolated(
    stamps_ns: Sequence[int], poses: Sequence[Float], stamp_ns: int, max_gap_ns: int | None = None
) -> Float | None:
    """(4, 4) at a stamp; None outside the stamps, or in a gap longer than `max_gap_ns`."""
    after = bisect.bisect_left(stamps_ns, stamp_ns)
    if after == len(stamps_ns):
        return None
    if stamps_ns[after] == stamp_ns:
        return poses[after]
    if after == 0:
        return None
    gap_ns = stamps_ns[after] - stamps_ns[after - 1]
    if max_gap_ns is not None and gap_ns > max_gap_ns:
        return None
    share = (stamp_ns - stamps_ns[after - 1]) / gap_ns
    return interpolate_pose(poses[after - 1], poses[after], share)
