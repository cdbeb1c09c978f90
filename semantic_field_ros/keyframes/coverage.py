"""Which keyframe is missed least by what the others see.

A forgotten view is represented by the kept view nearest to it. Every kept view remembers the
farthest view that it stands for (its witness); without that, thinning out a path from its end
always drops the view that came just before, and a hole grows behind the camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Slots = NDArray[np.int64]


def pose_distances(pose: Float, poses: Float, metres_per_radian: float) -> Float:
    """How different views are, in radians of image content.

    A step sideways of `metres_per_radian` (the usual distance of what is seen) moves the image
    about as much as a turn of one radian.

    Args:
        pose: (4, 4) world_from_camera.
        poses: (N, 4, 4).
        metres_per_radian: see above; positive.

    Returns:
        (N,) angle plus scaled distance.
    """
    steps = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=1)
    # The trace of AᵀB is the sum of products of their entries.
    cosine = (np.einsum("nij,ij->n", poses[:, :3, :3], pose[:3, :3]) - 1) / 2
    return np.arccos(np.clip(cosine, -1, 1)) + steps / metres_per_radian


class Coverage:
    """Views in slots, and what each of them stands for.

    Args:
        capacity: number of slots.

    Attributes:
        metres_per_radian: scale between turns and steps.
    """

    def __init__(self, capacity: int) -> None:
        self.metres_per_radian = 1.0
        self._poses = np.tile(np.eye(4), (capacity, 1, 1))
        self._witnesses = np.tile(np.eye(4), (capacity, 1, 1))
        self._apart = np.full((capacity, capacity), np.inf)  # pose to pose
        self._witness_apart = np.full((capacity, capacity), np.inf)  # row's witness to pose
        self._used = np.zeros(capacity, bool)

    def add(self, slot: int, pose: Float) -> None:
        """Puts a view into a slot; it takes over the witnesses that it is nearest to."""
        self._used[slot] = True
        self._poses[slot] = pose
        self._stand_for(slot, pose)
        self._measure(slot)
        used = np.flatnonzero(self._used)
        taken = used[self._witness_apart[used, slot] < self._witness_apart[used, used]]
        witnesses = self._witnesses[taken].copy()
        for keeper in taken:
            self._stand_for(int(keeper), self._poses[keeper])
        for witness in witnesses:
            self._offer(slot, witness)

    def move(self, slot: int, pose: Float) -> None:
        """Moves a view and, rigidly, what it stands for."""
        self._witnesses[slot] = pose @ np.linalg.solve(self._poses[slot], self._witnesses[slot])
        self._poses[slot] = pose
        self._measure(slot)

    def least_missed(self, slots: Slots) -> int:
        """The slot without which the farthest unrepresented view is nearest to a kept one.

        Args:
            slots: views to choose from, and to represent the one that goes; at least two.
        """
        inside = np.ix_(slots, slots)
        self_excluded = np.diag(np.full(len(slots), np.inf))
        pose_cost = (self._apart[inside] + self_excluded).min(axis=1)
        witness_cost = (self._witness_apart[inside] + self_excluded).min(axis=1)
        return int(slots[np.argmin(np.maximum(pose_cost, witness_cost))])

    def remove(self, slot: int, heirs: Slots) -> None:
        """Empties a slot; what it was and stood for goes to the nearest of `heirs`."""
        for view in (self._poses[slot].copy(), self._witnesses[slot].copy()):
            others = heirs[heirs != slot]
            if len(others):
                distances = pose_distances(view, self._poses[others], self.metres_per_radian)
                self._offer(int(others[distances.argmin()]), view)
        self._used[slot] = False
        self._apart[slot] = self._apart[:, slot] = np.inf
        self._witness_apart[slot] = self._witness_apart[:, slot] = np.inf

    def _offer(self, slot: int, view: Float) -> None:
        """`slot` stands for `view` if that is farther away than its witness."""
        distance = pose_distances(view, self._poses[slot : slot + 1], self.metres_per_radian)[0]
        if distance > self._witness_apart[slot, slot]:
            self._stand_for(slot, view)

    def _stand_for(self, slot: int, view: Float) -> None:
        self._witnesses[slot] = view
        used = np.flatnonzero(self._used)
        row = pose_distances(view, self._poses[used], self.metres_per_radian)
        self._witness_apart[slot, used] = row

    def _measure(self, slot: int) -> None:
        """Renews all distances that a changed pose has a part in."""
        used = np.flatnonzero(self._used)
        pose, scale = self._poses[slot], self.metres_per_radian
        row = pose_distances(pose, self._poses[used], scale)
        self._apart[slot, used] = self._apart[used, slot] = row
        self._witness_apart[used, slot] = pose_distances(pose, self._witnesses[used], scale)
        witness = self._witnesses[slot]
        self._witness_apart[slot, used] = pose_distances(witness, self._poses[used], scale)
