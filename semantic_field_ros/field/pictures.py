"""Pictures from the field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.field.chunks import in_chunks
from semantic_field_ros.field.rendering import expected_depth, median_depth, opacity
from semantic_field_ros.field.scene import Rays, SceneField
from semantic_field_ros.geometry import pixel_grid, world_rays
from semantic_field_ros.types import PinholeCamera

#: rays that stop less than this see nothing.
SEEN_OPACITY = 0.5
#: points of one chunk, at about 600 bytes each.
CHUNK_POINTS = 1 << 17


@dataclass(frozen=True)
class Rendered:
    """What R rays, or the pixels of an image, see.

    Attributes:
        rgb: (..., 3) f32 in [0, 1].
        depth_m: (...,) f32 median depth along the optical axis, NaN where the ray stops nowhere.
        spread_m: (...,) f32 distance between the median and the mean depth: large where a ray
            sees two surfaces.
        opacity: (...,) f32 in [0, 1].
    """

    rgb: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    spread_m: NDArray[np.float32]
    opacity: NDArray[np.float32]


def render_image(
    field: SceneField,
    camera: PinholeCamera,
    world_from_camera: NDArray[np.float64],
    samples: int = 48,
) -> Rendered:
    """An image as `camera` sees the field; rgb is (H, W, 3), the others (H, W)."""
    pixel = pixel_grid(camera.width, camera.height)
    origins, directions = world_rays(camera, world_from_camera, pixel)
    flat = render_rays(field, origins, directions, samples)
    size = (camera.height, camera.width)
    return Rendered(
        flat.rgb.reshape(*size, 3),
        flat.depth_m.reshape(size),
        flat.spread_m.reshape(size),
        flat.opacity.reshape(size),
    )


@torch.no_grad()
def render_rays(
    field: SceneField,
    origins: NDArray[np.float32],
    directions: NDArray[np.float32],
    samples: int = 48,
) -> Rendered:
    """What (R, 3) rays see, in chunks under a memory budget; one that does not fit is halved.

    Raises:
        torch.OutOfMemoryError: not even a few rays fit.
    """

    def part_of(part: slice) -> tuple[NDArray[np.float32], ...]:
        rays = Rays.on(field.device, origins[part], directions[part])
        return _render_chunk(field, rays, samples)

    parts = in_chunks(part_of, len(origins), max(1, CHUNK_POINTS // samples))
    return Rendered(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _render_chunk(field: SceneField, rays: Rays, samples: int) -> tuple[NDArray[np.float32], ...]:
    coarse = field.propose(rays, samples // 2)
    edges = field.refine(rays, coarse, samples - samples // 2)
    traced = field.trace(rays, edges)
    seen = opacity(traced.weights)
    depth = median_depth(traced.weights, edges)
    spread = (expected_depth(traced.weights, traced.samples.depth) - depth).abs()
    depth = torch.where(seen >= SEEN_OPACITY, depth, torch.nan)
    return tuple(r.cpu().numpy() for r in (traced.colour, depth, spread, seen))
