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


def turn_and_step(pose: Float, poses: Float) -> Float:
    """How different views are, whatever the scale of the scene.

    Args:
        pose: (4, 4) world_from_camera.
        poses: (N, 4, 4).

    Returns:
        (2, N) radians of the turn and metres of the step.
    """
    steps = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=1)
    # The trace of AᵀB is the sum of products of their entries.
    cosine = (np.einsum("nij,ij->n", poses[:, :3, :3], pose[:3, :3]) - 1) / 2
    return np.stack([np.arccos(np.clip(cosine, -1, 1)), steps])


class Coverage:
    """Views in slots, and what each of them stands for.

    Views are as far apart as what they show, in radians: a step sideways of `metres_per_radian`
    (the usual distance of what is seen) moves the image about as much as a turn of one radian.
    That scale may change at any time, as more is seen; all views are then compared by the new one.

    Args:
        capacity: number of slots.

    Attributes:
        metres_per_radian: see above; positive.
    """

    def __init__(self, capacity: int) -> None:
        self.metres_per_radian = 1.0
        self._poses = np.tile(np.eye(4), (capacity, 1, 1))
        self._witnesses = np.tile(np.eye(4), (capacity, 1, 1))
        # Turns and steps, pose to pose, and row's witness to pose.
        self._apart = np.full((2, capacity, capacity), np.inf)
        self._witness_apart = self._apart.copy()
        self._used = np.zeros(capacity, bool)

    def add(self, slot: int, pose: Float) -> None:
        """Puts a view into a slot; it takes over the witnesses that it is nearest to."""
        self._used[slot] = True
        self._poses[slot] = pose
        self._stand_for(slot, pose)
        self._measure(slot)
        used = np.flatnonzero(self._used)
        to_slot, to_keeper = self._witness_apart[:, used, slot], self._witness_apart[:, used, used]
        taken = used[self._distance(to_slot) < self._distance(to_keeper)]
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
        pose_cost = (self._distance(self._apart)[inside] + self_excluded).min(axis=1)
        witness_cost = (self._distance(self._witness_apart)[inside] + self_excluded).min(axis=1)
        return int(slots[np.argmin(np.maximum(pose_cost, witness_cost))])

    def remove(self, slot: int, heirs: Slots) -> None:
        """Empties a slot; what it was and stood for goes to the nearest of `heirs`."""
        for view in (self._poses[slot].copy(), self._witnesses[slot].copy()):
            others = heirs[heirs != slot]
            if len(others):
                distance = self._distance(turn_and_step(view, self._poses[others]))
                self._offer(int(others[distance.argmin()]), view)
        self._used[slot] = False
        self._apart[:, slot] = self._apart[:, :, slot] = np.inf
        self._witness_apart[:, slot] = self._witness_apart[:, :, slot] = np.inf

    def _offer(self, slot: int, view: Float) -> None:
        """`slot` stands for `view` if that is farther away than its witness."""
        distance = self._distance(turn_and_step(view, self._poses[slot : slot + 1]))[0]
        if distance > self._distance(self._witness_apart[:, slot, slot]):
            self._stand_for(slot, view)

    def _stand_for(self, slot: int, view: Float) -> None:
        self._witnesses[slot] = view
        used = np.flatnonzero(self._used)
        self._witness_apart[:, slot, used] = turn_and_step(view, self._poses[used])

    def _measure(self, slot: int) -> None:
        """Renews all distances that a changed pose has a part in."""
        used = np.flatnonzero(self._used)
        pose, witness = self._poses[slot], self._witnesses[slot]
        row = turn_and_step(pose, self._poses[used])
        self._apart[:, slot, used] = self._apart[:, used, slot] = row
        self._witness_apart[:, used, slot] = turn_and_step(pose, self._witnesses[used])
        self._witness_apart[:, slot, used] = turn_and_step(witness, self._poses[used])

    def _distance(self, apart: Float) -> Float:
        """(...) radians of image content of (2, ...) turns and steps."""
        turn, step = apart
        return turn + step / self.metres_per_radian
