"""What one keyframe shows of the surface: a small depth map, and the points that can be trusted.

Depth maps have pixels between an object and what is behind it that lie on neither ("flying
pixels"), and pixels that graze a surface. Both are recognised in inverse depth, which is linear
in the pixel on every plane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.field.surface_kernels import COLUMNS
from semantic_field_ros.geometry import camera_rays, invert_rigid, pixel_grid
from semantic_field_ros.types import PinholeCamera

Float32 = NDArray[np.float32]

#: share of the depth by which a side may bend away from a plane.
MAX_BEND = 0.03
#: share of the depth within which a neighbour is on the same surface whatever comes after it.
MAX_STEP = 0.01
#: cosine between normal and line of sight below which a pixel grazes its surface.
MIN_COSINE = 0.1
#: one in this many samples of a patch tells where it goes.
ANCHOR_STRIDE = 16


@dataclass(frozen=True)
class KeyframeDepth:
    """What a keyframe sees, at low resolution: for visibility tests.

    Attributes:
        keyframe_id: of the keyframe.
        camera: of `depth_m` (one pixel per `stride_px` of the keyframe).
        world_from_camera: (4, 4) f64.
        depth_m: (h, w) f32 measured or rendered depth along the optical axis, NaN where neither
            is known.
    """

    keyframe_id: int
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    depth_m: Float32


@dataclass(frozen=True)
class Patch:
    """One keyframe's part of the surface.

    Attributes:
        seen: its depth map.
        rgb: (h, w, 3) u8 what the camera saw.
        round: counts refreshes of the map; when this patch was rendered.
        samples: (N, 11) f32 rows of position (world, metres), unit normal towards the camera,
            colour in [0, 255], weight, footprint (width of a pixel of `seen` there, metres).
    """

    seen: KeyframeDepth
    rgb: NDArray[np.uint8]
    round: int
    samples: Float32


@dataclass(frozen=True)
class PatchMove:
    """A patch whose keyframe was found to have been elsewhere.

    Attributes:
        patch: as it was.
        world_from_camera: (4, 4) f64, where the keyframe really was.
    """

    patch: Patch
    world_from_camera: NDArray[np.float64]

    def new_from_old(self) -> NDArray[np.float64]:
        """(4, 4) motion of what the patch shows, in the world."""
        return self.world_from_camera @ invert_rigid(self.patch.seen.world_from_camera)

    def middle_went_m(self) -> NDArray[np.float64]:
        """(3,) metres by which the point in the middle of the view, at the median depth, went."""
        known_m = self.patch.seen.depth_m[np.isfinite(self.patch.seen.depth_m)]
        middle = np.array([0, 0, np.median(known_m) if len(known_m) else 0, 1])
        went = (self.world_from_camera - self.patch.seen.world_from_camera) @ middle
        return np.asarray(went[:3], np.float64)


def carried_along(samples: Float32, moves: Sequence[PatchMove]) -> Float32:
    """(N, 11) samples of no patch, moved like the nearest sample of at least one patch."""
    anchors = [move.patch.samples[::ANCHOR_STRIDE] for move in moves]
    owner = np.repeat(np.arange(len(moves)), [len(part) for part in anchors])
    if not len(samples) or not len(owner):
        return samples
    _, nearest = cKDTree(np.concatenate(anchors)[:, :3]).query(samples[:, :3])
    motion = np.stack([move.new_from_old() for move in moves]).astype(np.float32)[owner[nearest]]
    moved = samples.copy()
    moved[:, 0:3] = np.einsum("nij,nj->ni", motion[:, :3, :3], samples[:, 0:3]) + motion[:, :3, 3]
    moved[:, 3:6] = np.einsum("nij,nj->ni", motion[:, :3, :3], samples[:, 3:6])
    return moved


def strided(camera: PinholeCamera, stride_px: int) -> tuple[PinholeCamera, Float32]:
    """Every `stride_px`-th pixel of a camera in both directions, starting at half a stride.

    Returns:
        The camera that has only these pixels, and (h·w, 2) where they are in the given one.
    """
    first_u, first_v = min(stride_px, camera.width) // 2, min(stride_px, camera.height) // 2
    small = PinholeCamera(
        len(range(first_u, camera.width, stride_px)),
        len(range(first_v, camera.height, stride_px)),
        camera.fx / stride_px,
        camera.fy / stride_px,
        (camera.cx - first_u) / stride_px,
        (camera.cy - first_v) / stride_px,
    )
    grid = pixel_grid(small.width, small.height) * np.float32(stride_px)
    return small, grid + np.array([first_u, first_v], np.float32)


def measured_depth(
    depth_m: Float32, pixel: Float32, radius_px: int, noise_per_m: float
) -> Float32:
    """(N,) the sensor's depth at (N, 2) pixels, the mean of those up to `radius_px` away.

    What is not on the surface of the middle pixel is left out: depth that differs by more than
    `MAX_STEP` and three standard deviations of the noise, which is the same at every distance in
    the inverse of depth.

    Args:
        depth_m: (H, W) f32 metres along the optical axis; what is not finite and > 0 is unknown.
        pixel: (N, 2) whole u, v inside the image.
        radius_px: in u and in v; neighbours outside the image do not count.
        noise_per_m: standard deviation of depth z over z².

    Returns:
        (N,) f32 metres, NaN where the middle pixel is unknown.
    """
    height, width = depth_m.shape
    column, row = pixel.astype(np.int64).T
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where((depth_m > 0) & np.isfinite(depth_m), 1 / depth_m, np.float32(np.nan))
        middle = inverse[row, column]
        apart = MAX_STEP * middle + np.float32(3 * noise_per_m)
        total, count = np.zeros_like(middle), np.zeros_like(middle)
        for offset in np.ndindex(2 * radius_px + 1, 2 * radius_px + 1):
            v, u = row + offset[0] - radius_px, column + offset[1] - radius_px
            inside = (v >= 0) & (v < height) & (u >= 0) & (u < width)
            other = inverse[v.clip(0, height - 1), u.clip(0, width - 1)]
            alike = inside & (np.abs(other - middle) <= apart)
            total += np.where(alike, other, 0)
            count += alike
        return count / total


def surface_samples(seen: KeyframeDepth, rgb: NDArray[np.uint8]) -> Float32:
    """(N, 11) f32 samples of the pixels that lie on a surface; see `Patch`.

    A plane n·X = d seen along r = (x, y, 1) has the inverse depth (n·r)/d, so its slopes in x and
    y and its value give the normal. The weight is that of a square of surface in the picture,
    cos / z², because near and frontal views are the precise ones.
    """
    camera, depth = seen.camera, seen.depth_m
    rays = camera_rays(camera, pixel_grid(camera.width, camera.height)).reshape(*depth.shape, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(depth > 0, 1 / depth, np.float32(np.nan))
        slope_u, solid_u = _slope(inverse)
        slope_v, solid_v = _slope(inverse.T)
        slope_x, slope_y = slope_u * camera.fx, slope_v.T * camera.fy
        away = inverse - rays[..., 0] * slope_x - rays[..., 1] * slope_y
        normal = -np.stack([slope_x, slope_y, away], axis=-1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        cosine = -(normal * rays).sum(-1) / np.linalg.norm(rays, axis=-1)
        kept = solid_u & solid_v.T & (cosine > MIN_COSINE)
    samples = np.empty((int(kept.sum()), COLUMNS), np.float32)
    pose = seen.world_from_camera.astype(np.float32)
    samples[:, 0:3] = (rays[kept] * depth[kept, None]) @ pose[:3, :3].T + pose[:3, 3]
    samples[:, 3:6] = normal[kept] @ pose[:3, :3].T
    samples[:, 6:9] = rgb[kept]
    samples[:, 9] = cosine[kept] * inverse[kept] ** 2
    samples[:, 10] = depth[kept] / camera.fx
    return samples


def _slope(inverse: Float32) -> tuple[Float32, NDArray[np.bool_]]:
    """Slope of (h, w) inverse depth along rows, and where it is that of a surface.

    A pixel is on a surface if that goes on, straight or level, on one side at least, or if it is
    nearer than both neighbours (a thin thing). A flying pixel has a step on both sides, up and
    down.
    """
    padded = np.pad(inverse, ((0, 0), (2, 2)), constant_values=np.nan)
    two_left, left, right, two_right = (
        padded[:, shift : shift + inverse.shape[1]] for shift in (0, 1, 3, 4)
    )
    rises = (inverse - left, right - inverse)
    bends = (inverse - 2 * left + two_left, inverse - 2 * right + two_right)
    good = [
        (np.abs(bend) < MAX_BEND * inverse) | (np.abs(rise) < MAX_STEP * inverse)
        for bend, rise in zip(bends, rises, strict=True)
    ]
    total = np.where(good[0], rises[0], 0) + np.where(good[1], rises[1], 0)
    sides = good[0].astype(np.float32) + good[1]
    thin = (rises[0] > 0) & (rises[1] < 0)
    return (total / np.maximum(sides, 1)).astype(np.float32), (sides > 0) | thin
