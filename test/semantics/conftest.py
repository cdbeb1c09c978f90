"""A picture wall: a plane two metres away with rectangles on it, seen by cameras side by side."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.models.base import EmbeddingLayout
from semantic_field_ros.semantics.base import MethodSetup, RayQuadrature
from semantic_field_ros.types import (
    FrameFeatures,
    Keyframe,
    MaskProposal,
    PinholeCamera,
    PosedFrame,
    SurfaceCloud,
)

CAMERA = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)
WALL_M = 2.0
#: x_min, y_min, x_max, y_max of each picture on the wall, metres.
PICTURES = ((-0.9, -0.5, -0.3, 0.4), (-0.2, -0.6, 0.5, 0.0), (0.0, 0.2, 0.9, 0.7))
CHANNELS, SIDE = 4, 8


@dataclass(frozen=True)
class Wall:
    """What the tests ask of it; language vectors are unit vectors, one axis per picture."""

    setup: MethodSetup
    language: np.ndarray
    camera: PinholeCamera = CAMERA
    depth_m: float = WALL_M
    pictures: int = len(PICTURES)

    def keyframe(self, number: int, x_m: float, shown: tuple[int, ...] = (0, 1, 2)) -> Keyframe:
        """Seen from x_m, with perfect masks of the pictures that are `shown`."""
        pose = np.eye(4)
        pose[0, 3] = x_m
        points = self._points(pose)
        depth = np.full((CAMERA.height, CAMERA.width), WALL_M, np.float32)
        rgb = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        proposals, language = [], []
        for picture in shown:
            mask = inside(points, picture).reshape(depth.shape)
            if mask.any():
                proposals.append(MaskProposal.from_mask(mask, 0.9))
                language.append(self.language[picture])
        features = FrameFeatures(
            embedding(points),
            tuple(proposals),
            np.array(language, np.float16).reshape(-1, 8),
            depths=(embedding(points)[:, ::2, ::2].copy(),),
        )
        return Keyframe(number, PosedFrame(number, "camera", CAMERA, pose, rgb, depth), features)

    def with_pyramid(self) -> MethodSetup:
        """The setup of a segmenter that has a coarser scale too."""
        coarse = EmbeddingLayout(CHANNELS, SIDE // 2, (3, 4))
        return replace(self.setup, pyramid=lambda size: (coarse, self.setup.layout(size)))

    def surface(self, features: dict[str, np.ndarray] | None = None) -> SurfaceCloud:
        """Points on the wall, 2 cm apart."""
        x, y = np.meshgrid(np.arange(-1.0, 1.0, 0.02), np.arange(-0.8, 0.8, 0.02))
        points = np.stack(
            [x.ravel(), y.ravel(), np.full(x.size, WALL_M)], axis=1, dtype=np.float32
        )
        normals = np.tile(np.array([[0, 0, -1]], np.float32), (x.size, 1))
        rgb, spacing_m = np.zeros((x.size, 3), np.uint8), np.full(x.size, 0.02, np.float32)
        return SurfaceCloud(points, normals, rgb, spacing_m, features or {}, 1)

    @staticmethod
    def quadrature(origins, directions, depth_m) -> RayQuadrature:
        """All light comes from the wall."""
        depth = np.full(len(origins), WALL_M, np.float32) + 0 * origins[:, 2]
        points = (origins + directions * depth[:, None])[:, None]
        weights = torch.ones(len(origins), 1)
        return RayQuadrature(torch.from_numpy(points), weights, torch.from_numpy(depth))

    @staticmethod
    def inside(points: np.ndarray, picture: int) -> np.ndarray:
        """(N,) which points lie on a picture."""
        return inside(points, picture)

    @staticmethod
    def _points(pose: np.ndarray) -> np.ndarray:
        pixel = pixel_grid(CAMERA.width, CAMERA.height)
        return unproject(CAMERA, pose, pixel, np.full(len(pixel), WALL_M, np.float32))


def inside(points: np.ndarray, picture: int) -> np.ndarray:
    """(N,) which points lie on a picture."""
    x_min, y_min, x_max, y_max = PICTURES[picture]
    x, y = points[:, 0], points[:, 1]
    return (x > x_min) & (x < x_max) & (y > y_min) & (y < y_max)


def embedding(points: np.ndarray) -> np.ndarray:
    """(4, 8, 8): which picture the middle of each cell lies on; the lower quarter is padding."""
    centre = points.reshape(CAMERA.height, CAMERA.width, 3)[4::8, 4::8].reshape(-1, 3)
    cells = np.full((CHANNELS, SIDE, SIDE), -0.5, np.float16)
    cells[:3, :6] = np.stack([inside(centre, k) for k in range(3)]).reshape(3, 6, 8)
    cells[3, :6] = 1.0
    return cells


@pytest.fixture
def wall() -> Wall:
    def unit_from_world(points: torch.Tensor) -> torch.Tensor:
        return (points + torch.tensor([1.5, 1.5, -0.5])) / 3.0

    setup = MethodSetup(
        unit_from_world,
        "auto",
        0.02,
        lambda size: EmbeddingLayout(CHANNELS, SIDE, (6, 8)),
        language_dim=8,
    )
    return Wall(setup, np.eye(8, dtype=np.float32))
