"""Masks in any view, by the segmenter's decoder on features that the map renders (SAN, 4.1, 4.4).

Points and boxes are decoded as they are. A phrase is answered in 3D first, and the answer is
pointed at in the view by a point inside it and its box.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.models.base import Prompts, Segmenter
from semantic_field_ros.queries.visibility import visible_points
from semantic_field_ros.semantics.sam_features import FrozenSamFeatures, SamFeatures
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Mask3D, PinholeCamera, SurfaceCloud

#: a mask of which a view shows fewer points cannot be pointed at there.
LEAST_VISIBLE = 5
#: share of the visible points that may lie outside the box on each side: stray ones.
STRAY_SHARE = 0.02


class ViewDecoder:
    """Decodes prompts in views of a snapshot; keeps the features of the last view.

    Args:
        segmenter: whose decoder is used.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._last: tuple[tuple[int, PinholeCamera, bytes], NDArray[np.float16]] | None = None

    def embedding(
        self, snapshot: Snapshot, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
    ) -> NDArray[np.float16]:
        """(C, h, w) as the segmenter would embed an image of this view.

        Raises:
            ValueError: the map has no `sam_features`.
        """
        method = snapshot.methods.get(SamFeatures.name)
        if not isinstance(method, FrozenSamFeatures):
            raise ValueError(
                f"semantics.methods must hold {SamFeatures.name!r} to render embeddings, "
                f"got {sorted(snapshot.methods)}"
            )
        key = (snapshot.map_version, camera, world_from_camera.tobytes())
        kept = self._last
        if kept is None or kept[0] != key:
            rendered = method.render_embedding(camera, world_from_camera, snapshot.quadrature)
            kept = self._last = (key, rendered)
        return kept[1]

    def decode(
        self,
        snapshot: Snapshot,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
        prompts: Prompts,
    ) -> tuple[NDArray[np.bool_], float]:
        """The best mask (H, W) for prompts in a view, and its predicted IoU in [0, 1]."""
        embedding = self.embedding(snapshot, camera, world_from_camera)
        size = (camera.height, camera.width)
        decoded = self._segmenter.decode(embedding, size, [prompts])[0]
        return decoded.logits[0] > 0, float(np.clip(decoded.scores[0], 0, 1))


def pointed_at(asked: Prompts, camera: PinholeCamera) -> tuple[Prompts | None, str]:
    """The prompts, or None and why they point at nothing in an image of this camera.

    Decoders take whatever they are given, and make something of what no view shows.
    """
    size = np.array([camera.width, camera.height])
    image = f"{size[0]}x{size[1]} pixels"
    if not ((asked.points_px >= -0.5) & (asked.points_px <= size - 0.5)).all():
        return None, f"a click must lie inside {image}, got {asked.points_px.tolist()}"
    if asked.box_px is None:
        if not asked.positive.any():
            return None, f"a click needs a positive point, got 0 of {len(asked.positive)}"
        return asked, ""
    low, high = asked.box_px.reshape(2, 2)
    if not ((low <= size - 0.5) & (high >= -0.5)).all():
        return None, f"a box must hold some of {image}, got {asked.box_px.tolist()}"
    return asked, ""


def prompts_of_masks(
    masks: Sequence[Mask3D],
    surface: SurfaceCloud,
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
) -> Prompts | None:
    """An interior point and the box of the first mask that a view shows; None if it shows none.

    Args:
        masks: best first, of `surface`.
        surface: what may hide them.
        camera, world_from_camera: the view.
    """
    seen, pixel = visible_points(surface.points, camera, world_from_camera)
    for mask in masks:
        member = np.isin(seen, mask.indices)
        if member.sum() >= LEAST_VISIBLE:
            return _point_and_box(pixel[member], pixel[~member], camera)
    return None


def lift_mask(
    mask: NDArray[np.bool_],
    surface: SurfaceCloud,
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
) -> NDArray[np.int64]:
    """(M,) the surface points that an (H, W) mask of a view shows."""
    seen, pixel = visible_points(surface.points, camera, world_from_camera)
    column, row = np.rint(pixel).astype(np.int64).T
    return seen[mask[row.clip(0, camera.height - 1), column.clip(0, camera.width - 1)]]


def _point_and_box(
    own: NDArray[np.float32], others: NDArray[np.float32], camera: PinholeCamera
) -> Prompts:
    """The (M, 2) pixel of `own` that is farthest from `others` and the border, and their box."""
    last = np.array([camera.width - 1, camera.height - 1], np.float32)
    distance_px = np.minimum(own, last - own).min(axis=1)
    if len(others):
        distance_px = np.minimum(distance_px, cKDTree(others).query(own)[0])
    low, high = np.quantile(own, [STRAY_SHARE, 1 - STRAY_SHARE], axis=0)
    box_px = np.concatenate([low, high]).astype(np.float32)
    return Prompts(own[[int(np.argmax(distance_px))]], np.array([True]), box_px)
