"""Spatial relations between masks, from their points and their gravity-aligned boxes.

"Left", "right", "in front" and "behind" are as a person standing at the reference camera would
say them: left is towards the left of the image; in front is nearer to the camera along the floor,
whichever is higher, and in about the same direction. Of two things behind the camera the nearer is
in front as well, as if that person had turned round; of one ahead and one behind neither is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.queries.base import Relation
from semantic_field_ros.semantics.base import Region
from semantic_field_ros.types import Mask3D

Floats = NDArray[np.floating]

#: near is within this, or within the size of the thing, metres.
NEAR_M = 0.25
#: what stands on something touches it within this, metres.
TOUCH_M = 0.04
#: of the answers to a phrase, those this much below the best one are other things, as a rule.
AS_GOOD = 0.1
#: quarters of the surroundings of a foot in which there must be ground.
LEAST_QUARTERS = 3
#: share of one thing's points that must be below or inside the other.
MOST = 0.5
#: what is inside something has it on this many of its six sides.
LEAST_WALLS = 3
#: what is in front of or behind something is less than this beside it, as seen by the camera.
BESIDE_RAD = np.radians(30)


def candidates(regions: list[Region]) -> list[Region]:
    """The regions, best first, that are about as good as the best.

    What answers a phrase poorly is something else, and must not become the answer because it
    happens to stand in the right place.
    """
    return [region for region in regions if region.score >= regions[0].score - AS_GOOD]


def keep_related(
    masks: list[Mask3D],
    anchors: list[Mask3D],
    relation: Relation,
    world_from_camera: NDArray[np.float64],
) -> list[Mask3D]:
    """The masks that stand in the relation to at least one anchor, in their order.

    Args:
        masks: candidates.
        anchors: what they are related to.
        relation: which relation.
        world_from_camera: (4, 4), from where "left of" and the like are said.
    """
    return [
        mask
        for mask in masks
        if any(holds(relation, mask, anchor, world_from_camera) for anchor in anchors)
    ]


def holds(
    relation: Relation, mask: Mask3D, anchor: Mask3D, world_from_camera: NDArray[np.float64]
) -> bool:
    """Whether `mask` stands in the relation to `anchor`; nothing does to itself."""
    if len(np.intersect1d(mask.indices, anchor.indices)) > MOST * len(mask.indices):
        return False
    if relation.relation in _IN_WORLD:
        return _IN_WORLD[relation.relation](mask, anchor)
    ours, theirs = (_on_floor(m.points, world_from_camera) for m in (mask, anchor))
    axis, sign = _IN_VIEW[relation.relation]
    if axis == _AWAY:
        turned = _is_behind(mask.points, ours, world_from_camera)
        if turned != _is_behind(anchor.points, theirs, world_from_camera):
            return False
        if turned:
            ours, theirs = -ours, -theirs
        if _angle_between(ours, theirs) > BESIDE_RAD:
            return False
    return _before(sign * ours[:, axis], sign * theirs[:, axis])


def _on_floor(points: Floats, world_from_camera: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) metres to the right of a camera and away from it, along the floor."""
    # Where the camera looks; the more it looks straight down or up, where a person who does so
    # faces: to the top of the picture, or to its bottom.
    down, ahead = world_from_camera[:3, 1], world_from_camera[:3, 2]
    forward = (ahead + ahead[2] * down)[:2]
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    right = np.array([forward[1], -forward[0]])
    offset = points[:, :2].astype(np.float64) - world_from_camera[:2, 3]
    return np.stack([offset @ right, offset @ forward], axis=1)


def _is_behind(points: Floats, on_floor: Floats, world_from_camera: NDArray[np.float64]) -> bool:
    """Whether a thing is behind a camera: where it does not look, and along the floor as well.

    A camera that looks down sees what is behind its foot; one that looks up has the floor ahead
    of it behind its image.
    """
    depth_m = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, 2]
    return bool(np.median(depth_m) < 0 and np.median(on_floor[:, _AWAY]) < 0)


def _angle_between(ours: Floats, theirs: Floats) -> float:
    """Radians between the directions in which two things are seen; negative if they overlap."""
    (low, high), (other_low, other_high) = (
        np.quantile(np.arctan2(side[:, _RIGHT], side[:, _AWAY]), (0.1, 0.9))
        for side in (ours, theirs)
    )
    return float(max(low - other_high, other_low - high))


def _before(ours: Floats, theirs: Floats) -> bool:
    """Whether one interval lies before another: its middle before all but a tenth of the other."""
    return bool(np.median(ours) < np.quantile(theirs, 0.1))


def _near(mask: Mask3D, anchor: Mask3D) -> bool:
    distance_m, _ = cKDTree(anchor.points).query(mask.points)
    return bool(distance_m.min() <= max(NEAR_M, float(mask.box.size.max())))


def _on(mask: Mask3D, anchor: Mask3D) -> bool:
    """The anchor is at the height of the mask's foot, on most sides of it, and lower than it."""
    foot_m = mask.box.centre[2] - mask.box.size[2] / 2
    around = _in_box(anchor.points, mask)
    ground = np.abs(anchor.points[:, 2] - foot_m) <= TOUCH_M
    reach = mask.box.size[:2] / 2 + TOUCH_M
    ground &= (np.abs(around[:, :2]) <= reach).all(axis=1)
    quarters = np.unique((around[ground, :2] > 0) @ np.array([2, 1]))
    if len(quarters) < LEAST_QUARTERS:
        return False
    return bool(mask.points[:, 2].mean() > anchor.points[ground, 2].mean())


def _under(mask: Mask3D, anchor: Mask3D) -> bool:
    """The anchor stands on it; or most of it is under the anchor's box, and below its parts."""
    if _on(anchor, mask):
        return True
    covered = np.abs(_in_box(mask.points, anchor)[:, :2]) <= anchor.box.size[:2] / 2
    if covered.all(axis=1).mean() <= MOST:
        return False
    above = np.abs(_in_box(anchor.points, mask)[:, :2]) <= mask.box.size[:2] / 2
    cover_m = anchor.points[above.all(axis=1), 2]
    if len(cover_m) == 0:
        return False
    return bool((mask.points[:, 2] < np.median(cover_m)).mean() > MOST)


def _inside(mask: Mask3D, anchor: Mask3D) -> bool:
    """Most of the mask lies in the anchor's box, with the anchor on some sides of it."""
    local = np.abs(_in_box(mask.points, anchor))
    if (local <= anchor.box.size / 2).all(axis=1).mean() <= MOST:
        return False
    return _walls(mask, anchor) >= LEAST_WALLS


def _walls(mask: Mask3D, anchor: Mask3D) -> int:
    """On how many of its six sides a mask has parts of the anchor, near or far."""
    around = _in_box(anchor.points, mask) / np.maximum(mask.box.size / 2, TOUCH_M / 2)
    walls = 0
    for axis in range(3):
        facing = (np.delete(np.abs(around), axis, axis=1) <= 1).all(axis=1)
        walls += int((around[facing, axis] > MOST).any())
        walls += int((around[facing, axis] < -MOST).any())
    return walls


def _in_box(points: Floats, mask: Mask3D) -> NDArray[np.float64]:
    """(N, 3) world points in the axes of the mask's box, from its centre."""
    _, _, z, w = mask.box.quaternion
    cosine, sine = np.cos(2 * np.arctan2(z, w)), np.sin(2 * np.arctan2(z, w))
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    turned: NDArray[np.float64] = (points - mask.box.centre) @ rotation
    return turned


_IN_WORLD: dict[str, Callable[[Mask3D, Mask3D], bool]] = {
    "near": _near,
    "on": _on,
    "under": _under,
    "inside": _inside,
}
_RIGHT, _AWAY = 0, 1
#: axis along the floor, and its sign such that the one that is so comes first.
_IN_VIEW = {
    "left_of": (_RIGHT, 1),
    "right_of": (_RIGHT, -1),
    "in_front_of": (_AWAY, 1),
    "behind": (_AWAY, -1),
}
