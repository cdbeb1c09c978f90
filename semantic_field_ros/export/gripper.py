"""A parallel gripper, what is wished of a grasp, and a grasp.

The frame of a grasp: the origin is midway between the fingertips, z is the direction of approach
(out of the palm), x the direction in which the fingers close, y = z × x.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Gripper:
    """A parallel gripper as three boxes: two fingers and a palm behind them; metres.

    Attributes:
        max_opening_m, min_opening_m: between the pads.
        finger_length_m: from palm to fingertip.
        finger_width_m: of a pad, along y.
        finger_thickness_m: of a finger, along x.
        palm_depth_m: of what is behind the fingers, along z.
        palm_width_m: of the palm along y; along x it is as wide as the opened fingers.
    """

    max_opening_m: float = 0.10
    min_opening_m: float = 0.0
    finger_length_m: float = 0.06
    finger_width_m: float = 0.02
    finger_thickness_m: float = 0.012
    palm_depth_m: float = 0.06
    palm_width_m: float = 0.06

    def __post_init__(self) -> None:
        sizes = (
            self.max_opening_m,
            self.finger_length_m,
            self.finger_width_m,
            self.finger_thickness_m,
            self.palm_depth_m,
            self.palm_width_m,
        )
        if not np.isfinite(sizes).all() or min(sizes) <= 0:
            raise ValueError(f"sizes of a gripper must be finite and > 0, got {sizes}")
        if not 0 <= self.min_opening_m < self.max_opening_m:
            raise ValueError(
                f"min_opening_m must be in [0, {self.max_opening_m}), got {self.min_opening_m}"
            )


@dataclass(frozen=True)
class GraspWishes:
    """What a grasp should be like.

    Attributes:
        approach: (3,) preferred direction in which the gripper moves, map frame; any length.
        max_turn_rad: most that the approach may differ from it.
        clearance_m: kept to everything but the contacts, metres.
        max_results: most grasps returned.
    """

    approach: Float = field(default_factory=lambda: np.array([0.0, 0.0, -1.0]))
    max_turn_rad: float = 1.75
    clearance_m: float = 0.005
    max_results: int = 10

    def __post_init__(self) -> None:
        length = np.linalg.norm(self.approach)
        if np.shape(self.approach) != (3,) or not np.isfinite(length) or length == 0:
            raise ValueError(f"approach must be a direction (3,), got {self.approach}")
        if not self.clearance_m >= 0 or not self.max_turn_rad > 0 or self.max_results < 1:
            raise ValueError(
                "expected clearance_m >= 0, max_turn_rad > 0 and max_results >= 1, got "
                f"{self.clearance_m}, {self.max_turn_rad} and {self.max_results}"
            )

    @property
    def direction(self) -> Float:
        """(3,) the preferred approach, of unit length."""
        return np.asarray(self.approach, np.float64) / np.linalg.norm(self.approach)


@dataclass(frozen=True)
class Grasp:
    """Where to close the fingers.

    Attributes:
        world_from_grasp: (4, 4) f64; the frame is that of this module.
        width_m: of the object between the pads.
        opening_m: between the pads while approaching.
        score: [0, 1], for comparing grasps of one object.
        contacts: (2, 3) f64 expected contacts, metres in the map frame, at -x and at +x.
    """

    world_from_grasp: Float
    width_m: float
    opening_m: float
    score: float
    contacts: Float
