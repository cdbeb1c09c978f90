"""A triangle mesh of the map, or of what masks cover, with its texture.

Rendered depth of the keyframes is fused into a truncated signed distance (Curless and Levoy 1996,
by Open3D) and cut at its zero: unlike a Poisson surface this leaves open what nobody has seen. The
texture is what the cameras saw, blended by Open3D on an atlas in which every triangle has its own
corner: a chart for each object part would be prettier to paint on, and takes minutes to find.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.types import Mask3D, PinholeCamera, SurfaceCloud

SUFFIXES = (".glb", ".obj")
#: more triangles are thinned out to this many.
MOST_TRIANGLES = 20_000
#: pieces of fewer triangles are noise.
LEAST_TRIANGLES = 50
#: texels per side of the square that two triangles share, and those between it and the next.
TILE_TEXELS, GUTTER_TEXELS = 16, 1
#: this many views must see a place, where there are as many: a single one extends surfaces beyond
#: their edges.
LEAST_VIEWS = 3
#: the distance is known this many voxels to either side of the surface.
BAND_VOXELS = 4.0
#: edge of a voxel in spacings of the surface.
VOXEL_SPACINGS = 2.0
#: voxels per side of the blocks in which they are kept, and blocks to begin with.
BLOCK_VOXELS, BLOCKS = 8, 4096
#: depth beyond this is not fused, metres.
FARTHEST_M = 30.0
#: a triangle belongs to a mask if the surface point nearest to its middle, in this many of the
#: point's spacings, does.
REACH_SPACINGS = 4.0

Mesh = o3d.geometry.TriangleMesh


@dataclass(frozen=True)
class MeshView:
    """What a keyframe contributes.

    Attributes:
        camera: intrinsics of `rgb`.
        world_from_camera: (4, 4) f64.
        rgb: (H, W, 3) u8 captured image.
        depth_m: (h, w) f32 rendered, of the same view at any size; NaN in empty space.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


def fuse_mesh(views: Sequence[MeshView], voxel_m: float) -> Mesh:
    """The surface that the views agree on, in metres in the map frame, with vertex colours.

    Raises:
        ValueError: they show none.
    """
    showing = [view for view in views if np.isfinite(view.depth_m).any()]
    if not showing:
        raise ValueError(f"no surface to make a mesh of in {len(views)} views")
    kinds = (o3d.core.float32,) * 3
    channels = [o3d.core.SizeVector([count]) for count in (1, 1, 3)]
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), kinds, channels, voxel_m, BLOCK_VOXELS, BLOCKS
    )
    for view in showing:
        height, width = view.depth_m.shape
        colour = cv2.resize(view.rgb, (width, height), interpolation=cv2.INTER_AREA)
        depth = o3d.t.geometry.Image(np.ascontiguousarray(np.nan_to_num(view.depth_m)))
        image = o3d.t.geometry.Image(np.ascontiguousarray(colour, np.float32) / np.float32(255))
        lens = _intrinsics(view.camera.scaled_to(width, height))
        pose = o3d.core.Tensor.from_numpy(invert_rigid(view.world_from_camera))
        reach = (1.0, FARTHEST_M, BAND_VOXELS)
        blocks = grid.compute_unique_block_coordinates(depth, lens, pose, *reach)
        grid.integrate(blocks, depth, image, lens, lens, pose, *reach)
    agreed = float(min(LEAST_VIEWS, len(showing))) - 0.5
    return grid.extract_triangle_mesh(weight_threshold=agreed).to_legacy()


def cut_out(mesh: Mesh, surface: SurfaceCloud, masks: Sequence[Mask3D]) -> Mesh:
    """The triangles that any of the masks covers.

    Raises:
        ValueError: masks of another map version than the surface, or on no part of the mesh.
    """
    for mask in masks:
        if mask.map_version != surface.map_version:
            raise ValueError(
                f"masks must be of map version {surface.map_version}, got {mask.map_version}"
            )
    chosen = np.zeros(len(surface.points), np.bool_)
    for mask in masks:
        chosen[mask.indices] = True
    middles = np.asarray(mesh.vertices)[np.asarray(mesh.triangles)].mean(axis=1)
    distance_m, nearest = cKDTree(surface.points).query(middles)
    inside = chosen[nearest] & (distance_m <= REACH_SPACINGS * surface.spacing_m[nearest])
    if not inside.any():
        raise ValueError("the masks lie on no part of the mesh")
    part = Mesh(mesh)
    part.remove_triangles_by_mask(~inside)
    part.remove_unreferenced_vertices()
    return part


def tidy(mesh: Mesh) -> Mesh:
    """Without crumbs, and with at most `MOST_TRIANGLES`."""
    piece, count, _ = mesh.cluster_connected_triangles()
    sizes = np.asarray(count)
    crumbs = sizes < min(LEAST_TRIANGLES, sizes.max())
    tidied = Mesh(mesh)
    tidied.remove_triangles_by_mask(crumbs[np.asarray(piece)])
    if len(tidied.triangles) > MOST_TRIANGLES:
        tidied = tidied.simplify_quadric_decimation(MOST_TRIANGLES)
    tidied.remove_degenerate_triangles()
    tidied.remove_unreferenced_vertices()
    return tidied


def atlas_corners(count: int) -> tuple[NDArray[np.float32], int]:
    """Where triangles lie in a square texture: two in a tile, one in either corner of it.

    Returns:
        (count, 3, 2) texture coordinates in [0, 1] and the texture's side in texels.
    """
    columns = max(1, math.ceil(math.sqrt((count + 1) // 2)))
    number = np.arange(count)
    tile, second = number // 2, (number % 2).astype(np.bool_)
    origin = np.stack([tile % columns, tile // columns], axis=1) * TILE_TEXELS
    low, high = GUTTER_TEXELS + 0.5, TILE_TEXELS - GUTTER_TEXELS - 0.5
    # Both legs end short of the diagonal, or neighbours would bleed into each other.
    short = high - 2 * GUTTER_TEXELS
    first_corner = np.array([[low, low], [short, low], [low, short]])
    other_corner = TILE_TEXELS - first_corner
    corner = np.where(second[:, None, None], other_corner, first_corner)
    side = columns * TILE_TEXELS
    return ((origin[:, None] + corner) / side).astype(np.float32), side


def export_mesh(
    path: Path,
    surface: SurfaceCloud,
    views: Sequence[MeshView],
    masks: Sequence[Mask3D] = (),
) -> None:
    """Writes the mesh of a map, or of what masks of it cover, with its texture.

    Args:
        path: ends in .glb or .obj.
        surface: of the map; its spacing says how fine the mesh may be.
        views: of the map.
        masks: of this surface; none = everything.

    Raises:
        ValueError: another suffix, no surface in the views, or masks that do not fit.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a mesh is written as one of {SUFFIXES}, got {path.name!r}")
    mesh = fuse_mesh(views, VOXEL_SPACINGS * float(np.median(surface.spacing_m)))
    if masks:
        mesh = cut_out(mesh, surface, masks)
    write_mesh(path, tidy(mesh), views)


def write_mesh(path: Path, mesh: Mesh, views: Sequence[MeshView]) -> None:
    """Writes a mesh with a texture of what the views saw of it.

    A .glb is one file; an .obj comes with an .mtl and a .png of its name.
    """
    textured = o3d.t.geometry.TriangleMesh.from_legacy(mesh)
    corners, side = atlas_corners(len(mesh.triangles))
    textured.triangle.texture_uvs = o3d.core.Tensor.from_numpy(corners)
    textured.project_images_to_albedo(
        [o3d.t.geometry.Image(np.ascontiguousarray(view.rgb)) for view in views],
        [_intrinsics(view.camera) for view in views],
        [o3d.core.Tensor.from_numpy(invert_rigid(view.world_from_camera)) for view in views],
        side,
        True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Files that belong together appear one after the other, the named one last.
        if not o3d.t.io.write_triangle_mesh(Path(folder) / path.name, textured):
            raise OSError(f"the mesh could not be written to {path}")
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.with_name(file.name))


def _intrinsics(camera: PinholeCamera) -> o3d.core.Tensor:
    matrix = [[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]]
    return o3d.core.Tensor.from_numpy(np.array(matrix))
