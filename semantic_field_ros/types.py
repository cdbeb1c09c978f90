"""The nouns that flow between the rooms.

Frames: a camera is OpenCV optical (x right, y down, z forward); the world is the ROS map frame.
Units: metres, radians, seconds; stamps are integer nanoseconds. Pixel `(u, v)` is (column, row),
and integer coordinates are pixel centres.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True)
class PinholeCamera:
    """An undistorted camera: u = fx·x/z + cx, v = fy·y/z + cy."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        _make_plain(self, int, "width", "height")
        _make_plain(self, float, "fx", "fy", "cx", "cy")
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"camera size must be positive, got {self.width}x{self.height}")
        if not all(np.isfinite(numbers)) or self.fx <= 0 or self.fy <= 0:
            raise ValueError(f"intrinsics must be finite with fx, fy > 0, got {numbers}")

    def scaled_to(self, width: int, height: int) -> PinholeCamera:
        """The same view sampled at another resolution (pixel centres at integers)."""
        sx, sy = width / self.width, height / self.height
        return PinholeCamera(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )


@dataclass(frozen=True)
class PosedFrame:
    """What a sensor delivers at one instant; never carries ground truth.

    Attributes:
        stamp_ns: capture time, nanoseconds.
        camera_name: which camera of the robot.
        camera: intrinsics of both `rgb` and `depth_m`.
        world_from_camera: (4, 4) f64 rigid transform; a copy of what was given.
        rgb: (H, W, 3) u8 in [0, 255].
        depth_m: (H, W) f32 metres along the optical axis, NaN where unknown; None without a depth
            sensor, and in a keyframe whose sensor measured nothing.
        ignored: (H, W) bool, where the image shows what is no part of the scene (the robot itself,
            people); None = nowhere.
    """

    stamp_ns: int
    camera_name: str
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        _make_plain(self, int, "stamp_ns")
        size = (self.camera.height, self.camera.width)
        if self.rgb.shape != (*size, 3) or self.rgb.dtype != np.uint8:
            raise ValueError(
                f"rgb must be {(*size, 3)} uint8, got {self.rgb.shape} {self.rgb.dtype}"
            )
        if self.depth_m is not None and (
            self.depth_m.shape != size or self.depth_m.dtype != np.float32
        ):
            raise ValueError(
                f"depth_m must be {size} float32, got {self.depth_m.shape} {self.depth_m.dtype}"
            )
        if self.ignored is not None and (
            self.ignored.shape != size or self.ignored.dtype != np.bool_
        ):
            raise ValueError(
                f"ignored must be {size} bool, got {self.ignored.shape} {self.ignored.dtype}"
            )
        # Poses outlive their frames, and whoever tracks a camera may keep one array for all.
        object.__setattr__(self, "world_from_camera", self.world_from_camera.copy())
        check_rigid(self.world_from_camera)


def _make_plain(noun: object, kind: type[int] | type[float], *names: str) -> None:
    """NumPy's scalars, as in a matrix K or an array of stamps, become Python's, as JSON and
    messages take them.

    A float is no int, even where it is whole: of nanoseconds since 1970 it has lost the last ones.

    Raises:
        TypeError: something else is given.
    """
    for name in names:
        value = getattr(noun, name)
        try:
            plain = operator.index(value) if kind is int else kind(value)
        except TypeError:
            got = f"{value!r} ({type(value).__name__})"
            raise TypeError(f"{name} must be of type {kind.__name__}, got {got}") from None
        object.__setattr__(noun, name, plain)


def check_rigid(matrix: NDArray[np.float64]) -> None:
    """Raises ValueError unless `matrix` is a (4, 4) finite rotation plus translation."""
    if matrix.shape != (4, 4):
        raise ValueError(f"pose must be (4, 4), got {matrix.shape}")
    rotation = matrix[:3, :3]
    if not np.isfinite(matrix).all():
        raise ValueError("pose must be finite, got NaN or Inf")
    off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if off > 1e-3 or np.linalg.det(rotation) < 0 or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise ValueError(f"pose must be rigid, got a rotation off orthonormal by {off:.2g}")


@dataclass(frozen=True)
class MaskProposal:
    """One region that the segmenter sees in an image.

    Attributes:
        rle: uncompressed run lengths over the row-major mask, starting with a run of zeros.
        shape: (H, W) of the image.
        box_px: (u_min, v_min, u_max, v_max), inclusive.
        score: the segmenter's own estimate of IoU, [0, 1].
    """

    rle: NDArray[np.uint32]
    shape: tuple[int, int]
    box_px: tuple[int, int, int, int]
    score: float

    @staticmethod
    def from_mask(mask: NDArray[np.bool_], score: float) -> MaskProposal:
        """Encodes a non-empty (H, W) bool mask."""
        if mask.ndim != 2 or not mask.any():
            raise ValueError(f"mask must be (H, W) and not empty, got {mask.shape}")
        flat = np.concatenate([[False], mask.ravel(), [False]])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        bounds = np.concatenate([[0], edges, [mask.size]])
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
        return MaskProposal(np.diff(bounds).astype(np.uint32), mask.shape, box, float(score))

    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool."""
        values = np.arange(len(self.rle)) % 2 == 1
        return np.repeat(values, self.rle).reshape(self.shape)


@dataclass(frozen=True)
class TileLevel:
    """What the language model says about square tiles of one size, on an even lattice.

    Attributes:
        side_px: edge of a tile.
        first_px: (u, v) centre of the first tile.
        stride_px: (u, v) from one centre to the next.
        vectors: (rows, columns, D) f16 unit vectors.
    """

    side_px: float
    first_px: tuple[float, float]
    stride_px: tuple[float, float]
    vectors: NDArray[np.float16]


@dataclass(frozen=True)
class TilePyramid:
    """An image in tiles of several sizes.

    Attributes:
        levels: at least one, smallest tiles first.
        left_out: tiles for which there was no time.
    """

    levels: tuple[TileLevel, ...]
    left_out: int


@dataclass(frozen=True)
class FrameFeatures:
    """What the 2D models said about one keyframe.

    Attributes:
        embedding: (C, h, w) f16 segmenter embedding (padding included, as the decoder wants it).
        proposals: M regions, best first.
        language: (M, D) f16 unit vectors, one per proposal.
        pyramid: language vectors of tiles; None if no semantic method asks for them.
        dense: (rows, columns, K) f16 features of cells that fill the image evenly; None without a
            dense model.
        depths: (C_k, h_k, w_k) f16 maps at other depths of the segmenter than the embedding;
            empty unless they were asked for.
    """

    embedding: NDArray[np.float16]
    proposals: tuple[MaskProposal, ...]
    language: NDArray[np.float16]
    pyramid: TilePyramid | None = None
    dense: NDArray[np.float16] | None = None
    depths: tuple[NDArray[np.float16], ...] = ()


@dataclass(frozen=True)
class ImaginedView:
    """What the map shows at a pose where no camera was.

    Attributes:
        camera: intrinsics of both `rgb` and `depth_m`.
        world_from_camera: (4, 4) f64 rigid transform.
        rgb: (H, W, 3) u8 in [0, 255], rendered.
        depth_m: (H, W) f32 rendered metres along the optical axis, NaN in empty space.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


@dataclass
class Keyframe:
    """A kept frame; its features are set once, by the feature worker, when they are ready."""

    id: int
    frame: PosedFrame
    features: FrameFeatures | None = None


@dataclass(frozen=True)
class RayBatch:
    """R rays with what the sensor saw along them.

    Attributes:
        origins, directions: (R, 3) f32, world frame; directions have length 1 along the optical
            axis: the point at depth d is origin + d·direction.
        rgb: (R, 3) f32 in [0, 1].
        depth_m: (R,) f32, NaN = unknown.
        keyframe_index: (R,) i64, position in the replay memory.
        pixel: (R, 2) f32 (u, v).
    """

    origins: NDArray[np.float32]
    directions: NDArray[np.float32]
    rgb: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    keyframe_index: NDArray[np.int64]
    pixel: NDArray[np.float32]


@dataclass(frozen=True)
class SurfaceCloud:
    """The visible surface of one map version.

    Attributes:
        points: (N, 3) f32, metres, world frame.
        normals: (N, 3) f32 unit, towards the cameras.
        rgb: (N, 3) u8.
        spacing_m: (N,) f32, metres to the next points of the same surface: small where a camera
            was near.
        features: per semantic method, (N, K) f32 or f16 values at the points.
        map_version: increases with every published snapshot.
        enclosing: (N,) what is of the floor, a wall or the ceiling, planes that everything lies
            before; None where nobody has looked for them.
    """

    points: NDArray[np.float32]
    normals: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    spacing_m: NDArray[np.float32]
    features: dict[str, Array] = field(default_factory=dict)
    map_version: int = 0
    enclosing: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class OrientedBox:
    """centre (3,) metres; quaternion (4,) x y z w, world_from_box; size (3,) metres."""

    centre: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Mask3D:
    """A set of surface points that answers a query.

    Attributes:
        indices: (M,) i64 into the surface of `map_version`.
        points: (M, 3) f32 metres, world frame.
        rgb: (M, 3) u8.
        point_scores: (M,) f32 in [0, 1].
        label: what it is said to be.
        score: [0, 1].
        box: gravity-aligned oriented box.
        map_version: of the surface.
    """

    indices: NDArray[np.int64]
    points: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    point_scores: NDArray[np.float32]
    label: str
    score: float
    box: OrientedBox
    map_version: int


@dataclass(frozen=True)
class QueryAnswer:
    """Best first; `found=False` always comes with a reason.

    `stamp_ns` is that of the newest keyframe in the map that was asked.
    """

    found: bool
    reason: str
    masks: list[Mask3D]
    score: float
    latency_s: float
    map_version: int
    stamp_ns: int
