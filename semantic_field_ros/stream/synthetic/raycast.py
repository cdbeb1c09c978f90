"""Ray casting and shading of a scene of items.

Shading is Blinn-Phong (Blinn 1977) under a few point lights, one of which casts shadows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import camera_rays, pixel_grid
from semantic_field_ros.stream.synthetic.material import Float32, Palette
from semantic_field_ros.stream.synthetic.mesh import Float, Mesh, Part
from semantic_field_ros.stream.synthetic.scene import Item
from semantic_field_ros.types import PinholeCamera

NOTHING_RGB = 0.05
"""Brightness of a pixel whose ray hits nothing."""


@dataclass(frozen=True)
class Light:
    """A white-ish point light: position (3,) metres, (r, g, b) strength at any distance."""

    position: Float32
    rgb: Float32


@dataclass(frozen=True)
class Lighting:
    """All lights; the first one casts shadows.

    Attributes:
        ambient: (3,) light from everywhere.
        lights: point lights.
    """

    ambient: Float32
    lights: tuple[Light, ...]


@dataclass(frozen=True)
class Shapes:
    """What there is before an ideal camera.

    Attributes:
        depth_m: (H, W) f32 along the optical axis, NaN where there is nothing.
        instance: (H, W) i32 ids of the world's objects, 0 where there is nothing.
    """

    depth_m: NDArray[np.float32]
    instance: NDArray[np.int32]


@dataclass(frozen=True)
class View(Shapes):
    """What an ideal camera sees.

    Attributes:
        rgb: (H, W, 3) u8, free of noise.
    """

    rgb: NDArray[np.uint8]


@dataclass(frozen=True)
class _Hits:
    """Where N rays end.

    Attributes:
        depth_m: (N,) NaN for those that meet nothing.
        instance: (N,) 0 for those.
        found: (M,) rays that meet something.
        triangle: (M,) what.
        uv: (M, 2) where on it.
    """

    depth_m: Float32
    instance: NDArray[np.int32]
    found: NDArray[np.intp]
    triangle: NDArray[np.int32]
    uv: Float32


@lru_cache(maxsize=8)
def _pixel_rays(camera: PinholeCamera) -> Float32:
    return camera_rays(camera, pixel_grid(camera.width, camera.height))


class RayCaster:
    """The meshes of a world in one ray casting scene, with their paints and lights.

    Attributes:
        meshes: by instance id (position in `items` plus one), in the world frame.
    """

    def __init__(self, items: list[Item], lighting: Lighting) -> None:
        import open3d as o3d

        self.meshes: dict[int, Mesh] = {
            index + 1: item.pose.place(item.mesh) for index, item in enumerate(items)
        }
        self._lighting = lighting
        self._palette = Palette([paint for item in items for paint in item.paints])
        counts = [len(mesh.triangles) for mesh in self.meshes.values()]
        self._instance = np.repeat(np.arange(1, len(items) + 1, dtype=np.int32), counts)
        parts = np.concatenate([item.mesh.parts for item in items]).astype(np.int32)
        self._paint = (self._instance - 1) * len(Part) + parts
        corners = [
            np.concatenate(
                [world.normals[item.mesh.triangles], item.mesh.vertices[item.mesh.triangles]],
                axis=2,
            )
            for item, world in zip(items, self.meshes.values(), strict=True)
        ]
        self._corners = np.concatenate(corners)  # [T, 3, normal + own position]
        vertices = np.concatenate(
            [m.vertices[m.triangles].reshape(-1, 3) for m in self.meshes.values()]
        )
        triangles = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
        tensor: Any = o3d.core.Tensor
        self._tensor = tensor
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        self._scene.add_triangles(tensor(vertices), tensor(triangles))

    def distance_m(self, points: Float) -> NDArray[np.float32]:
        """(N,) unsigned distance from (N, 3) world points to the nearest surface."""
        query = self._tensor(np.ascontiguousarray(points, np.float32))
        return self._scene.compute_distance(query, nthreads=1).numpy()

    def shapes(self, camera: PinholeCamera, world_from_camera: Float) -> Shapes:
        """One view without its colours, which take most of the time."""
        hits = self._hits(_rays(_pixel_rays(camera), world_from_camera))
        shape = (camera.height, camera.width)
        return Shapes(hits.depth_m.reshape(shape), hits.instance.reshape(shape))

    def render(self, camera: PinholeCamera, world_from_camera: Float) -> View:
        """One view; edges between instances are smoothed by four rays per pixel."""
        own = _pixel_rays(camera)
        colour, depth, instance = self._cast(camera, world_from_camera, own)
        shape = (camera.height, camera.width)
        rough = np.flatnonzero(_edges(instance.reshape(shape), depth.reshape(shape)))
        if len(rough):
            step = np.array([0.25 / camera.fx, 0.25 / camera.fy, 0], np.float32)
            signs = np.array([[-1, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0]], np.float32)
            finer = (own[rough, None] + signs * step).reshape(-1, 3)
            smooth, _, _ = self._cast(camera, world_from_camera, finer)
            colour[rough] = smooth.reshape(-1, 4, 3).mean(1)
        rgb = (colour * 255 + 0.5).astype(np.uint8)
        return View(depth.reshape(shape), instance.reshape(shape), rgb.reshape(*shape, 3))

    def _cast(
        self, camera: PinholeCamera, world_from_camera: Float, in_camera: Float32
    ) -> tuple[Float32, Float32, NDArray[np.int32]]:
        """Colour (N, 3) in [0, 1], depth and instance (N,) along rays with z = 1."""
        rays = _rays(in_camera, world_from_camera)
        hits = self._hits(rays)
        found, depth = hits.found, hits.depth_m
        colour = np.full((len(rays), 3), NOTHING_RGB, np.float32)
        footprint = depth[found] / np.float32(camera.fx)
        directions = rays[found, 3:]
        points = rays[0, :3] + directions * depth[found, None]
        colour[found] = self._shade(points, directions, hits.triangle, hits.uv, footprint)
        return colour, depth, hits.instance

    def _hits(self, rays: Float32) -> _Hits:
        hit = self._scene.cast_rays(self._tensor(rays), nthreads=1)
        depth = hit["t_hit"].numpy()
        found = np.flatnonzero(np.isfinite(depth))
        triangle = hit["primitive_ids"].numpy()[found].astype(np.int32)
        instance = np.zeros(len(rays), np.int32)
        instance[found] = self._instance[triangle]
        depth = np.where(np.isfinite(depth), depth, np.float32(np.nan))
        return _Hits(depth, instance, found, triangle, hit["primitive_uvs"].numpy()[found])

    def _shade(
        self,
        points: Float32,
        directions: Float32,
        triangle: NDArray[np.int32],
        uv: Float32,
        footprint_m: Float32,
    ) -> Float32:
        corners = np.take(self._corners, triangle, axis=0)
        blend = corners[:, 0] + uv[:, :1] * (corners[:, 1] - corners[:, 0])
        blend += uv[:, 1:] * (corners[:, 2] - corners[:, 0])
        normal, local = blend[:, :3], blend[:, 3:]
        to_eye = -directions / _length(directions)
        normal *= np.sign(_dot(normal, to_eye)) / np.maximum(_length(normal), 1e-9)
        paint = self._paint[triangle]
        albedo = self._palette.albedo(paint, local, footprint_m)
        return np.clip(self._lit(points, normal, to_eye, albedo, self._palette.gloss[paint]), 0, 1)

    def _lit(
        self, points: Float32, normal: Float32, to_eye: Float32, albedo: Float32, gloss: Float32
    ) -> Float32:
        light = np.broadcast_to(self._lighting.ambient, albedo.shape) * (0.9 + 0.1 * normal[:, 2:])
        shine = np.zeros((len(points), 1), np.float32)
        for index, lamp in enumerate(self._lighting.lights):
            to_lamp = lamp.position - points
            to_lamp /= _length(to_lamp)
            facing = np.maximum(_dot(normal, to_lamp), 0)
            if index == 0:
                facing *= self._lit_by(lamp, points, normal)
            light += facing * lamp.rgb
            half = to_lamp + to_eye
            half /= np.maximum(_length(half), 1e-6)
            shine += np.maximum(_dot(normal, half), 0) ** 48 * (facing > 0)
        return albedo * light + gloss[:, None] * 0.7 * shine

    def _lit_by(self, lamp: Light, points: Float32, normal: Float32) -> Float32:
        """(N, 1) 1 where the lamp sees the point, 0 in shadow."""
        start = points + 2e-3 * normal
        rays = self._tensor(np.concatenate([start, lamp.position - start], axis=1))
        blocked = self._scene.test_occlusions(rays, tfar=0.98, nthreads=1).numpy()
        return (~blocked).astype(np.float32)[:, None]


def _rays(in_camera: Float32, world_from_camera: Float) -> Float32:
    """(N, 6) origins and directions in the world of (N, 3) directions in the camera."""
    rays = np.empty((len(in_camera), 6), np.float32)
    rays[:, :3] = world_from_camera[:3, 3]
    rays[:, 3:] = in_camera @ world_from_camera[:3, :3].T.astype(np.float32)
    return rays


def _dot(a: Float32, b: Float32) -> Float32:
    return np.einsum("nd,nd->n", a, b)[:, None]


def _length(a: Float32) -> Float32:
    return np.sqrt(_dot(a, a))


def _edges(instance: NDArray[np.int32], depth_m: Float32) -> NDArray[np.bool_]:
    """(H, W) pixels whose right or lower neighbour is another instance, on either side."""
    edge = np.zeros(instance.shape, bool)
    for axis in (0, 1):
        first = [slice(None), slice(None)]
        second = [slice(None), slice(None)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(first), tuple(second)
        jump = np.abs(depth_m[a] - depth_m[b]) > 0.04 * depth_m[a]
        differs = (instance[a] != instance[b]) | jump
        edge[a] |= differs
        edge[b] |= differs
    return edge
