"""Whether a grasp would come off, by the exact meshes of everything.

The gripper's boxes are swept along the way in and tested against every triangle by separating
axes (Akenine-Möller 2001); then the fingers close along rays from their pads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray

from semantic_field_ros.export.gripper import Grasp, Gripper

Float = NDArray[np.float64]

#: the way in is this long, metres.
WAY_M = 0.1
#: rays leave a pad this far apart, metres.
RAY_M = 0.002
#: rays this near to the first contact touch as well, metres.
TOUCH_M = 0.001


@dataclass(frozen=True)
class Box:
    """low, high: (3,) corners in the frame of the grasp, metres."""

    low: Float
    high: Float


@dataclass(frozen=True)
class Verdict:
    """How a grasp went.

    Attributes:
        closes: both fingers close on the object and nothing else was touched.
        reason: why not; empty if it closes.
        cosine: of the less square contact's normal with the closing direction; NaN if it does
            not close.
        push_m: how far the finger that comes first pushes the object before the other one comes.
    """

    closes: bool
    reason: str
    cosine: float = float("nan")
    push_m: float = float("nan")


class ExactScene:
    """The meshes of a world, by instance id: (V, 3) vertices and (T, 3) triangles, metres."""

    def __init__(self, meshes: Mapping[int, tuple[Float, NDArray[np.int32]]]) -> None:
        self._corners = {i: vertices[faces] for i, (vertices, faces) in meshes.items()}
        self._low = {i: corners.min(axis=1) for i, corners in self._corners.items()}
        self._high = {i: corners.max(axis=1) for i, corners in self._corners.items()}
        self._meshes = dict(meshes)
        self._rays: dict[int, o3d.t.geometry.RaycastingScene] = {}

    def check(self, grasp: Grasp, gripper: Gripper, target: int) -> Verdict:
        """Moves in, closes, and tells what happened."""
        pose = grasp.world_from_grasp
        half_m = grasp.opening_m / 2
        for box in approach_boxes(gripper, half_m):
            touched = self.touched(pose, box)
            if touched:
                what = "the object" if target in touched else "something else"
                return Verdict(False, f"hits {what} on the way in")
        travel_m, cosines = [], []
        rays = self.surface(target)
        for side in (-1.0, 1.0):
            contact = _first_contact(rays, pose, gripper, half_m, side)
            if contact is None:
                return Verdict(False, "a finger meets nothing")
            travel_m.append(contact[0])
            cosines.append(contact[1])
        width_m = grasp.opening_m - sum(travel_m)
        if not gripper.min_opening_m <= width_m:
            return Verdict(False, "the fingers meet each other")
        for side, way_m in zip((-1.0, 1.0), travel_m, strict=True):
            if self.touched(pose, closing_box(gripper, half_m, way_m, side)) - {target}:
                return Verdict(False, "hits something else while closing")
        return Verdict(True, "", min(cosines), abs(travel_m[0] - travel_m[1]) / 2)

    def touched(self, world_from_box: Float, box: Box) -> set[int]:
        """Ids of the instances that a box of this frame cuts."""
        rotation, origin = world_from_box[:3, :3], world_from_box[:3, 3]
        middle = rotation @ ((box.low + box.high) / 2) + origin
        reach = np.abs(rotation) @ ((box.high - box.low) / 2)
        found = set()
        for i, corners in self._corners.items():
            near = (self._low[i] <= middle + reach).all(axis=1)
            near &= (self._high[i] >= middle - reach).all(axis=1)
            if near.any() and boxes_cut((corners[near] - origin) @ rotation, box).any():
                found.add(i)
        return found

    def surface(self, instance: int) -> o3d.t.geometry.RaycastingScene:
        """Of one instance alone, for rays and distances."""
        if instance not in self._rays:
            vertices, faces = self._meshes[instance]
            scene = self._rays[instance] = o3d.t.geometry.RaycastingScene()
            scene.add_triangles(
                o3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices, np.float32)),
                o3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, np.uint32)),
            )
        return self._rays[instance]


def _first_contact(
    surface: o3d.t.geometry.RaycastingScene,
    pose: Float,
    gripper: Gripper,
    half_m: float,
    side: float,
) -> tuple[float, float] | None:
    """Travel of a finger to the object and the mean cosine there; None if it meets none."""
    y = np.arange(-gripper.finger_width_m / 2, gripper.finger_width_m / 2 + 1e-9, RAY_M)
    z = np.arange(-gripper.finger_length_m, 1e-9, RAY_M)
    across, along = (axis.ravel() for axis in np.meshgrid(y, z))
    start = np.stack([np.full(across.size, side * half_m), across, along], axis=1)
    inwards = np.tile([-side, 0.0, 0.0], (len(start), 1))
    rotation = pose[:3, :3]
    rays = np.concatenate([start @ rotation.T + pose[:3, 3], inwards @ rotation.T], axis=1)
    cast = surface.cast_rays(o3d.core.Tensor.from_numpy(rays.astype(np.float32)))
    travel_m = cast["t_hit"].numpy()
    first_m = float(travel_m.min())
    if first_m > 2 * half_m:
        return None
    normals = cast["primitive_normals"].numpy()[travel_m <= first_m + TOUCH_M]
    return first_m, float(np.abs(normals @ rotation[:, 0]).mean())


def approach_boxes(gripper: Gripper, half_m: float) -> list[Box]:
    """Fingers and palm of a gripper opened by 2 · `half_m`, swept back along the way in."""
    thick, width = gripper.finger_thickness_m, gripper.finger_width_m / 2
    palm_x = gripper.max_opening_m / 2 + thick
    palm_z = -gripper.finger_length_m
    return [
        Box(np.array([-half_m - thick, -width, palm_z - WAY_M]), np.array([-half_m, width, 0.0])),
        Box(np.array([half_m, -width, palm_z - WAY_M]), np.array([half_m + thick, width, 0.0])),
        Box(
            np.array([-palm_x, -gripper.palm_width_m / 2, palm_z - gripper.palm_depth_m - WAY_M]),
            np.array([palm_x, gripper.palm_width_m / 2, palm_z]),
        ),
    ]


def closing_box(gripper: Gripper, half_m: float, travel_m: float, side: float) -> Box:
    """What the finger at this side sweeps while it closes by `travel_m`."""
    x = side * np.array([half_m - travel_m, half_m + gripper.finger_thickness_m])
    width = gripper.finger_width_m / 2
    low = np.array([x.min(), -width, -gripper.finger_length_m])
    return Box(low, np.array([x.max(), width, 0.0]))


def boxes_cut(triangles: Float, box: Box) -> NDArray[np.bool_]:
    """(T,) whether (T, 3, 3) triangles touch a box whose edges are along the axes.

    Box and triangle are apart if they are along one of 13 axes: the box's edges, the triangle's
    normal, and the cross products of their edges (Akenine-Möller 2001).
    """
    half = (box.high - box.low) / 2
    corners = triangles - (box.high + box.low) / 2
    edges = np.roll(corners, -1, axis=1) - corners
    faces = np.broadcast_to(np.eye(3), (len(corners), 3, 3))
    normal = np.cross(edges[:, 0], edges[:, 1])[:, None]
    crossed = np.cross(np.eye(3)[None, :, None], edges[:, None]).reshape(-1, 9, 3)
    axes = np.concatenate([faces, normal, crossed], axis=1)  # [T, 13, 3]
    along = np.einsum("tkc,tac->tak", corners, axes)  # [T, 13, 3 corners]
    reach = np.abs(axes) @ half
    apart = (along.min(axis=2) > reach) | (along.max(axis=2) < -reach)
    return ~apart.any(axis=1)
