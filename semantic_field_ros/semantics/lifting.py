"""Keyframes into 3D: which voxels an image sees, and which of its masks each of them lies in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import unproject
from semantic_field_ros.types import FrameFeatures, MaskProposal, PinholeCamera, PosedFrame

SAMPLES_PER_VIEW = 20_000
#: neighbouring depths that differ by more than this share of the depth are an edge, where the
#: sensor mixes two surfaces.
EDGE_SHARE = 0.03


@dataclass(frozen=True)
class LiftedView:
    """P samples of one keyframe that lie on a known surface.

    Attributes:
        points: (P, 3) f32 metres, world frame.
        spacing_m: (P,) f32 distance between neighbouring samples where a surface faces the camera.
        masks: (M, P) bool, which samples each proposal covers.
        quality: (M,) f32 in [0, 1], the segmenter's score of each proposal.
        language: (M, D) f32 unit vectors.
        language_weight: (M,) f32 >= 0, how much each vector should count: large, well segmented
            masks away from the image border show most of a thing.
    """

    points: NDArray[np.float32]
    spacing_m: NDArray[np.float32]
    masks: NDArray[np.bool_]
    quality: NDArray[np.float32]
    language: NDArray[np.float32]
    language_weight: NDArray[np.float32]


@dataclass(frozen=True)
class PixelGrid:
    """Pixels on a regular grid, some of which may be missing.

    Attributes:
        uv: (P, 2) i64.
        stride_px: between neighbours.
    """

    uv: NDArray[np.int64]
    stride_px: int


def sample_pixels(
    camera: PinholeCamera,
    most: int = SAMPLES_PER_VIEW,
    ignored: NDArray[np.bool_] | None = None,
) -> PixelGrid:
    """At most about `most` pixels of an image, without those of (H, W) `ignored`."""
    stride = max(1, math.ceil(math.sqrt(camera.width * camera.height / most)))
    u, v = np.meshgrid(
        np.arange(stride // 2, camera.width, stride), np.arange(stride // 2, camera.height, stride)
    )
    uv = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.int64)
    if ignored is not None:
        uv = uv[~ignored[uv[:, 1], uv[:, 0]]]
    return PixelGrid(uv, stride)


def lift(
    frame: PosedFrame,
    features: FrameFeatures,
    depth_m: NDArray[np.float32],
    grid: PixelGrid,
) -> LiftedView:
    """The samples at the grid's P pixels whose (P,) depth is known, with the masks they lie in."""
    known = np.isfinite(depth_m) & (depth_m > 0)
    pixels, depth_m = grid.uv[known], depth_m[known]
    spacing_m = depth_m * grid.stride_px / math.sqrt(frame.camera.fx * frame.camera.fy)
    points = unproject(frame.camera, frame.world_from_camera, pixels.astype(np.float32), depth_m)
    masks = np.zeros((len(features.proposals), len(pixels)), np.bool_)
    for row, proposal in zip(masks, features.proposals, strict=True):
        row[:] = proposal.mask()[pixels[:, 1], pixels[:, 0]]
    quality = np.array([p.score for p in features.proposals], np.float32)
    weight = [_language_weight(p) for p in features.proposals]
    return LiftedView(
        points,
        spacing_m.astype(np.float32),
        masks,
        np.clip(quality, 0.0, 1.0),
        features.language.astype(np.float32),
        np.array(weight, np.float32),
    )


def sensor_depth(frame: PosedFrame, uv: NDArray[np.int64]) -> NDArray[np.float32]:
    """(P,) metres at (P, 2) pixels; NaN where unknown or at a depth edge.

    Raises:
        ValueError: the frame has no depth.
    """
    if frame.depth_m is None:
        raise ValueError("sensor_depth needs a frame with depth, got None")
    depth = frame.depth_m
    clean = np.where(_edges(depth), np.nan, depth)
    return clean[uv[:, 1], uv[:, 0]].astype(np.float32)


def _edges(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W) pixels with a depth jump to one of their four neighbours."""
    edge = np.zeros(depth.shape, np.bool_)
    for axis in (0, 1):
        with np.errstate(invalid="ignore"):
            jump = np.abs(np.diff(depth, axis=axis)) > EDGE_SHARE * np.minimum(
                np.take(depth, range(depth.shape[axis] - 1), axis),
                np.take(depth, range(1, depth.shape[axis]), axis),
            )
        first, second = [slice(None)] * 2, [slice(None)] * 2
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        edge[tuple(first)] |= jump
        edge[tuple(second)] |= jump
    return edge


def _language_weight(proposal: MaskProposal) -> float:
    """Quality times area in pixels; a tenth of it where the mask is cut by the image border."""
    height, width = proposal.shape
    left, top, right, bottom = proposal.box_px
    cut = left <= 0 or top <= 0 or right >= width - 1 or bottom >= height - 1
    area = int(proposal.rle[1::2].sum())
    return float(np.clip(proposal.score, 0.01, 1.0)) * area * (0.1 if cut else 1.0)
