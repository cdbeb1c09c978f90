"""What cameras saw, painted onto the triangles of a mesh.

Every triangle has its own corner of a square atlas, always of the same shape, so that the place of
each texel on the surface is known without searching: a texel's colour is the mean of what all
views that see its triangle show there, weighted by how finely they resolve it. A chart for each
object part would be prettier to paint on, and takes minutes to find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from semantic_field_ros.export.mesh_views import MeshView
from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.types import PinholeCamera

#: texels per side of the square that two triangles share, and those between it and the next.
TILE_TEXELS, GUTTER_TEXELS = 16, 1
#: a triangle is not seen at a steeper angle than this cosine.
LEAST_COSINE = 0.15
#: nor where something else lies in the first part of the way to it.
FREE_SHARE = 0.985
#: weights are this power of the number of pixels that a piece of surface fills.
SHARPNESS = 2.0

Floats = NDArray[np.float32]


def atlas_corners(count: int) -> tuple[Floats, int]:
    """Where triangles lie in a square texture: two in a tile, one in either corner of it.

    Returns:
        (count, 3, 2) texture coordinates in [0, 1] and the texture's side in texels.
    """
    columns = _columns(count)
    side = columns * TILE_TEXELS
    corner = np.stack([_corners(False), _corners(True)])[np.arange(count) % 2]
    return ((_tile_origins(count, columns)[:, None] + corner) / side).astype(np.float32), side


def paint(corners: Floats, corner_colours: Floats, views: Sequence[MeshView]) -> NDArray[np.uint8]:
    """(side, side, 3) u8 texture of (T, 3, 3) triangles, laid out as `atlas_corners` says.

    Rows go down, as in image files: texture coordinate v is at row side·(1 - v).

    Args:
        corners: (T, 3, 3) the triangles' corners, world frame.
        corner_colours: (T, 3, 3) in [0, 1], for triangles that no view sees.
        views: what is painted.
    """
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    weights = [_weights(corners, normals, view) for view in views]
    hidden = _occluder(corners)
    for view, weight in zip(views, weights, strict=True):
        facing = np.flatnonzero(weight > 0)
        weight[facing[hidden(view.world_from_camera[:3, 3], corners[facing])]] = 0
    columns = _columns(len(corners))
    origins = _tile_origins(len(corners), columns)
    texture = np.zeros((columns * TILE_TEXELS, columns * TILE_TEXELS, 3), np.uint8)
    for second in (False, True):
        own = np.arange(int(second), len(corners), 2)
        texel, share = _texels(second)
        own_weights = [weight[own] for weight in weights]
        painted = _painted(corners[own], corner_colours[own], share, views, own_weights)
        column, row = (origins[own][:, None] + texel).transpose(2, 0, 1)
        texture[len(texture) - 1 - row, column] = painted
    return texture


def _columns(count: int) -> int:
    """Tiles per side of the atlas of some triangles."""
    return max(1, math.ceil(math.sqrt((count + 1) // 2)))


def _corners(second: bool) -> NDArray[np.float64]:
    """(3, 2) of a triangle in its tile, in texels; the second's mirror the first's."""
    low, high = GUTTER_TEXELS + 0.5, TILE_TEXELS - GUTTER_TEXELS - 0.5
    # Both legs end short of the diagonal, or neighbours would bleed into each other.
    short = high - 2 * GUTTER_TEXELS
    first = np.array([[low, low], [short, low], [low, short]])
    return TILE_TEXELS - first if second else first


def _tile_origins(count: int, columns: int) -> NDArray[np.int64]:
    """(count, 2) first column and row of each triangle's tile."""
    tile = np.arange(count) // 2
    return np.stack([tile % columns, tile // columns], axis=1) * TILE_TEXELS


def _texels(second: bool) -> tuple[NDArray[np.int64], Floats]:
    """(K, 2) columns and rows of a triangle's half of its tile, and (K, 3) the shares of its
    corners at their centres; beyond its edges, where a filter reaches, some are negative."""
    column, row = (axis.ravel() for axis in np.meshgrid(*[np.arange(TILE_TEXELS)] * 2))
    upper = column + row >= TILE_TEXELS
    own = upper if second else ~upper
    texel = np.stack([column[own], row[own]], axis=1)
    a, b, c = _corners(second)
    legs = np.stack([b - a, c - a], axis=1)
    along = np.linalg.solve(legs, (texel + 0.5 - a).T).T
    shares = np.concatenate([1 - along.sum(axis=1, keepdims=True), along], axis=1)
    return texel, shares.astype(np.float32)


def _weights(corners: Floats, normals: Floats, view: MeshView) -> Floats:
    """(T,) how finely a view resolves each triangle; 0 where it looks away or past it."""
    camera_from_world = invert_rigid(view.world_from_camera).astype(np.float32)
    pixel, depth_m = _project(corners, camera_from_world, view.camera)
    size = np.array([view.camera.width - 1, view.camera.height - 1], np.float32)
    shown = (depth_m > 0) & ((pixel >= 0) & (pixel <= size)).all(axis=2)
    inside = np.flatnonzero(shown.all(axis=1))
    inside = inside[_has_depth(view, pixel[inside].mean(axis=1))]
    towards = view.world_from_camera[:3, 3].astype(np.float32) - corners.mean(axis=1)
    distance_m = np.maximum(np.linalg.norm(towards, axis=1), 1e-6)
    cosine = (normals * towards).sum(axis=1) / distance_m
    resolved = np.maximum(cosine, 0) * (view.camera.fx / distance_m) ** 2
    weight = np.zeros(len(corners), np.float32)
    weight[inside] = np.where(cosine > LEAST_COSINE, resolved**SHARPNESS, 0)[inside]
    return weight


def _has_depth(view: MeshView, pixel: Floats) -> NDArray[np.bool_]:
    """(N,) whether a view shows surface at (N, 2) pixels of its image."""
    camera, depth = view.camera, view.depth_camera
    column = np.rint((pixel[:, 0] - camera.cx) * (depth.fx / camera.fx) + depth.cx)
    row = np.rint((pixel[:, 1] - camera.cy) * (depth.fy / camera.fy) + depth.cy)
    column, row = column.clip(0, depth.width - 1), row.clip(0, depth.height - 1)
    return np.isfinite(view.depth_m[row.astype(np.int64), column.astype(np.int64)])


def _occluder(corners: Floats) -> Callable[[NDArray[np.float64], Floats], NDArray[np.bool_]]:
    """Tells which of some triangles are hidden from a place by any triangle."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=0)
    count = len(corners)
    number = np.arange(3 * count, dtype=np.uint32).reshape(count, 3)
    as_tensor = o3d.core.Tensor.from_numpy
    scene.add_triangles(as_tensor(corners.reshape(-1, 3)), as_tensor(number))

    def hidden(place: NDArray[np.float64], some: Floats) -> NDArray[np.bool_]:
        inner = 0.8 * some + 0.2 * some.mean(axis=1, keepdims=True)
        origin = np.broadcast_to(place.astype(np.float32), inner.shape)
        rays = np.concatenate([origin, inner - origin], axis=2)
        found = scene.test_occlusions(as_tensor(rays), tnear=0.0, tfar=FREE_SHARE)
        return np.asarray(found.numpy().any(axis=1))

    return hidden


def _painted(
    corners: Floats,
    corner_colours: Floats,
    share: Floats,
    views: Sequence[MeshView],
    weights: Sequence[Floats],
) -> NDArray[np.uint8]:
    """(T, K, 3) colours of K texels of each triangle."""
    colour = np.zeros((len(corners), len(share), 3), np.float32)
    total = np.zeros(len(corners), np.float32)
    for view, weight in zip(views, weights, strict=True):
        seen = np.flatnonzero(weight)
        if len(seen) == 0:
            continue
        camera_from_world = invert_rigid(view.world_from_camera).astype(np.float32)
        pixel, _ = _project(share @ corners[seen], camera_from_world, view.camera)
        u, v = np.moveaxis(pixel, 2, 0)
        shown = cv2.remap(view.rgb, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colour[seen] += weight[seen, None, None] * shown
        total[seen] += weight[seen]
    unseen = total == 0
    colour[unseen] = 255 * (share.clip(0, 1) @ corner_colours[unseen])
    colour /= np.where(unseen, 1, total)[:, None, None]
    return np.rint(colour.clip(0, 255)).astype(np.uint8)


def _project(
    points: Floats, camera_from_world: Floats, camera: PinholeCamera
) -> tuple[Floats, Floats]:
    """(..., 2) pixels and (...) depth of (..., 3) points."""
    local = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    depth_m = local[..., 2]
    scale = np.array([camera.fx, camera.fy], np.float32) / np.maximum(depth_m, 1e-6)[..., None]
    centre = np.array([camera.cx, camera.cy], np.float32)
    return (local[..., :2] * scale + centre).astype(np.float32), depth_m
