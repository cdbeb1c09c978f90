"""Lens distortion out of images: everything after this file sees a pinhole.

Models and their parameters are OpenCV's (Brown-Conrady with rational terms; Kannala-Brandt for
fisheye lenses).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import pinhole
from semantic_field_ros.types import PinholeCamera

BROWN_MODELS = ("plumb_bob", "rational_polynomial")
FISHEYE_MODELS = ("equidistant", "fisheye")


class Lens:
    """Undistorts images of one camera.

    The pinhole camera that remains is chosen so that every pixel of it was seen by the sensor: it
    looks at a slightly smaller part of the world, in the same number of pixels.

    Args:
        camera: size and intrinsics of the distorted image.
        coefficients: k1 k2 p1 p2 [k3 [k4 k5 k6]] or, for fisheye, k1 k2 k3 k4; empty for images
            of a pinhole camera, whatever the model.
        model: one of `BROWN_MODELS` or `FISHEYE_MODELS`; "" stands for plumb_bob.

    Attributes:
        camera: the undistorted pinhole camera.

    Raises:
        ValueError: unknown model, or coefficients that are not finite or of a wrong number.
    """

    def __init__(
        self, camera: PinholeCamera, coefficients: Sequence[float] = (), model: str = ""
    ) -> None:
        self.camera = camera
        self._maps: tuple[NDArray, NDArray] | None = None
        values = np.asarray(coefficients, np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"distortion coefficients must be finite, got {list(coefficients)}")
        # A fisheye lens whose coefficients are all 0 is no pinhole: its r is f theta.
        if not len(values) or (model not in FISHEYE_MODELS and not values.any()):
            return
        if model in ("", *BROWN_MODELS):
            self.camera, self._maps = _brown(camera, values)
        elif model in FISHEYE_MODELS:
            self.camera, self._maps = _fisheye(camera, values)
        else:
            names = ", ".join((*BROWN_MODELS, *FISHEYE_MODELS))
            raise ValueError(f"distortion model must be one of {names}; got {model!r}")

    def undistort(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) u8 as `camera` sees it; the same array where there is no distortion."""
        if self._maps is None:
            return rgb
        image = cv2.remap(rgb, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(image, np.uint8)

    def undistort_depth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) f32 as `camera` sees it; nearest neighbour, so that edges stay edges."""
        if self._maps is None:
            return depth_m
        nan, outside = float("nan"), cv2.BORDER_CONSTANT
        depth = cv2.remap(
            depth_m, *self._maps, cv2.INTER_NEAREST, borderMode=outside, borderValue=nan
        )
        return np.asarray(depth, np.float32)

    def undistort_labels(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """(H, W) i32 as `camera` sees it; nearest neighbour."""
        if self._maps is None:
            return labels
        return np.asarray(
            cv2.remap(labels.astype(np.float64), *self._maps, cv2.INTER_NEAREST), np.int32
        )

    def undistort_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(H, W) bool as `camera` sees it: any pixel that an undistorted one is made of counts."""
        if self._maps is None:
            return mask
        edge = cv2.BORDER_REPLICATE
        share = cv2.remap(mask.astype(np.float32), *self._maps, cv2.INTER_LINEAR, borderMode=edge)
        return np.asarray(share > 0)

    def undistort_points(self, points_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 2) pixels of the distorted image, u v, as pixels of `camera`.

        What `camera` does not see comes out beyond the edges of its image, the more roughly the
        farther; NaN stays NaN.
        """
        if self._maps is None:
            return points_px
        moved = [_inverse(self._maps, point) for point in points_px.astype(np.float64)]
        return np.array(moved, np.float32).reshape(-1, 2)


def _inverse(maps: tuple[NDArray, NDArray], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) where the maps lead to `point`: Newton's method from the pixel that comes nearest."""
    rows, columns = maps[0].shape
    off_px = [of_pixel - value for of_pixel, value in zip(maps, point, strict=True)]
    row, column = divmod(int(np.argmin(off_px[0] ** 2 + off_px[1] ** 2)), columns)
    above, below = max(row - 1, 0), min(row + 1, rows - 1)
    left, right = max(column - 1, 0), min(column + 1, columns - 1)
    slopes = [
        [(m[row, right] - m[row, left]) / (right - left) for m in off_px],
        [(m[below, column] - m[above, column]) / (below - above) for m in off_px],
    ]
    step = np.linalg.solve(np.array(slopes).T, [m[row, column] for m in off_px])
    return np.array([column, row]) - step


def _matrix(camera: PinholeCamera) -> NDArray[np.float64]:
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])


def _brown(
    camera: PinholeCamera, coefficients: NDArray[np.float64]
) -> tuple[PinholeCamera, tuple[NDArray, NDArray]]:
    if len(coefficients) not in (4, 5, 8, 12, 14):
        raise ValueError(
            f"distortion must have 4, 5, 8, 12 or 14 coefficients, got {len(coefficients)}"
        )
    size, matrix = (camera.width, camera.height), _matrix(camera)
    whole, _ = cv2.getOptimalNewCameraMatrix(matrix, coefficients, size, 0)
    maps = cv2.initUndistortRectifyMap(matrix, coefficients, np.eye(3), whole, size, cv2.CV_32FC1)
    return pinhole(np.asarray(whole, np.float64), *size), maps


def _fisheye(
    camera: PinholeCamera, coefficients: NDArray[np.float64]
) -> tuple[PinholeCamera, tuple[NDArray, NDArray]]:
    if len(coefficients) != 4:
        raise ValueError(f"fisheye distortion must have 4 coefficients, got {len(coefficients)}")
    size, matrix = (camera.width, camera.height), _matrix(camera)
    whole = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(
        matrix, coefficients, size, np.eye(3), balance=0.0
    )
    maps = cv2.fisheye.initUndistortRectifyMap(
        matrix, coefficients, np.eye(3), whole, size, cv2.CV_32FC1
    )
    return pinhole(np.asarray(whole, np.float64), *size), maps
