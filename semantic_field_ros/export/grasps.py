"""Antipodal grasps of an object for a parallel gripper, free of everything else in the map.

Closing directions are proposed along normals of the object's mesh (Nguyen 1988: two opposite
contacts hold if the line between them lies in both friction cones), and approaches turn about
them. Each proposal is fitted as a gripper would be: what lies between the fingers gives width,
middle and contact normals (the closing region of ten Pas et al. 2017), and the fingers and the
palm, swept back along the approach, must be free of object, map and support.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d as o3d
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.export.gripper import Grasp, GraspWishes, Gripper
from semantic_field_ros.export.object_model import ObjectModel
from semantic_field_ros.types import SurfaceCloud

Float = NDArray[np.float64]
Floats = NDArray[np.float32]

#: closing directions that are tried, if these gave enough grasps, or else, and approaches about
#: each.
PROPOSALS, ENOUGH, MOST_PROPOSALS, APPROACHES = 120, 10, 400, 12
#: how far the fingertips reach beyond the contacts, in lengths of the finger.
DEPTHS = (0.1, 0.25, 0.4, 0.6)
#: openings that are tried for each.
OPENINGS = 8
#: points of the object this near to the outermost one touch the pad, metres, and how many must.
CONTACT_M, CONTACT_POINTS = 0.004, 2
#: least cosine between a contact's normal and the closing direction: friction of about 0.6.
FRICTION_COSINE = 0.85
#: surface this near to the object's mesh is the object's own; this near above its support is the
#: support's, metres.
SKIN_M, GROUND_M = 0.006, 0.008
#: points with no more than so many (themselves included) within this many spacings are haze.
HAZE_POINTS, BESIDE_SPACINGS = 4, 2.0
#: how long the way in is, metres.
WAY_M = 0.1
#: a grasp this near to a better one (metres), its axes turned by less than this cosine, says
#: nothing new.
NEAR_M, ALIKE_COSINE = 0.02, 0.9
#: distance from the object's middle at which a grasp is worth 1/e, metres.
LEVER_M = 0.08
#: more clearance than this makes no grasp better, metres.
AMPLE_M = 0.015


def plan_grasps(
    model: ObjectModel, surface: SurfaceCloud, gripper: Gripper, wishes: GraspWishes
) -> tuple[list[Grasp], str]:
    """Grasps of the object that touch nothing else on the surface, best first, or why none."""
    workspace = _Workspace(model, surface, gripper, wishes)
    closings = _proposals(model, gripper, wishes.clearance_m)
    found: list[Grasp] = []
    for number, (middle, closing) in enumerate(closings):
        if number >= PROPOSALS and len(found) >= ENOUGH:
            break
        for approach in _approaches(closing, wishes):
            rotation = np.stack([closing, np.cross(approach, closing), approach], axis=1)
            found += workspace.fits(middle, rotation)
    found.sort(key=lambda grasp: -grasp.score)
    if found:
        return _different(found, wishes.max_results), ""
    widest_m = gripper.max_opening_m - 2 * wishes.clearance_m
    if not closings:
        return [], f"nowhere are two opposite sides of it less than {widest_m:.3f} m apart"
    return [], f"the gripper has no room at any of {len(closings)} pairs of opposite sides"


def surroundings(
    model: ObjectModel, surface: SurfaceCloud, reach_m: float
) -> tuple[Floats, Floats]:
    """What the map shows above the support: on the object's mesh, and apart from it.

    Args:
        model: of the object.
        surface: of the map.
        reach_m: how far around the object counts.

    Returns:
        (A, 3) and (O, 3) points, metres.
    """
    middle = (model.vertices.min(axis=0) + model.vertices.max(axis=0)) / 2
    radius_m = float(np.linalg.norm(model.vertices - middle, axis=1).max())
    inside = np.linalg.norm(surface.points - middle, axis=1) < radius_m + reach_m
    near, spacing_m = surface.points[inside], float(np.median(surface.spacing_m[inside]))
    near = np.ascontiguousarray(near[model.support.heights(near) > GROUND_M], np.float32)
    if len(near) == 0:
        return near, near
    outside_m = _scene(model).compute_signed_distance(o3d.core.Tensor.from_numpy(near)).numpy()
    skin, apart = near[outside_m <= SKIN_M], near[outside_m > SKIN_M]
    return skin, apart[_beside(apart, BESIDE_SPACINGS * spacing_m) > HAZE_POINTS]


def _reach_m(gripper: Gripper, clearance_m: float) -> float:
    """How far from its contacts a gripper can meet anything on its way in."""
    aside_m = gripper.max_opening_m / 2 + gripper.finger_thickness_m
    across_m = max(gripper.palm_width_m, gripper.finger_width_m) / 2
    behind_m = gripper.finger_length_m + gripper.palm_depth_m + WAY_M
    return float(np.linalg.norm([aside_m, across_m, behind_m])) + clearance_m


def _beside(points: Floats, reach_m: float) -> NDArray[np.int64]:
    """(N,) how many points there are within reach of each, itself included."""
    tree = cKDTree(points)
    return np.asarray(tree.query_ball_point(points, reach_m, return_length=True), np.int64)


def _scene(model: ObjectModel) -> o3d.t.geometry.RaycastingScene:
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor.from_numpy(model.vertices),
        o3d.core.Tensor.from_numpy(model.triangles.astype(np.uint32)),
    )
    return scene


def _proposals(
    model: ObjectModel, gripper: Gripper, clearance_m: float
) -> list[tuple[Float, Float]]:
    """Middles between two opposite points of the mesh, and the direction, in random order."""
    start = model.vertices.astype(np.float64)
    normal = model.vertex_normals.astype(np.float64)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    up = model.support.normal
    level = normal - np.outer(normal @ up, up)
    length = np.linalg.norm(level, axis=1)
    sideways = (length > 0.2) & (length < 0.99)
    start = np.concatenate([start, start[sideways]])
    closing = np.concatenate([normal, level[sideways] / length[sideways, None]])
    inwards = np.concatenate([start - 1e-4 * closing, -closing], axis=1).astype(np.float32)
    through_m = _scene(model).cast_rays(o3d.core.Tensor.from_numpy(inwards))["t_hit"].numpy()
    fits = through_m < gripper.max_opening_m - 2 * clearance_m
    # A finger must fit under the lower contact.
    ends = np.stack([start, start - closing * np.where(fits, through_m, 0)[:, None]])
    lowest_m = np.min([model.support.heights(end) for end in ends], axis=0)
    under_m = np.abs(closing @ up) * gripper.finger_thickness_m
    fits &= lowest_m > under_m
    order = np.random.default_rng(0).permutation(np.flatnonzero(fits))[:MOST_PROPOSALS]
    return [(ends[:, i].mean(axis=0), closing[i]) for i in order]


def _approaches(closing: Float, wishes: GraspWishes) -> list[Float]:
    """Unit directions at right angles to the closing one, near enough to the preferred one."""
    preferred = wishes.direction
    first = preferred - (preferred @ closing) * closing
    if np.linalg.norm(first) < 1e-3:
        first = np.cross(closing, np.eye(3)[np.argmin(np.abs(closing))])
    first /= np.linalg.norm(first)
    second = np.cross(closing, first)
    turn = np.arange(APPROACHES) * (2 * np.pi / APPROACHES)
    around = np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second
    return list(around[around @ preferred >= np.cos(min(wishes.max_turn_rad, np.pi))])


@dataclass(frozen=True)
class _Closed:
    """The fingers closed on the object, in the axes of the grasp.

    Attributes:
        ends: (2, 3) contacts, metres.
        cosine: of the less square one's normal with the closing direction.
        seen: share of the less seen one that is no guess.
    """

    ends: Float
    cosine: float
    seen: float

    @property
    def middle_m(self) -> float:
        return float(self.ends[:, 0].mean())

    @property
    def width_m(self) -> float:
        return float(self.ends[1, 0] - self.ends[0, 0])


@dataclass(frozen=True)
class _Around:
    """Points near a proposal, in the axes of the grasp, about its middle.

    Attributes:
        pads: vertices of the object as far off the middle as the pads are wide.
        between: their positions.
        other: what is not the object's, in the way of the fingers.
        way: everything in the way of the fingers.
        behind: everything in the way of the palm.
    """

    pads: NDArray[np.int64]
    between: Floats
    other: Floats
    way: Floats
    behind: Floats


class _Workspace:
    """The object and what is around it, to fit grippers into."""

    def __init__(
        self, model: ObjectModel, surface: SurfaceCloud, gripper: Gripper, wishes: GraspWishes
    ) -> None:
        self._model, self._gripper, self._wishes = model, gripper, wishes
        self._middle = model.vertices.mean(axis=0).astype(np.float64)
        skin, self._obstacles = surroundings(model, surface, _reach_m(gripper, wishes.clearance_m))
        # What a mask has missed of the object is in the way all the same.
        self._own = np.concatenate([model.vertices, skin])

    def fits(self, middle: Float, rotation: Float) -> list[Grasp]:
        """Grasps with these axes whose contacts are about `middle`, one per depth that fits."""
        around = self._around(middle, rotation)
        found = []
        for depth in DEPTHS:
            tip_m = depth * self._gripper.finger_length_m
            closed = self._closed(around, rotation[:, 0], tip_m)
            if closed is None or self._palm_hits(around, closed, tip_m):
                continue
            half_m, margin_m = self._opened(around, closed, tip_m)
            pose = np.eye(4)
            pose[:3, :3] = rotation
            pose[:3, 3] = middle + rotation @ [closed.middle_m, 0.0, tip_m]
            margin_m = min(margin_m, self._lowest_m(pose, half_m))
            if margin_m >= self._wishes.clearance_m:
                contacts = middle + closed.ends @ rotation.T
                score = self._score(contacts, rotation, closed, margin_m)
                found.append(Grasp(pose, closed.width_m, 2 * half_m, score, contacts))
        return found

    def _around(self, middle: Float, rotation: Float) -> _Around:
        gripper, clear_m = self._gripper, self._wishes.clearance_m
        own = (self._own - middle.astype(np.float32)) @ rotation.astype(np.float32)
        other = (self._obstacles - middle.astype(np.float32)) @ rotation.astype(np.float32)
        own_off, other_off = np.abs(own[:, 1]), np.abs(other[:, 1])
        palm_m, finger_m = gripper.palm_width_m / 2, gripper.finger_width_m / 2
        pads = np.flatnonzero(own_off[: len(self._model.vertices)] <= finger_m)
        everything = np.concatenate([own, other])
        off = np.concatenate([own_off, other_off])
        return _Around(
            pads=pads,
            between=own[pads],
            other=other[other_off <= finger_m + clear_m],
            way=everything[off <= finger_m + clear_m],
            behind=everything[off <= palm_m + clear_m],
        )

    def _closed(self, around: _Around, closing: Float, tip_m: float) -> _Closed | None:
        """What the pads meet, None if they do not hold it."""
        gripper, own = self._gripper, around.between
        reached = (own[:, 2] <= tip_m) & (own[:, 2] >= tip_m - gripper.finger_length_m)
        reached &= np.abs(own[:, 0]) <= gripper.max_opening_m / 2
        between = np.flatnonzero(reached)
        if len(between) < 2 * CONTACT_POINTS:
            return None
        x = own[between, 0]
        low_m, high_m = float(x.min()), float(x.max())
        widest_m = gripper.max_opening_m - 2 * self._wishes.clearance_m
        if not gripper.min_opening_m <= high_m - low_m <= widest_m:
            return None
        ends, cosines, seen = [], [], []
        for end_m, sign in ((low_m, -1.0), (high_m, 1.0)):
            contact = between[np.abs(x - end_m) < CONTACT_M]
            if len(contact) < CONTACT_POINTS:
                return None
            vertices = around.pads[contact]
            ends.append([end_m, *own[contact, 1:].mean(axis=0)])
            cosines.append(sign * float((self._model.vertex_normals[vertices] @ closing).mean()))
            seen.append(float(self._model.seen[vertices].mean()))
        if min(cosines) < FRICTION_COSINE:
            return None
        return _Closed(np.array(ends, np.float64), min(cosines), min(seen))

    def _palm_hits(self, around: _Around, closed: _Closed, tip_m: float) -> bool:
        """Whether the palm meets anything on its way."""
        gripper, clear_m = self._gripper, self._wishes.clearance_m
        half_x = gripper.max_opening_m / 2 + gripper.finger_thickness_m + clear_m
        hit = around.behind[:, 2] <= tip_m - gripper.finger_length_m + clear_m
        return bool((hit & (np.abs(around.behind[:, 0] - closed.middle_m) <= half_x)).any())

    def _opened(self, around: _Around, closed: _Closed, tip_m: float) -> tuple[float, float]:
        """Half the opening with which the fingers stay farthest from everything, and how far."""
        gripper, clear_m = self._gripper, self._wishes.clearance_m
        least_m = closed.width_m / 2 + clear_m
        halves = np.linspace(least_m, gripper.max_opening_m / 2, OPENINGS)[:, None]
        way, other = around.way, around.other
        x_m = np.abs(way[way[:, 2] <= tip_m + clear_m, 0] - closed.middle_m)
        free_m = np.maximum(halves - x_m, x_m - halves - gripper.finger_thickness_m)
        margin_m = free_m.min(axis=1, initial=AMPLE_M)
        # What is between the fingers and not the object's would be squeezed.
        squeezed = other[:, 2] <= tip_m + clear_m
        squeezed &= other[:, 2] >= tip_m - gripper.finger_length_m
        nearest_m = np.abs(other[squeezed, 0] - closed.middle_m).min(initial=np.inf)
        margin_m[halves[:, 0] > nearest_m] = -np.inf
        best = int(np.argmax(margin_m))
        return float(halves[best, 0]), float(margin_m[best])

    def _lowest_m(self, world_from_grasp: Float, half_m: float) -> float:
        """Height above the support of the gripper's lowest corner, all the way."""
        gripper = self._gripper
        support = self._model.support
        tilt = np.abs(support.normal @ world_from_grasp[:3, :3])
        slope = float(support.normal @ world_from_grasp[:3, 2])
        origin_m = float(support.heights(world_from_grasp[:3, 3]))
        finger_x = half_m + gripper.finger_thickness_m
        finger_m = origin_m - tilt[:2] @ [finger_x, gripper.finger_width_m / 2]
        palm_x = gripper.max_opening_m / 2 + gripper.finger_thickness_m
        palm_m = origin_m - tilt[:2] @ [palm_x, gripper.palm_width_m / 2]
        back_m = gripper.finger_length_m + gripper.palm_depth_m + WAY_M
        heights_m = (
            finger_m,
            finger_m - slope * (gripper.finger_length_m + WAY_M),
            palm_m - slope * gripper.finger_length_m,
            palm_m - slope * back_m,
        )
        return float(min(heights_m))

    def _score(self, contacts: Float, rotation: Float, closed: _Closed, margin_m: float) -> float:
        """Square contacts on seen surface, room, near the object's middle, as wished."""
        offset = self._middle - contacts.mean(axis=0)
        lever_m = float(np.linalg.norm(offset - (offset @ rotation[:, 0]) * rotation[:, 0]))
        square = 0.4 + 0.6 * (closed.cosine - FRICTION_COSINE) / (1 - FRICTION_COSINE)
        room = 0.2 + 0.8 * min(margin_m / AMPLE_M, 1.0)
        middle = np.exp(-((lever_m / LEVER_M) ** 2))
        wish = 0.8 + 0.2 * float(rotation[:, 2] @ self._wishes.direction)
        return float(square * (0.2 + 0.8 * closed.seen) * room * middle * wish)


def _different(grasps: list[Grasp], most: int) -> list[Grasp]:
    """The best ones that are not nearly the same as a better one."""
    kept: list[Grasp] = []
    for grasp in grasps:
        pose = grasp.world_from_grasp
        if not any(_alike(pose, other.world_from_grasp) for other in kept):
            kept.append(grasp)
        if len(kept) == most:
            break
    return kept


def _alike(pose: Float, other: Float) -> bool:
    """Whether two grasp poses are nearly the same; a gripper turned half around is."""
    near = np.linalg.norm(pose[:3, 3] - other[:3, 3]) < NEAR_M
    closing, approach = pose[:3, 0] @ other[:3, 0], pose[:3, 2] @ other[:3, 2]
    return bool(near and abs(closing) > ALIKE_COSINE and approach > ALIKE_COSINE)
