"""What a keyframe gives to a mesh."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from semantic_field_ros.export.mesh_views import mesh_views
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import RayQuadrature
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)


def wall(origins, directions, depth_m) -> RayQuadrature:
    """All light comes from two metres ahead, or from where the sensor says."""
    depth = torch.from_numpy(np.where(np.isfinite(depth_m), depth_m, 2.0).astype(np.float32))
    points = torch.from_numpy(origins) + torch.from_numpy(directions) * depth[:, None]
    return RayQuadrature(points[:, None], torch.ones(len(depth), 1), depth)


def test_ignored_pixels_are_no_part_of_a_mesh() -> None:
    ignored = np.zeros((48, 64), np.bool_)
    ignored[40:] = True
    rgb, depth_m = np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 3.0, np.float32)
    frame = PosedFrame(5, "head", CAMERA, np.eye(4), rgb, depth_m)
    memory = ReplayMemory(5)
    memory.add(frame)
    memory.add(replace(frame, ignored=ignored))
    snapshot = SimpleNamespace(quadrature=wall)
    whole, masked = mesh_views(snapshot, memory)  # type: ignore[arg-type]
    np.testing.assert_array_equal(whole.depth_m, 3.0)
    np.testing.assert_array_equal(np.isnan(masked.depth_m), ignored)
