"""The built-in world as a sensor stream: noise on colour, depth and pose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.base import FrameSource, number_of, stamp_of
from semantic_field_ros.stream.synthetic.mesh import Float
from semantic_field_ros.stream.synthetic.raycast import Shapes, View
from semantic_field_ros.stream.synthetic.scene import Kind
from semantic_field_ros.stream.synthetic.shape import Rng
from semantic_field_ros.stream.synthetic.world import World, make_world
from semantic_field_ros.types import PinholeCamera, PosedFrame

DEFAULT_CAMERA = PinholeCamera(320, 240, 280.0, 280.0, 159.5, 119.5)
DEFAULT_FRAMES: dict[Kind, int] = {"table": 96, "room": 240}


@dataclass(frozen=True)
class SensorNoise:
    """How a real RGB-D camera with a real localiser differs from an ideal one.

    The defaults are the world's difficulty: every figure of the project is measured with them,
    so they are frozen and change only with a reason.

    Attributes:
        depth_per_m: standard deviation of depth is this times the square of the depth.
        edge_hole_share: share of pixels beside a depth jump that have no depth.
        stray_hole_share: share of all other pixels without depth.
        position_m: standard deviation of the reported position, length of the error vector.
        rotation_deg: the same of the reported orientation, angle of the error.
        blur_px: standard deviation of the lens blur.
        exposure: standard deviation of the slow drift of brightness, relative.
        pixel: standard deviation of each pixel's value, of 255.
    """

    depth_per_m: float = 0.002
    edge_hole_share: float = 0.6
    stray_hole_share: float = 0.002
    position_m: float = 0.005
    rotation_deg: float = 0.3
    blur_px: float = 0.55
    exposure: float = 0.03
    pixel: float = 1.5

    def depth(self, depth_m: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
        """Noisy (H, W) depth in metres with holes (NaN) at jumps and here and there."""
        noisy = depth_m + rng.normal(0, 1, depth_m.shape) * self.depth_per_m * depth_m**2
        share = np.where(_jumps(depth_m), self.edge_hole_share, self.stray_hole_share)
        noisy[rng.random(depth_m.shape) < share] = np.nan
        return noisy.astype(np.float32)

    def colour(self, rgb: NDArray[np.uint8], gain: float, rng: Rng) -> NDArray[np.uint8]:
        """Blurred, brightened by `gain` and grainy (H, W, 3) u8."""
        from scipy.ndimage import gaussian_filter

        seen = gaussian_filter(rgb.astype(np.float32), (self.blur_px, self.blur_px, 0))
        seen = seen * gain + rng.normal(0, self.pixel, rgb.shape)
        return np.clip(seen + 0.5, 0, 255).astype(np.uint8)

    def pose(self, world_from_camera: Float, rng: Rng) -> Float:
        """A (4, 4) pose near the true one."""
        from scipy.spatial.transform import Rotation

        turn = rng.normal(0, np.radians(self.rotation_deg) / np.sqrt(3), 3)
        noisy = world_from_camera.copy()
        noisy[:3, :3] = world_from_camera[:3, :3] @ Rotation.from_rotvec(turn).as_matrix()
        noisy[:3, 3] += rng.normal(0, self.position_m / np.sqrt(3), 3)
        return noisy

    def gains(self, frames: int, rng: Rng) -> Float:
        """(frames,) relative brightness, drifting slowly around 1."""
        steps, gains = rng.normal(0, 1, frames), np.empty(frames)
        state = steps[0]
        for index in range(frames):
            state = 0.95 * state + np.sqrt(1 - 0.95**2) * steps[index]
            gains[index] = np.exp(self.exposure * state)
        return gains


def _jumps(depth_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W) pixels beside a step in depth of more than 3 %."""
    from scipy.ndimage import maximum_filter, minimum_filter

    filled = np.nan_to_num(depth_m, nan=1e3)
    return maximum_filter(filled, 3) > 1.03 * minimum_filter(filled, 3) + 0.01


class SyntheticSource(FrameSource):
    """Streams a world along its camera path, as a sensor would see it.

    Frames carry sensor data only. The truth is asked for by stamp, and only evaluation does.

    Attributes:
        world: what is streamed.
        camera: intrinsics of all frames.
    """

    def __init__(
        self,
        kind: Kind,
        seed: int,
        frames: int | None = None,
        camera: PinholeCamera = DEFAULT_CAMERA,
        noise: SensorNoise | None = SensorNoise(),
        rate_hz: float = 5.0,
    ) -> None:
        """Builds the world.

        Args:
            kind: "table" or "room".
            seed: of the world, its path and the noise.
            frames: length of the path; default 96 for a table, 240 for a room.
            camera: intrinsics.
            noise: None for an ideal sensor.
            rate_hz: frames per second; frame i is stamped (i + 1) / rate_hz.

        Raises:
            ValueError: unknown kind, negative seed, fewer than 1 frame or a rate <= 0.
        """
        if not rate_hz > 0:
            raise ValueError(f"rate_hz must be > 0, got {rate_hz}")
        self.world: World = make_world(kind, seed)
        self.name = f"world:{kind}:{seed}"
        self.rate_hz = rate_hz
        self.camera = camera
        self._noise = noise
        self._path = self.world.camera_path(DEFAULT_FRAMES[kind] if frames is None else frames)

    @property
    def length(self) -> int:
        """How many frames there are."""
        return len(self._path)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Frames in order; the same ones every time."""
        seed = self.world.seed
        gains = np.ones(self.length)
        if self._noise is not None:
            gains = self._noise.gains(self.length, np.random.default_rng([seed, 3]))
        for index, pose in enumerate(self._path):
            view = self.world.render(self.camera, pose)
            rng = np.random.default_rng([seed, 4, index])
            yield self._frame(index, pose, view, float(gains[index]), rng)

    def _frame(self, index: int, pose: Float, view: View, gain: float, rng: Rng) -> PosedFrame:
        rgb, depth_m = view.rgb, view.depth_m
        if self._noise is not None:
            rgb = self._noise.colour(rgb, gain, rng)
            depth_m = self._noise.depth(depth_m, rng)
            pose = self._noise.pose(pose, rng)
        return PosedFrame(self._stamp_ns(index), "camera", self.camera, pose, rgb, depth_m)

    def _stamp_ns(self, index: int) -> int:
        return stamp_of(index, self.rate_hz)

    def truth(self, stamp_ns: int) -> tuple[Float, Shapes]:
        """For evaluation only: the true (4, 4) world_from_camera and what there is before it.

        Raises:
            ValueError: no frame has this stamp.
        """
        index = number_of(stamp_ns, self.rate_hz)
        if not 0 <= index < self.length or self._stamp_ns(index) != stamp_ns:
            raise ValueError(f"no frame of {self.name} has stamp {stamp_ns} ns")
        pose = self._path[index]
        return pose.copy(), self.world.shapes(self.camera, pose)
