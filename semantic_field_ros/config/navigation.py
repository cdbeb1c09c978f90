"""What a ground robot needs to know of the map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NavigationConfig:
    """Costmap, keep-out zones and goals; the map frame's z is up, heights are above the floor."""

    #: edge of a cell, metres.
    resolution_m: float = 0.05
    #: height of the floor in the map frame, metres.
    floor_m: float = 0.0
    #: what is lower belongs to the floor, metres.
    obstacle_low_m: float = 0.06
    #: what is higher does not touch the robot, metres.
    obstacle_high_m: float = 1.2
    #: a cell holds an obstacle from this much surface on, square metres; less is noise.
    obstacle_area_m2: float = 0.001
    #: a ray that passes over a cell lower than this shows that nothing stands there, metres.
    ray_height_m: float = 0.3
    #: radius of the circle that the robot fits in, metres.
    robot_radius_m: float = 0.25
    #: height of the eye that a goal gives a view from, metres; 0 = where the map's cameras were.
    eye_height_m: float = 0.0

    def __post_init__(self) -> None:
        if self.obstacle_low_m >= self.obstacle_high_m:
            raise ValueError(
                "navigation.obstacle_low_m must be less than navigation.obstacle_high_m, "
                f"got {self.obstacle_low_m} and {self.obstacle_high_m}"
            )
