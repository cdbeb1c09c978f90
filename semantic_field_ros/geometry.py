"""Rigid transforms, the pinhole model and rays, in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import PinholeCamera

Float = NDArray[np.float64]


def invert_rigid(b_from_a: Float) -> Float:
    """a_from_b of a (4, 4) rigid transform."""
    rotation, translation = b_from_a[:3, :3], b_from_a[:3, 3]
    a_from_b = np.eye(4)
    a_from_b[:3, :3] = rotation.T
    a_from_b[:3, 3] = -rotation.T @ translation
    return a_from_b


def transform_points(b_from_a: Float, points_a: NDArray[np.floating]) -> NDArray[np.floating]:
    """Moves (..., 3) points from frame a to frame b; keeps the dtype."""
    moved = points_a @ b_from_a[:3, :3].T + b_from_a[:3, 3]
    return moved.astype(points_a.dtype, copy=False)


def pinhole(intrinsics: Float, width: int, height: int) -> PinholeCamera:
    """The camera of an intrinsic matrix, (3, 3) or larger, for images of a size in pixels."""
    fx, fy, cx, cy = (float(intrinsics[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return PinholeCamera(width, height, fx, fy, cx, cy)


def pixel_grid(width: int, height: int) -> NDArray[np.float32]:
    """(H·W, 2) f32 pixel centres (u, v), row by row."""
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([u.ravel(), v.ravel()], axis=1)


def camera_rays(camera: PinholeCamera, pixel: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, 3) directions in the camera frame with z = 1 through (N, 2) pixels."""
    x = (pixel[:, 0] - camera.cx) / camera.fx
    y = (pixel[:, 1] - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float32)


def world_rays(
    camera: PinholeCamera, world_from_camera: Float, pixel: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Origins and directions (N, 3) f32 in the world; origin + depth·direction is the point."""
    directions = camera_rays(camera, pixel) @ world_from_camera[:3, :3].T.astype(np.float32)
    origins = np.broadcast_to(world_from_camera[:3, 3].astype(np.float32), directions.shape)
    return origins, directions


def unproject(
    camera: PinholeCamera,
    world_from_camera: Float,
    pixel: NDArray[np.floating],
    depth_m: NDArray[np.floating],
) -> NDArray[np.float32]:
    """(N, 3) world points at (N,) depths along the optical axis through (N, 2) pixels."""
    origins, directions = world_rays(camera, world_from_camera, pixel)
    return origins + directions * np.asarray(depth_m, np.float32)[:, None]


def project(
    camera: PinholeCamera, world_from_camera: Float, points_world: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels (N, 2) and depths (N,) of world points; behind the camera depth is <= 0."""
    in_camera = transform_points(invert_rigid(world_from_camera), points_world)
    depth = in_camera[:, 2]
    safe = np.where(depth > 1e-9, depth, 1e-9)
    u = in_camera[:, 0] / safe * camera.fx + camera.cx
    v = in_camera[:, 1] / safe * camera.fy + camera.cy
    return np.stack([u, v], axis=1).astype(np.float32), depth.astype(np.float32)


def inside_image(
    camera: PinholeCamera, pixel: NDArray[np.floating], depth_m: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """(N,) whether projected points fall on the sensor, in front of it."""
    u, v = pixel[:, 0], pixel[:, 1]
    on_sensor = (u > -0.5) & (u < camera.width - 0.5) & (v > -0.5) & (v < camera.height - 0.5)
    return on_sensor & (depth_m > 0)


def look_at(eye: NDArray[np.floating], target: NDArray[np.floating]) -> Float:
    """world_from_camera (4, 4) of a level camera at `eye` looking at `target` (world z is up)."""
    forward = np.asarray(target, np.float64) - np.asarray(eye, np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = np.array([1.0, 0.0, 0.0]) if np.linalg.norm(right) < 1e-6 else right
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(forward, right), forward
    pose[:3, 3] = eye
    return pose


def interpolate_pose(world_from_a: Float, world_from_b: Float, share: float) -> Float:
    """The pose (4, 4) at `share` in [0, 1] of the way from a to b.

    Position moves in a straight line, orientation turns about one axis at a constant rate (slerp).
    """
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(world_from_a[:3, :3].T @ world_from_b[:3, :3])
    pose = np.eye(4)
    partial = Rotation.from_rotvec(share * turn.as_rotvec()).as_matrix()
    pose[:3, :3] = world_from_a[:3, :3] @ partial
    pose[:3, 3] = (1 - share) * world_from_a[:3, 3] + share * world_from_b[:3, 3]
    return pose


def rotation_angle_rad(world_from_a: Float, world_from_b: Float) -> float:
    """Angle between the orientations of two poses."""
    cosine = (np.trace(world_from_a[:3, :3].T @ world_from_b[:3, :3]) - 1) / 2
    return float(np.arccos(np.clip(cosine, -1.0, 1.0)))


def quaternion_from_matrix(rotation: Float) -> Float:
    """(4,) x y z w of a (3, 3) rotation, w >= 0."""
    from scipy.spatial.transform import Rotation

    quaternion = Rotation.from_matrix(rotation[:3, :3]).as_quat()
    return quaternion if quaternion[3] >= 0 else -quaternion


def pose_from_quaternion(translation: Float, quaternion_xyzw: Float) -> Float:
    """(4, 4) rigid transform.

    Raises:
        ValueError: the quaternion is not finite or its length is off 1 by more than 1 %.
    """
    from scipy.spatial.transform import Rotation

    length = float(np.linalg.norm(quaternion_xyzw))
    if not np.isfinite(length) or abs(length - 1) > 1e-2:
        raise ValueError(f"quaternion must have length 1, got {length}")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quaternion_xyzw).as_matrix()
    pose[:3, 3] = translation
    return pose


def nearest_points(
    points: NDArray[np.float32], places: NDArray[np.floating]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(M,) distances and (M,) indices of the nearest of (N, 3) points, N >= 1, to (M, 3) places.

    For few places, each in one look at all points: a search tree takes longer to be built than
    thirty looks. Many are better asked with one.
    """
    index = np.zeros(len(places), np.int64)
    distance = np.zeros(len(places), np.float32)
    for number, place in enumerate(np.asarray(places, np.float32)):
        apart = points - place
        squared = np.einsum("ij,ij->i", apart, apart)
        index[number] = squared.argmin()
        distance[number] = np.sqrt(squared[index[number]])
    return distance, index
