"""One object as a planner wants it: cloud, box, what it stands on, and a watertight mesh.

The mesh is where the winding number of the cloud passes 1/2 (`winding.py`). It follows the surface
where it was seen and closes what was not seen by a sheet between the edges. Underneath, the object
is taken to reach down to the plane it stands on, over the convex hull of its lowest part. What is
guessed in this way is marked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from semantic_field_ros.export.winding import point_areas, winding_number
from semantic_field_ros.queries.masks import gravity_box
from semantic_field_ros.types import Mask3D, OrientedBox, SurfaceCloud

Float = NDArray[np.float64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: the plane under an object is looked for this far around it and below it, metres.
AROUND_M, BELOW_M = 0.08, 0.12
#: and up to this far above the object's lowest point, metres.
ABOVE_M = 0.015
#: a level holds this share of the upward surface around an object, or it is no support.
LEVEL_SHARE = 0.2
#: points this near belong to the same level, and levels are this far apart, metres.
LEVEL_M, APART_M = 0.004, 0.015
#: how often the plane is fitted to what lies near it.
REFITS = 3
#: cosine of the steepest surface that things stand on, and of the steepest plane.
UPWARD, LEVEL_COSINE = 0.8, 0.97
#: upward surface of the object this near to its plane is the plane's, metres.
SPILL_M = 0.006
#: the object's footprint is that of its lowest part, this high, metres.
FOOT_M = 0.025
#: most cells in which the winding number is evaluated, cells of margin, and the finest cell in
#: spacings of the cloud.
MOST_CELLS, MARGIN_CELLS, CELL_SPACINGS = 60_000, 3, 0.8
#: a cloud of more points is merged in larger voxels before it is closed.
MOST_POINTS = 2500
#: mesh farther from the cloud than this many spacings is a guess.
SEEN_SPACINGS = 2.0
#: loose parts of the mesh with a smaller share of its triangles are noise.
SMALLEST_PART = 0.1


@dataclass(frozen=True)
class SupportPlane:
    """What an object stands on: the points p with normal · p + offset_m = 0.

    Attributes:
        normal: (3,) f64 unit, upwards, map frame.
        offset_m: metres.
        seen: False if nothing was seen to stand on: then it is level, at the lowest point.
    """

    normal: Float
    offset_m: float
    seen: bool

    def heights(self, points: NDArray[np.floating]) -> Float:
        """(N,) metres above the plane of (N, 3) points."""
        return np.asarray(points, np.float64) @ self.normal + self.offset_m


@dataclass(frozen=True)
class ObjectModel:
    """An object, in metres in the map frame.

    Attributes:
        points: (M, 3) f32 what was seen of it, without what the mask has of its support.
        normals: (M, 3) f32 unit, outwards.
        rgb: (M, 3) u8.
        box: gravity-aligned box around the mesh.
        support: what it stands on.
        vertices: (V, 3) f32 of the watertight mesh.
        triangles: (T, 3) i32, counter-clockwise seen from outside.
        vertex_normals: (V, 3) f32 unit, outwards.
        seen: (V,) bool, False where the mesh is a guess.
    """

    points: Floats
    normals: Floats
    rgb: NDArray[np.uint8]
    box: OrientedBox
    support: SupportPlane
    vertices: Floats
    triangles: NDArray[np.int32]
    vertex_normals: Floats
    seen: Bools


def model_object(surface: SurfaceCloud, mask: Mask3D) -> ObjectModel:
    """The object that a mask of this surface shows.

    Raises:
        ValueError: a mask of another map version, an empty one, or one that holds nothing above
            its support.
    """
    if mask.map_version != surface.map_version:
        raise ValueError(
            f"the mask must be of map version {surface.map_version}, got {mask.map_version}"
        )
    if len(mask.indices) == 0:
        raise ValueError("a mask must hold points of the surface, got none")
    support = support_plane(surface, mask.indices)
    points, normals = surface.points[mask.indices], surface.normals[mask.indices]
    height_m = support.heights(points)
    lying = (normals @ support.normal.astype(np.float32) > UPWARD) & (height_m < SPILL_M)
    own = np.flatnonzero((height_m > 0) & ~lying)
    if len(own) < 4:
        raise ValueError(f"a mask of {len(points)} points holds nothing above its support")
    points, normals = points[own], normals[own]
    spacing_m = float(np.median(surface.spacing_m[mask.indices]))
    mesh = closed_mesh(points, normals, support, spacing_m)
    vertices = np.asarray(mesh.vertices, np.float32)
    far_m = cKDTree(points).query(vertices)[0]
    return ObjectModel(
        points=points,
        normals=normals,
        rgb=surface.rgb[mask.indices][own],
        box=gravity_box(vertices),
        support=support,
        vertices=vertices,
        triangles=np.asarray(mesh.triangles, np.int32),
        vertex_normals=np.asarray(mesh.vertex_normals, np.float32),
        seen=far_m <= SEEN_SPACINGS * spacing_m,
    )


def support_plane(surface: SurfaceCloud, indices: NDArray[np.int64]) -> SupportPlane:
    """The highest level surface beside and not above (M,) points that one would stand on."""
    points = surface.points[indices]
    low, high = points.min(axis=0), points.max(axis=0)
    bottom = float(np.quantile(points[:, 2], 0.02))
    near = np.ones(len(surface.points), np.bool_)
    near[indices] = False
    near &= (surface.points[:, :2] >= low[:2] - AROUND_M).all(axis=1)
    near &= (surface.points[:, :2] <= high[:2] + AROUND_M).all(axis=1)
    near &= surface.normals[:, 2] > UPWARD
    height = surface.points[:, 2]
    near &= (height > bottom - BELOW_M) & (height < bottom + ABOVE_M)
    around = surface.points[near].astype(np.float64)
    level = _highest_level(around[:, 2]) if len(around) else None
    if level is None:
        return SupportPlane(np.array([0.0, 0.0, 1.0]), -float(low[2]), seen=False)
    return _fitted(around, level)


def _highest_level(height: Float) -> float | None:
    """The highest of the heights at which points are dense; haze above a level is no level."""
    ordered = np.sort(height)

    def within(reach_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return (
            np.searchsorted(ordered, ordered - reach_m),
            np.searchsorted(ordered, ordered + reach_m, side="right"),
        )

    first, last = within(LEVEL_M)
    count = last - first
    enough = count >= max(LEVEL_SHARE * len(height), 8)
    densest = [count[a:b].max() for a, b in zip(*within(APART_M), strict=True)]
    levels = np.flatnonzero(enough & (count == densest))
    return float(ordered[levels[-1]]) if len(levels) else None


def _fitted(points: Float, level: float) -> SupportPlane:
    """The plane of least squares through the points at a level, or a level one if it is steep."""
    normal, offset_m = np.array([0.0, 0.0, 1.0]), -level
    for _ in range(REFITS):
        near = points[np.abs(points @ normal + offset_m) < LEVEL_M]
        if len(near) < 8:
            break
        middle = near.mean(axis=0)
        axes = np.linalg.svd(near - middle, full_matrices=False)[2]
        upright = axes[-1] if axes[-1][2] > 0 else -axes[-1]
        if upright[2] < LEVEL_COSINE:
            break
        normal, offset_m = upright, -float(upright @ middle)
    return SupportPlane(normal, offset_m, seen=True)


def closed_mesh(
    points: Floats, normals: Floats, support: SupportPlane, spacing_m: float
) -> o3d.geometry.TriangleMesh:
    """A watertight mesh with vertex normals around (M, 3) points with (M, 3) outward normals."""
    points, normals, spacing_m = _thinned(points, normals, spacing_m)
    areas = point_areas(points, normals, spacing_m)
    spacing_m = max(spacing_m, float(np.sqrt(np.median(areas))))
    foot = footprint(points, support, spacing_m)
    areas = np.concatenate([areas, np.full(len(foot), spacing_m**2)])
    sources = np.concatenate([points, foot.astype(np.float32)])
    outward = np.concatenate([normals, np.tile(-support.normal, (len(foot), 1))])
    low, high = sources.min(axis=0), sources.max(axis=0)
    finest = float(np.prod(high - low + spacing_m) / MOST_CELLS) ** (1 / 3)
    cell_m = max(CELL_SPACINGS * spacing_m, finest)
    origin = low - MARGIN_CELLS * cell_m
    counts = np.ceil((high - low) / cell_m).astype(int) + 2 * MARGIN_CELLS + 1
    index = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    cells = (origin + cell_m * index.reshape(-1, 3)).astype(np.float32)
    inside = winding_number(cells, sources, outward * areas[:, None], spacing_m / 2)
    # Nothing of it is below what it stands on.
    inside = np.minimum(inside, 0.5 + support.heights(cells) / (2 * cell_m))
    grid = inside.reshape(counts).astype(np.float32)
    for axis in range(3):  # closed at the edges of the grid, whatever happens
        np.moveaxis(grid, axis, 0)[[0, -1]] = 0
    volume = o3d.core.Tensor.from_numpy(np.ascontiguousarray(grid.transpose(2, 1, 0)))
    mesh = o3d.t.geometry.TriangleMesh.create_isosurfaces(volume, [0.5]).to_legacy()
    mesh.vertices = o3d.utility.Vector3dVector(np.asarray(mesh.vertices) * cell_m + origin)
    return _without_crumbs(mesh)


def _thinned(points: Floats, normals: Floats, spacing_m: float) -> tuple[Floats, Floats, float]:
    """At most about `MOST_POINTS` of one side each, and their spacing."""
    while len(points) > MOST_POINTS:
        spacing_m *= max(1.1, float(np.sqrt(len(points) / MOST_POINTS)))
        facing = np.argmax(np.abs(normals), axis=1)
        side = 2 * facing + (np.take_along_axis(normals, facing[:, None], 1)[:, 0] > 0)
        voxel = np.column_stack([np.floor(points / spacing_m).astype(np.int64), side])
        _, owner, count = np.unique(voxel, axis=0, return_inverse=True, return_counts=True)
        owner = owner.ravel()
        points, normals = (
            np.stack([np.bincount(owner, column) / count for column in values.T], axis=1).astype(
                np.float32
            )
            for values in (points, normals)
        )
        normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return points, normals, spacing_m


def _without_crumbs(mesh: o3d.geometry.TriangleMesh) -> o3d.geometry.TriangleMesh:
    if len(mesh.triangles) == 0:
        raise ValueError("the points enclose no volume")
    part, count, _ = mesh.cluster_connected_triangles()
    sizes = np.asarray(count)
    mesh.remove_triangles_by_mask((sizes < SMALLEST_PART * sizes.max())[np.asarray(part)])
    mesh.remove_unreferenced_vertices()
    mesh.compute_vertex_normals()
    return mesh


def footprint(points: Floats, support: SupportPlane, spacing_m: float) -> Float:
    """(F, 3) points a spacing apart, and half of one below the support, under the object.

    They cover the convex hull of its lowest part, as far as there is something of it above.
    """
    low = points[support.heights(points) < FOOT_M]
    low = low if len(low) >= 8 else points
    corner, end = low[:, :2].min(axis=0), low[:, :2].max(axis=0)
    axes = [np.arange(a, b + spacing_m, spacing_m) for a, b in zip(corner, end, strict=True)]
    flat = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    try:
        sides = ConvexHull(low[:, :2]).equations
    except QhullError:  # all in a line
        return np.zeros((0, 3))
    flat = flat[(flat @ sides[:, :2].T + sides[:, 2] <= 0).all(axis=1)]
    if len(flat):
        flat = flat[cKDTree(points[:, :2]).query(flat)[0] < 2.5 * spacing_m]
    normal = support.normal
    height = -(flat @ normal[:2] + support.offset_m) / normal[2]
    return np.column_stack([flat, height - spacing_m / 2])
