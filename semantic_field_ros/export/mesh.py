"""A triangle mesh of the map, or of what masks cover, with its texture.

Rendered depth of the keyframes is fused into a truncated signed distance (Curless and Levoy 1996,
by Open3D) and cut at its zero: unlike a Poisson surface this leaves open what nobody has seen. The
texture (`texture.py`) is what the cameras saw.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import open3d as o3d
from scipy.spatial import cKDTree

from semantic_field_ros.export.mesh_views import MeshView
from semantic_field_ros.export.texture import atlas_corners, paint
from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.types import Mask3D, PinholeCamera, SurfaceCloud

SUFFIXES = (".glb", ".obj")
#: more triangles are thinned out to this many.
MOST_TRIANGLES = 20_000
#: this many times as many are merged in cells of this many voxels first, which leaves a third.
MANY, CELL_VOXELS = 4, 1.5
#: pieces of fewer triangles are noise.
LEAST_TRIANGLES = 50
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


def fuse_mesh(views: Sequence[MeshView], voxel_m: float) -> Mesh:
    """The surface that the views agree on, in metres in the map frame, with vertex colours.

    Raises:
        ValueError: they show none, or too little.
    """
    kinds = (o3d.core.float32,) * 3
    channels = [o3d.core.SizeVector([count]) for count in (1, 1, 3)]
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), kinds, channels, voxel_m, BLOCK_VOXELS, BLOCKS
    )
    fused = 0
    for view in views:
        height, width = view.depth_m.shape
        colour = cv2.resize(view.rgb, (width, height), interpolation=cv2.INTER_AREA)
        depth = o3d.t.geometry.Image(np.ascontiguousarray(np.nan_to_num(view.depth_m)))
        image = o3d.t.geometry.Image(np.ascontiguousarray(colour, np.float32) / np.float32(255))
        lens = _intrinsics(view.depth_camera)
        pose = o3d.core.Tensor.from_numpy(invert_rigid(view.world_from_camera))
        reach = (1.0, FARTHEST_M, BAND_VOXELS)
        try:
            blocks = grid.compute_unique_block_coordinates(depth, lens, pose, *reach)
        except RuntimeError:  # Open3D's word for a view with hardly any depth
            continue
        grid.integrate(blocks, depth, image, lens, lens, pose, *reach)
        fused += 1
    agreed = float(min(LEAST_VIEWS, fused)) - 0.5
    mesh = grid.extract_triangle_mesh(weight_threshold=agreed).to_legacy() if fused else Mesh()
    if not mesh.has_triangles():
        raise ValueError(
            f"the map shows too little surface for a mesh ({fused} of {len(views)} keyframes show "
            "any): let it train on and see more, or export the points with what=surface"
        )
    return mesh


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


def tidy(mesh: Mesh, voxel_m: float) -> Mesh:
    """Without crumbs, and with at most `MOST_TRIANGLES`.

    Contracting edges in the order of their cost takes seconds where there are many. Merging what
    lies in the same cell first halves that, and is as near to the original in the end.

    Args:
        mesh: as `fuse_mesh` makes it.
        voxel_m: of which it was made.
    """
    piece, count, _ = mesh.cluster_connected_triangles()
    sizes = np.asarray(count)
    crumbs = sizes < min(LEAST_TRIANGLES, sizes.max())
    tidied = Mesh(mesh)
    tidied.remove_triangles_by_mask(crumbs[np.asarray(piece)])
    if len(tidied.triangles) > MANY * MOST_TRIANGLES:
        tidied = tidied.simplify_vertex_clustering(
            CELL_VOXELS * voxel_m, o3d.geometry.SimplificationContraction.Quadric
        )
    if len(tidied.triangles) > MOST_TRIANGLES:
        tidied = tidied.simplify_quadric_decimation(MOST_TRIANGLES)
    tidied.remove_degenerate_triangles()
    tidied.remove_unreferenced_vertices()
    return tidied


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
    voxel_m = VOXEL_SPACINGS * float(np.median(surface.spacing_m))
    mesh = fuse_mesh(views, voxel_m)
    if masks:
        mesh = cut_out(mesh, surface, masks)
    write_mesh(path, tidy(mesh, voxel_m), views)


def write_mesh(path: Path, mesh: Mesh, views: Sequence[MeshView]) -> None:
    """Writes a mesh with a texture of what the views saw of it.

    A .glb is one file; an .obj comes with an .mtl and a .png of its name.
    """
    textured = o3d.t.geometry.TriangleMesh.from_legacy(mesh)
    triangles = np.asarray(mesh.triangles)
    corners = np.asarray(mesh.vertices, np.float32)[triangles]
    colours = np.full_like(corners, 0.5)
    if mesh.has_vertex_colors():
        colours = np.asarray(mesh.vertex_colors, np.float32)[triangles]
    places, _ = atlas_corners(len(triangles))
    textured.triangle.texture_uvs = o3d.core.Tensor.from_numpy(places)
    textured.material.set_default_properties()
    textured.material.material_name = "defaultLit"
    textured.material.texture_maps["albedo"] = o3d.t.geometry.Image(paint(corners, colours, views))
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
