"""Pictures of a snapshot: colour, depth, and what is known about the surface, from any pose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.field.pictures import Rendered, render_image
from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.semantics.base import Region
from semantic_field_ros.stream.frames import check_view
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import PinholeCamera

LAYERS = ("rgb", "depth", "relevancy", "mask", "features")

#: a pixel shows the nearest surface point within this many of the point's spacings.
REACH_SPACINGS = 6
#: pixels of the largest picture; rays and layers take about 100 bytes of memory each.
MOST_PIXELS = 1 << 24


def looked_into(
    snapshot: Snapshot | None, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
) -> Snapshot:
    """The map, if there is one and it can be looked at from there.

    Raises:
        RuntimeError: there is none yet.
        ValueError: a view that nobody could have, or a picture that no memory holds.
    """
    if snapshot is None:
        raise RuntimeError("there is no map to look at yet: ingest frames first")
    if camera.width * camera.height > MOST_PIXELS:
        raise ValueError(
            f"a picture must have at most {MOST_PIXELS} pixels, got {camera.width}x{camera.height}"
        )
    check_view(camera, world_from_camera)
    return snapshot


class LayerView:
    """One pose from which a snapshot is looked at.

    Args:
        snapshot: the map.
        camera: of the pictures.
        world_from_camera: (4, 4).
    """

    def __init__(
        self, snapshot: Snapshot, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
    ) -> None:
        self._snapshot, self._camera, self._pose = snapshot, camera, world_from_camera
        self._rendered: Rendered = render_image(snapshot.field, camera, world_from_camera)

    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3)."""
        return np.rint(np.clip(self._rendered.rgb, 0, 1) * 255).astype(np.uint8)

    def depth_m(self) -> NDArray[np.float32]:
        """(H, W) along the optical axis, NaN in empty space."""
        return self._rendered.depth_m

    def scores(self, of_surface: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W): a number for each of the surface's points (N,) as pixels show it, else 0."""
        return np.append(of_surface, np.float32(0))[self._point_of_pixel()]

    def mask(self, regions: Sequence[Region]) -> NDArray[np.int32]:
        """(H, W) position + 1 of the first region that a pixel's surface belongs to, else 0."""
        number = np.zeros(len(self._snapshot.surface.points) + 1, np.int32)
        for position, region in reversed(list(enumerate(regions))):
            number[region.indices] = position + 1
        return number[self._point_of_pixel()]

    def features(self, method: str) -> NDArray[np.uint8]:
        """(H, W, 3) the three principal components of a method's features, black in the void.

        Raises:
            ValueError: the map has no features of that name.
        """
        known = self._snapshot.surface.features
        if method not in known:
            raise ValueError(f"features must be of one of {sorted(known)}, got {method!r}")
        colours = np.zeros((len(known[method]) + 1, 3), np.uint8)
        colours[:-1] = principal_colours(np.asarray(known[method], np.float32))
        return colours[self._point_of_pixel()]

    def _point_of_pixel(self) -> NDArray[np.int64]:
        """(H, W) nearest surface point to what a pixel sees, N where there is none."""
        depth_m = self._rendered.depth_m.ravel()
        seen = np.flatnonzero(np.isfinite(depth_m))
        surface = self._snapshot.surface
        count = len(surface.points)
        nearest = np.full(len(depth_m), count, np.int64)
        if len(seen) and count:
            pixel = pixel_grid(self._camera.width, self._camera.height)[seen]
            points = unproject(self._camera, self._pose, pixel, depth_m[seen])
            distance_m, point = cKDTree(surface.points).query(points)
            near = distance_m <= REACH_SPACINGS * surface.spacing_m[point]
            nearest[seen] = np.where(near, point, count)
        return nearest.reshape(self._camera.height, self._camera.width)


def principal_colours(features: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(N, 3) of (N, K >= 3) features, each component stretched between its 2 % and 98 %."""
    centred = features - features.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    parts = centred @ axes[:, -3:]
    low, high = np.quantile(parts, [0.02, 0.98], axis=0)
    share = np.clip((parts - low) / np.maximum(high - low, 1e-9), 0, 1)
    return np.rint(share * 255).astype(np.uint8)
