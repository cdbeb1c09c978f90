"""A checkered box on nothing, seen from all sides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest

from semantic_field_ros.export.mesh import cut_out, export_mesh, fuse_mesh, tidy, write_mesh
from semantic_field_ros.export.mesh_views import MeshView
from semantic_field_ros.export.texture import TILE_TEXELS, atlas_corners
from semantic_field_ros.geometry import look_at, pixel_grid, world_rays
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.types import PinholeCamera, SurfaceCloud

CAMERA = PinholeCamera(96, 72, 90.0, 90.0, 47.5, 35.5)
HALF_M = 0.25


def view_of_box(eye: np.ndarray) -> MeshView:
    """Of an axis-aligned cube around the origin: red for x > 0, blue elsewhere."""
    pose = look_at(eye, np.zeros(3))
    origins, directions = world_rays(CAMERA, pose, pixel_grid(96, 72))
    with np.errstate(divide="ignore"):
        low, high = (-HALF_M - origins) / directions, (HALF_M - origins) / directions
    enter, leave = np.minimum(low, high).max(axis=1), np.maximum(low, high).min(axis=1)
    depth_m = np.where(enter < leave, enter, np.nan).astype(np.float32)
    hit = origins + directions * np.nan_to_num(depth_m)[:, None]
    red = np.where(hit[:, 0] > 0, 220, 20)
    rgb = np.stack([red, np.full(len(red), 20), 240 - red], axis=1).astype(np.uint8)
    return MeshView(CAMERA, pose, rgb.reshape(72, 96, 3), CAMERA, depth_m.reshape(72, 96))


@pytest.fixture(scope="module")
def views() -> list[MeshView]:
    turns = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    return [view_of_box(np.array([np.cos(t), np.sin(t), h])) for t in turns for h in (0.6, -0.6)]


@pytest.fixture(scope="module")
def mesh(views: list[MeshView]) -> o3d.geometry.TriangleMesh:
    return fuse_mesh(views, 0.02)


def box_surface() -> SurfaceCloud:
    """Points on the cube's faces, 2 cm apart."""
    line = np.arange(-HALF_M, HALF_M + 1e-6, 0.02)
    a, b = (axis.ravel() for axis in np.meshgrid(line, line))
    face = np.stack([a, b, np.full_like(a, HALF_M)], axis=1)
    sides = [s * np.roll(face, shift, axis=1) for s in (-1, 1) for shift in range(3)]
    points = np.concatenate(sides).astype(np.float32)
    grey = np.zeros((len(points), 3), np.uint8)
    return SurfaceCloud(points, points, grey, np.full(len(points), 0.02, np.float32), {}, 3)


def test_the_mesh_is_the_box_in_metres(mesh: o3d.geometry.TriangleMesh) -> None:
    vertices = np.asarray(mesh.vertices)
    reach_m = np.quantile(np.abs(vertices), 0.99, axis=0)
    np.testing.assert_allclose(reach_m, HALF_M, atol=0.035)
    # Vertices lie on the faces of the cube.
    assert np.abs(np.abs(vertices).max(axis=1) - HALF_M).mean() < 0.008
    # Six faces of half a metre; what a TSDF rounds off at edges is little.
    assert mesh.get_surface_area() == pytest.approx(6 * 0.5**2, rel=0.1)


def test_a_mask_cuts_its_part_out(mesh: o3d.geometry.TriangleMesh) -> None:
    surface = box_surface()
    front = np.flatnonzero(surface.points[:, 0] > HALF_M - 1e-3)
    mask = make_mask(surface, front, np.ones(len(front), np.float32), "front", 1.0)
    part = cut_out(mesh, surface, [mask])
    assert np.asarray(part.vertices)[:, 0].min() > HALF_M - 0.06
    assert part.get_surface_area() == pytest.approx(0.5**2, rel=0.2)
    assert len(part.triangles) < len(mesh.triangles)  # and the whole stays whole


def test_masks_of_another_map_or_on_nothing_are_refused(
    mesh: o3d.geometry.TriangleMesh,
) -> None:
    surface = box_surface()
    ones = np.ones(4, np.float32)
    mask = make_mask(surface, np.arange(4), ones, "", 1.0)
    moved = SurfaceCloud(
        surface.points + 9, surface.normals, surface.rgb, surface.spacing_m, {}, 3
    )
    with pytest.raises(ValueError, match="on no part of the mesh"):
        cut_out(mesh, moved, [mask])
    newer = SurfaceCloud(surface.points, surface.normals, surface.rgb, surface.spacing_m, {}, 4)
    with pytest.raises(ValueError, match="map version 4, got 3"):
        cut_out(mesh, newer, [mask])


def test_crumbs_go_and_a_lone_small_piece_stays() -> None:
    small = o3d.geometry.TriangleMesh.create_box(0.1, 0.1, 0.1)
    assert len(tidy(small, 0.02).triangles) == 12
    large = o3d.geometry.TriangleMesh.create_sphere(0.5, resolution=10)
    count = len(large.triangles)
    assert len(tidy(large + small.translate((5, 0, 0)), 0.02).triangles) == count


def test_very_many_triangles_become_few_without_moving_the_surface() -> None:
    sphere = o3d.geometry.TriangleMesh.create_sphere(0.5, resolution=170)
    assert len(sphere.triangles) > 100_000
    tidied = tidy(sphere, 0.005)
    assert len(tidied.triangles) <= 20_000
    radius_m = np.linalg.norm(np.asarray(tidied.vertices), axis=1)
    np.testing.assert_allclose(radius_m, 0.5, atol=0.003)
    assert tidied.get_surface_area() == pytest.approx(np.pi, rel=0.01)


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_triangles_have_their_own_places_in_the_texture(count: int) -> None:
    corners, side = atlas_corners(count)
    assert corners.shape == (count, 3, 2)
    assert side % TILE_TEXELS == 0 and side**2 < 4 * TILE_TEXELS**2 * max(count, 2)
    taken = np.zeros((side, side), int)
    v, u = np.mgrid[:side, :side] + 0.5
    for triangle in corners * side:
        (x0, y0), (x1, _), (_, y2) = triangle
        # Right triangles with legs along the axes: inside where both shares add up to at most 1.
        s, t = (u - x0) / (x1 - x0), (v - y0) / (y2 - y0)
        taken += (s >= 0) & (t >= 0) & (s + t <= 1)
    assert taken.max() == 1


def with_pixels(view: MeshView, count: int) -> MeshView:
    """The view with no more than the first pixels that show anything."""
    depth_m = view.depth_m.copy()
    depth_m.ravel()[np.flatnonzero(np.isfinite(depth_m))[count:]] = np.nan
    return replace(view, depth_m=depth_m)


@pytest.mark.parametrize("pixels", [0, 1, 60])
def test_next_to_nothing_seen_makes_no_mesh(pixels: int, tmp_path: Path) -> None:
    view = with_pixels(view_of_box(np.array([1.0, 0, 0.6])), pixels)
    with pytest.raises(ValueError, match=r"^the map shows too little surface .* what=surface$"):
        export_mesh(tmp_path / "box.glb", box_surface(), [view, view])
    assert not list(tmp_path.iterdir())


def test_a_view_of_next_to_nothing_spoils_no_mesh(views: list[MeshView]) -> None:
    mesh = fuse_mesh([*views, with_pixels(views[0], 1)], 0.02)
    assert mesh.get_surface_area() == pytest.approx(6 * 0.5**2, rel=0.1)


@pytest.mark.parametrize("name", ["box.glb", "box.obj"])
def test_what_is_written_can_be_read_with_its_texture(
    mesh: o3d.geometry.TriangleMesh, views: list[MeshView], tmp_path: Path, name: str
) -> None:
    tidied = tidy(mesh.simplify_quadric_decimation(600), 0.02)
    write_mesh(tmp_path / name, tidied, views)
    read = o3d.t.io.read_triangle_mesh(str(tmp_path / name))
    assert len(read.triangle.indices) == len(tidied.triangles)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    picture = read.material.texture_maps["albedo"].as_tensor().numpy()[..., :3].astype(int)
    corners = read.triangle.texture_uvs.numpy().mean(axis=1) * picture.shape[0]
    u, v = np.floor(corners).astype(int).T
    colour = picture[picture.shape[0] - 1 - v, u]  # v points up in both formats
    middle = read.vertex.positions.numpy()[read.triangle.indices.numpy()].mean(axis=1)
    red, blue = colour[:, 0] - colour[:, 2] > 60, colour[:, 2] - colour[:, 0] > 60
    assert red[middle[:, 0] > 0.05].mean() > 0.9
    assert blue[middle[:, 0] < -0.05].mean() > 0.9


def test_other_formats_are_refused(views: list[MeshView], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.glb.*got 'box\.stl'"):
        export_mesh(tmp_path / "box.stl", box_surface(), views)
