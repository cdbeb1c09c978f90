"""Places that go where the map goes when poses of its keyframes are corrected late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.geometry import inside_image, invert_rigid, project
from semantic_field_ros.keyframes.memory import KeyframeView

#: so many points of a thing tell which keyframe shows it best.
MOST_POINTS = 256
#: a keyframe shows a point whose distance from it is what it sees there: metres, and per metre.
TOLERANCE_M, TOLERANCE_SHARE = 0.02, 0.03


@dataclass(frozen=True)
class Anchor:
    """A keyframe that shows a thing.

    Attributes:
        keyframe_id, stamp_ns: which one.
        world_from_camera: (4, 4) f64, its pose when the thing was where it is said to be.
    """

    keyframe_id: int
    stamp_ns: int
    world_from_camera: NDArray[np.float64]

    def now(self, views: Mapping[int, KeyframeView]) -> KeyframeView | None:
        """The keyframe, from those that are held by id; None if it is gone.

        Ids begin anew where another map is loaded, stamps do not.
        """
        view = views.get(self.keyframe_id)
        return view if view is not None and view.stamp_ns == self.stamp_ns else None

    def new_from_old(self, view: KeyframeView) -> NDArray[np.float64]:
        """(4, 4) motion in the world of what the keyframe shows, given where it is now."""
        return view.world_from_camera @ invert_rigid(self.world_from_camera)


def anchor_of(
    points: NDArray[np.floating],
    views: Mapping[int, KeyframeView],
    depths: Iterable[KeyframeDepth],
) -> Anchor | None:
    """The keyframe that shows most of (N, 3) points of a thing, N >= 1; None if none shows any.

    Args:
        points: in the map frame, metres.
        views: the keyframes that are held, by id.
        depths: what they see, of the map that the points are of.
    """
    some = points[:: -(-len(points) // MOST_POINTS)]
    shown = [(_shown(some, seen), seen) for seen in depths if seen.keyframe_id in views]
    count, best = max(shown, key=lambda item: item[0], default=(0, None))
    if best is None or not count:
        return None
    stamp_ns = views[best.keyframe_id].stamp_ns
    return Anchor(best.keyframe_id, stamp_ns, best.world_from_camera)


def _shown(points: NDArray[np.floating], seen: KeyframeDepth) -> int:
    """How many of (N, 3) points lie on what a keyframe sees."""
    pixel, depth_m = project(seen.camera, seen.world_from_camera, points)
    inside = inside_image(seen.camera, pixel, depth_m)
    column, row = np.rint(pixel[inside]).astype(np.int64).T
    apart_m = np.abs(seen.depth_m[row, column] - depth_m[inside])  # NaN, and no match, in fog
    return int((apart_m <= TOLERANCE_M + TOLERANCE_SHARE * depth_m[inside]).sum())
