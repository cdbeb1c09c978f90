"""How rendered views compare with held-out ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from semantic_field_ros.evaluation.ground_truth import GroundTruth
from semantic_field_ros.evaluation.metrics import (
    fit_exposure,
    mean,
    median_depth_error_m,
    psnr_db,
)
from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.types import PosedFrame, SurfaceCloud


@dataclass(frozen=True)
class ViewError:
    """One view: PSNR as it is and after fitting exposure, and the median depth error, metres."""

    psnr_db: float
    psnr_fitted_db: float
    depth_median_m: float | None


@dataclass
class ViewErrors:
    """Many views."""

    views: list[ViewError] = field(default_factory=list)

    def add(self, error: ViewError) -> None:
        """One more."""
        self.views.append(error)

    def psnr_db(self) -> float | None:
        """Mean over views."""
        return mean([view.psnr_db for view in self.views])

    def psnr_fitted_db(self) -> float | None:
        """Mean over views."""
        return mean([view.psnr_fitted_db for view in self.views])

    def depth_median_m(self) -> float | None:
        """Median over views with known depth, metres."""
        known = [v.depth_median_m for v in self.views if v.depth_median_m is not None]
        return float(np.median(known)) if known else None


def compare_view(
    frame: PosedFrame,
    rendered: NDArray[np.floating],
    depth_m: NDArray[np.floating],
    truth: GroundTruth | None,
) -> ViewError:
    """Compares a view that the map never saw, rendered from its recorded pose.

    Args:
        frame: the captured view.
        rendered: (H, W, 3) in [0, 1].
        depth_m: (H, W) rendered depth, NaN where the map is empty.
        truth: gives the true depth; without it the sensor's is taken.
    """
    captured = frame.rgb.astype(np.float32) / 255
    true_m = frame.depth_m
    if truth is not None and truth.knows(frame):
        true_m = truth.of(frame).depth_m
    return ViewError(
        psnr_db(rendered, captured),
        psnr_db(fit_exposure(rendered, captured), captured),
        None if true_m is None else median_depth_error_m(depth_m, true_m),
    )


def points_in_view(
    frame: PosedFrame, depth_m: NDArray[np.floating], surface: SurfaceCloud, reach_m: float
) -> NDArray[np.int64]:
    """(H, W) which of N surface points a pixel shows in a view that was never mapped, else N.

    What a pixel shows is told by the map's own depth there, not by the view's sensor.

    Args:
        frame: gives camera and pose alone.
        depth_m: (H, W) depth rendered from the map, NaN where it is empty.
        surface: of the map.
        reach_m: a pixel whose rendered point is farther from the surface shows no part of it;
            where the surface is sparser than that, its own spacing is the limit.
    """
    camera, known = frame.camera, np.isfinite(depth_m)
    pixel = pixel_grid(camera.width, camera.height)[known.ravel()]
    shown = unproject(camera, frame.world_from_camera, pixel, depth_m[known])
    limit_m = np.append(np.maximum(surface.spacing_m, reach_m), 0.0)  # the last for nothing near
    distance, nearest = cKDTree(surface.points).query(
        shown, distance_upper_bound=float(limit_m.max())
    )
    front = np.full(known.shape, len(surface.points), np.int64)
    front[known] = np.where(distance <= limit_m[nearest], nearest, len(surface.points))
    return front


def mask_in_view(
    frame: PosedFrame, depth_m: NDArray[np.floating], surface: SurfaceCloud, reach_m: float
) -> Callable[[NDArray[np.int64]], NDArray[np.bool_]]:
    """Projects 3D masks into a view that was never mapped; arguments as `points_in_view`.

    Returns:
        A function from (M,) surface indices to the (H, W) mask of the pixels that show them.
    """
    front = points_in_view(frame, depth_m, surface, reach_m)

    def mask(indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        chosen = np.zeros(len(surface.points) + 1, np.bool_)
        chosen[indices] = True
        return chosen[front]

    return mask
