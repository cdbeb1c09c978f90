import functools
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from semantic_field_ros.config import SurfaceConfig
from semantic_field_ros.field.surface import SurfaceBuilder
from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import Keyframe, PinholeCamera

WORLD_CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
NO_DEPTH = {"depth_m": None}
SENSOR_OR_FIELD = pytest.mark.parametrize("measured", [True, False])


@functools.cache
def truth():
    """Frames of a table with sensor noise, their true poses, and what rays hit."""
    import open3d as o3d

    source = SyntheticSource("table", 1003, frames=16, camera=WORLD_CAMERA)
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    for mesh in source.world.meshes.values():
        scene.add_triangles(
            o3d.core.Tensor(mesh.vertices.astype(np.float32)),
            o3d.core.Tensor(mesh.triangles.astype(np.uint32)),
        )
    frames = list(source)
    return source, scene, frames, [source.truth(frame.stamp_ns)[0] for frame in frames]


def cast(origins, directions):
    import open3d as o3d

    rays = np.concatenate([origins, directions], axis=1).astype(np.float32)
    return truth()[1].cast_rays(o3d.core.Tensor(rays), nthreads=1)["t_hit"].numpy()


def soft_field(rng):
    """A field like a trained one: blurred over half a pixel's width, with noise of 2 mm."""

    def render(origins, directions):
        depths = []
        for _ in range(4):
            blur = rng.normal(0, 0.5 / WORLD_CAMERA.fx, directions.shape)
            depths.append(cast(origins, directions + blur))
        depth = np.mean(depths, axis=0) + rng.normal(0, 0.002, len(origins))
        return depth.astype(np.float32), np.isfinite(depth).astype(np.float32)

    return render


@functools.cache
def table(measured):
    """A surface of the built-in table by the sensor or by a field, and the box it is in."""
    source, _, frames, poses = truth()
    named = [source.world.meshes[o.id].vertices for o in source.world.objects if o.is_object]
    low, high = np.concatenate(named).min(0) - 0.3, np.concatenate(named).max(0) + 0.3
    made = SurfaceBuilder(SurfaceConfig(stride_px=2), low, high)
    views = [
        Keyframe(i, replace(frame, world_from_camera=pose, **({} if measured else NO_DEPTH)))
        for i, (frame, pose) in enumerate(zip(frames, poses, strict=True))
    ]
    made.refresh(views, soft_field(np.random.default_rng(0)))
    return made.cloud(1), low, high


@SENSOR_OR_FIELD
def test_the_cloud_lies_on_the_true_surface(measured):
    import open3d as o3d

    cloud, low, high = table(measured)
    distance_m = truth()[1].compute_distance(o3d.core.Tensor(cloud.points), nthreads=1).numpy()
    assert (distance_m < 0.01).mean() >= 0.97
    assert ((cloud.points >= low) & (cloud.points <= high)).all()


@SENSOR_OR_FIELD
def test_the_cloud_covers_what_was_seen(measured):
    source, _, _, poses = truth()
    cloud, _, _ = table(measured)
    points, _ = source.world.sample_surface(3000, np.random.default_rng(1))
    seen = np.zeros(len(points), bool)
    for pose in poses:
        pixel, depth = project(WORLD_CAMERA, pose, points)
        origins = np.broadcast_to(pose[:3, 3], points.shape)
        free = cast(origins, points - origins) * depth > depth - 0.003
        seen |= free & inside_image(WORLD_CAMERA, pixel, depth)
    assert seen.sum() > 1000
    distance_m, _ = cKDTree(cloud.points).query(points[seen])
    assert (distance_m < 0.02).mean() >= 0.95


@SENSOR_OR_FIELD
def test_normals_are_unit_and_face_a_camera(measured):
    cloud, _, _ = table(measured)
    eyes = np.array([pose[:3, 3] for pose in truth()[3]])
    towards = eyes[None] - cloud.points[:, None]
    facing_some = (np.einsum("nkd,nd->nk", towards, cloud.normals) > 0).any(axis=1)
    assert facing_some.mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-4)
