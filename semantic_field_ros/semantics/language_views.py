"""What the language fields remember of each view to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import world_rays
from semantic_field_ros.semantics.base import Quadrature, RayQuadrature
from semantic_field_ros.semantics.lifting import sample_pixels, sensor_depth
from semantic_field_ros.types import Keyframe, MaskProposal, PinholeCamera, TilePyramid

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: pixels of a view that are ever looked at.
SAMPLES = 5000


@dataclass(frozen=True)
class PixelView:
    """P pixels of one view on a regular grid.

    Attributes:
        camera: intrinsics.
        world_from_camera: (4, 4) f64.
        uv: (P, 2) f32 pixels.
        depth_m: (P,) f32 sensor depth, NaN unknown.
        regions: (M, P) bool which pixels each proposal covers, largest first.
        dense: (rows, columns, K) f16 of a dense model, or None.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    uv: Floats
    depth_m: Floats
    regions: NDArray[np.bool_]
    dense: NDArray[np.float16] | None

    def draw(self, count: int, rng: np.random.Generator) -> Ints:
        """(R,) pixels, half of them anywhere, half in proposals that are each as likely.

        Small things fill few pixels and would be learnt last.
        """
        pick = rng.integers(len(self.uv), size=count)
        region, pixel = np.nonzero(self.regions)
        shown, first, sizes = np.unique(region, return_index=True, return_counts=True)
        if len(shown):
            which = rng.integers(len(shown), size=count // 2)
            within = (rng.random(count // 2) * sizes[which]).astype(np.int64)
            pick[: count // 2] = pixel[first[which] + within]
        return pick

    def look(self, pick: Ints, quadrature: Quadrature) -> RayQuadrature:
        """Where the light of some of the pixels comes from."""
        origins, directions = world_rays(self.camera, self.world_from_camera, self.uv[pick])
        return quadrature(np.ascontiguousarray(origins), directions, self.depth_m[pick])


@dataclass(frozen=True)
class LanguageView(PixelView):
    """A keyframe whose tiles the language model has seen.

    Attributes:
        pyramid: language vectors of tiles.
        language: (M, D) f16 unit vectors of the regions.
    """

    pyramid: TilePyramid
    language: NDArray[np.float16]


def language_view(keyframe: Keyframe) -> LanguageView:
    """What to remember of a keyframe with features.

    Raises:
        ValueError: it has no features, or they have no pyramid.
    """
    if keyframe.features is None:
        raise ValueError(f"keyframe {keyframe.id} must have features, got None")
    features, frame = keyframe.features, keyframe.frame
    if features.pyramid is None:
        raise ValueError(f"features of keyframe {keyframe.id} must have a pyramid, got None")
    uv = sample_pixels(frame.camera, SAMPLES, frame.ignored).uv
    known = frame.depth_m is not None
    order = largest_first(features.proposals)
    return LanguageView(
        camera=frame.camera,
        world_from_camera=frame.world_from_camera,
        uv=uv.astype(np.float32),
        depth_m=sensor_depth(frame, uv) if known else np.full(len(uv), np.nan, np.float32),
        regions=regions_at([features.proposals[i] for i in order], uv),
        dense=features.dense,
        pyramid=features.pyramid,
        language=features.language[order],
    )


def imagined_view(
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
    proposals: Sequence[MaskProposal],
) -> PixelView:
    """A view that nobody captured, with what a segmenter sees in its rendering."""
    uv = sample_pixels(camera, SAMPLES).uv
    unknown = np.full(len(uv), np.nan, np.float32)
    regions = regions_at([proposals[i] for i in largest_first(proposals)], uv)
    return PixelView(camera, world_from_camera, uv.astype(np.float32), unknown, regions, None)


def largest_first(proposals: Sequence[MaskProposal]) -> list[int]:
    """Positions of the proposals by falling size."""
    sizes = [int(proposal.rle[1::2].sum()) for proposal in proposals]
    return sorted(range(len(sizes)), key=lambda i: -sizes[i])


def regions_at(proposals: Sequence[MaskProposal], uv: Ints) -> NDArray[np.bool_]:
    """(M, P) which of (P, 2) pixels each proposal covers."""
    covered = [proposal.mask()[uv[:, 1], uv[:, 0]] for proposal in proposals]
    return np.array(covered, np.bool_).reshape(len(covered), len(uv))
