"""From metres in the map frame to the unit cube that encoders live in, and back."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import SceneConfig
from semantic_field_ros.geometry import camera_rays, pixel_grid
from semantic_field_ros.types import PosedFrame

logger = logging.getLogger(__name__)

#: share of the unit cube, per axis, that the scene's own cube takes; the rest holds all beyond.
INNER = 0.5
#: share of depth readings left out at both ends when a box is fixed from them.
OUTLIERS = 0.005


@dataclass(frozen=True)
class SceneBounds:
    """A box in the world and the contraction of all space around it; never changes.

    The smallest cube around the box maps linearly onto the middle `INNER` of the unit cube, with
    one scale for all axes so that grid cells are cubes in metres. Points outside are contracted
    along the line to the centre, after Barron et al. 2022 ("Mip-NeRF 360", equation 10) in the
    maximum norm, written for any inner share a = `INNER` (1/2 there and here): with r >= 1 the
    distance from the centre in half sides,

        c(r) = 1 - (1 - a)² / ((1 - a) + a·(r - 1)),   c(1) = a, c'(1) = a, c(inf) = 1.

    Attributes:
        box_m: (x_min, y_min, z_min, x_max, y_max, z_max) metres, map frame.
    """

    box_m: tuple[float, ...]

    def __post_init__(self) -> None:
        box = np.asarray(self.box_m, np.float64)
        if box.shape != (6,) or not np.isfinite(box).all() or (box[:3] >= box[3:]).any():
            raise ValueError(
                "box_m must be 6 finite numbers, minimum corner below maximum, "
                f"got {tuple(self.box_m)}"
            )

    @property
    def minimum(self) -> NDArray[np.float64]:
        """(3,) metres."""
        return np.asarray(self.box_m[:3], np.float64)

    @property
    def maximum(self) -> NDArray[np.float64]:
        """(3,) metres."""
        return np.asarray(self.box_m[3:], np.float64)

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) metres."""
        return (self.minimum + self.maximum) / 2

    @property
    def half_side_m(self) -> float:
        """Half the side of the cube around the box."""
        return float((self.maximum - self.minimum).max() / 2)

    def stretched(self, factor: float) -> SceneBounds:
        """A box with the same centre, `factor` times as large."""
        half = (self.maximum - self.minimum) / 2 * factor
        corners = np.concatenate([self.centre - half, self.centre + half])
        return SceneBounds(tuple(float(x) for x in corners))

    def unit_from_world(self, points: torch.Tensor) -> torch.Tensor:
        """(..., 3) f32 metres to (..., 3) f32 in [0, 1]; differentiable."""
        return self.contract(points)[0]

    def contract(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`unit_from_world`, and c'(r) / a (..., 1): how much smaller lengths get than in the box.

        It is 1 inside the cube and falls to 0 far away.
        """
        centre = points.new_tensor(self.centre)
        scaled = (points - centre) / self.half_side_m
        radius = scaled.abs().amax(dim=-1, keepdim=True).clamp_min(1.0)
        rest = (1 - INNER) / ((1 - INNER) + INNER * (radius - 1))
        beyond = 1 - (1 - INNER) * rest
        return ((beyond / radius) * scaled + 1) / 2, rest**2

    def world_from_unit(self, unit: torch.Tensor) -> torch.Tensor:
        """The inverse of `unit_from_world`, for points inside the open unit cube."""
        centred = unit * 2 - 1
        contracted = centred.abs().amax(dim=-1, keepdim=True).clamp_min(INNER)
        radius = 1 + ((1 - INNER) ** 2 / (1 - contracted) - (1 - INNER)) / INNER
        return centred * (radius / contracted) * self.half_side_m + unit.new_tensor(self.centre)

    def contains(self, points: torch.Tensor) -> torch.Tensor:
        """(...,) bool of (..., 3) world points inside the box."""
        low, high = points.new_tensor(self.minimum), points.new_tensor(self.maximum)
        return ((points >= low) & (points <= high)).all(dim=-1)


def fix_bounds(config: SceneConfig, frames: Iterable[PosedFrame]) -> SceneBounds:
    """The configured box, or one fixed from the first keyframes with a margin.

    With depth, the box holds the cameras, what they measured but for outliers, and as much space
    behind each camera as half of its image shows before it: a robot that has seen one wall of a
    room will see the others. Without depth, it holds the cameras and what they look at, as far as
    their optical axes come near each other.

    Raises:
        ValueError: no box is configured and there is no frame.
    """
    if config.box_m is not None:
        return SceneBounds(tuple(config.box_m))
    frames = list(frames)
    if not frames:
        raise ValueError("bounds need a configured scene.box_m or at least one frame, got neither")
    seen = [_measured(frame) for frame in frames if frame.depth_m is not None]
    cameras = np.stack([frame.world_from_camera[:3, 3] for frame in frames])
    points = np.concatenate(seen) if seen else np.empty((0, 3))
    if len(points) < 100:
        points = _looked_at(frames)
    low, high = np.quantile(points, [OUTLIERS, 1 - OUTLIERS], axis=0)
    low = np.minimum(low, cameras.min(axis=0)) - config.margin_m
    high = np.maximum(high, cameras.max(axis=0)) + config.margin_m
    bounds = SceneBounds(tuple(float(x) for x in np.concatenate([low, high])))
    logger.info(
        "scene box fixed at %s m from %s keyframes", np.round(bounds.box_m, 2), len(frames)
    )
    return bounds


def _measured(frame: PosedFrame) -> NDArray[np.float64]:
    """World points of every 8th pixel with known depth, the nearer half also behind the camera."""
    assert frame.depth_m is not None
    pixel = pixel_grid(frame.camera.width, frame.camera.height)
    pixel = pixel.reshape(frame.camera.height, frame.camera.width, 2)[::8, ::8].reshape(-1, 2)
    depth = frame.depth_m[::8, ::8].ravel().astype(np.float64)
    known = np.isfinite(depth)
    if not known.any():
        return np.empty((0, 3))
    rays = camera_rays(frame.camera, pixel[known]) * depth[known, None]
    turn, eye = frame.world_from_camera[:3, :3], frame.world_from_camera[:3, 3]
    ahead = rays @ turn.T
    behind = -ahead[depth[known] <= np.median(depth[known])]
    behind[:, 2] *= -1  # the floor is below on all sides
    return eye + np.concatenate([ahead, behind])


def _looked_at(frames: list[PosedFrame]) -> NDArray[np.float64]:
    """(8·F, 3) corners of each camera's view at the distance where the optical axes meet."""
    distance = focus_distance([frame.world_from_camera for frame in frames])
    corners = []
    for frame in frames:
        camera, pose = frame.camera, frame.world_from_camera
        pixel = np.array([[u, v] for u in (0, camera.width) for v in (0, camera.height)])
        in_camera = camera_rays(camera, pixel.astype(np.float32)).astype(np.float64)
        for depth in (distance, 1.5 * distance):
            corners.append(in_camera * depth @ pose[:3, :3].T + pose[:3, 3])
    return np.concatenate(corners)


def focus_distance(poses: list[NDArray[np.float64]]) -> float:
    """How far the cameras are from the point nearest to all optical axes (least squares), metres.

    Cameras that look in parallel or away from each other have no such point before them; then it
    is twice the extent of their positions, at least 1.

    Args:
        poses: world_from_camera, (4, 4) each, at least one.
    """
    eyes = np.stack([pose[:3, 3] for pose in poses])
    axes = np.stack([pose[:3, 2] for pose in poses])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    matrix = across.sum(axis=0)
    fallback = max(1.0, 2 * float(np.ptp(eyes, axis=0).max()))
    if np.linalg.cond(matrix) > 1e3:
        return fallback
    focus = np.linalg.solve(matrix, (across @ eyes[:, :, None]).sum(axis=0)[:, 0])
    ahead = float(np.median(((focus - eyes) * axes).sum(axis=1)))
    return ahead if ahead > 0 else fallback
