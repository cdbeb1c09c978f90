"""The arrays that keyframes live in: one slot each, contiguous, reused for ever."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import PinholeCamera, PosedFrame

Slots = NDArray[np.int64]


@dataclass
class ImageBlock:
    """Images of one size, indexed by slot.

    Pages of slots that were never written cost no memory.

    Attributes:
        rgb: (K, H, W, 3) u8.
        depth_m: (K, H, W) f32, NaN unknown; None until a frame with depth comes.
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32] | None = None

    def write(self, slot: int, frame: PosedFrame, held: Slots) -> None:
        """Copies a frame of this size into a slot; `held` are the slots filled before."""
        self.rgb[slot] = frame.rgb
        if frame.depth_m is not None and self.depth_m is None:
            self.depth_m = np.empty(self.rgb.shape[:3], np.float32)
            self.depth_m[held] = np.nan
        if self.depth_m is not None:
            self.depth_m[slot] = np.nan if frame.depth_m is None else frame.depth_m


class FrameStore:
    """Slots of posed images; not thread-safe, the memory that owns it holds the lock.

    Attributes:
        ids: (K,) i64 keyframe id in each slot, -1 where empty.
        world_from_camera: (K, 4, 4) f64.
        rotations: (K, 3, 3) f32, the same for rays.
        origins: (K, 3) f32.
        intrinsics: (K, 4) f32 fx fy cx cy.
        sizes: (K, 2) i64 width, height.
        blocks: images by (width, height).
    """

    def __init__(self, capacity: int) -> None:
        self.ids = np.full(capacity, -1, np.int64)
        self.world_from_camera = np.tile(np.eye(4), (capacity, 1, 1))
        self.rotations = np.tile(np.eye(3, dtype=np.float32), (capacity, 1, 1))
        self.origins = np.zeros((capacity, 3), np.float32)
        self.intrinsics = np.zeros((capacity, 4), np.float32)
        self.sizes = np.zeros((capacity, 2), np.int64)
        self.blocks: dict[tuple[int, int], ImageBlock] = {}
        self._frames: dict[int, tuple[int, str, PinholeCamera, bool]] = {}

    def write(self, slot: int, keyframe_id: int, frame: PosedFrame) -> None:
        """Puts a frame into an empty slot."""
        camera = frame.camera
        size = (camera.width, camera.height)
        if size not in self.blocks:
            shape = (len(self.ids), camera.height, camera.width, 3)
            self.blocks[size] = ImageBlock(np.empty(shape, np.uint8))
        self.blocks[size].write(slot, frame, self.used())
        self.ids[slot] = keyframe_id
        self.intrinsics[slot] = camera.fx, camera.fy, camera.cx, camera.cy
        self.sizes[slot] = size
        has_depth = frame.depth_m is not None
        self._frames[slot] = (frame.stamp_ns, frame.camera_name, camera, has_depth)
        self.set_pose(slot, frame.world_from_camera)

    def set_pose(self, slot: int, world_from_camera: NDArray[np.float64]) -> None:
        """Moves the camera of a slot."""
        self.world_from_camera[slot] = world_from_camera
        self.rotations[slot] = world_from_camera[:3, :3]
        self.origins[slot] = world_from_camera[:3, 3]

    def read(self, slot: int) -> PosedFrame:
        """A copy of what a slot holds, which stays as it is when the slot is reused."""
        stamp_ns, name, camera, has_depth = self._frames[slot]
        block = self.blocks[camera.width, camera.height]
        with_depth = has_depth and block.depth_m is not None
        depth_m = block.depth_m[slot].copy() if with_depth and block.depth_m is not None else None
        pose = self.world_from_camera[slot].copy()
        return PosedFrame(stamp_ns, name, camera, pose, block.rgb[slot].copy(), depth_m)

    def erase(self, slot: int) -> None:
        """Empties a slot; the images of a size that nobody has any more are freed."""
        size = (int(self.sizes[slot, 0]), int(self.sizes[slot, 1]))
        self.ids[slot] = -1
        self.sizes[slot] = 0
        del self._frames[slot]
        if not (self.sizes == size).all(axis=1).any():
            del self.blocks[size]

    def stamp_ns(self, slot: int) -> int:
        """Stamp of the frame in a slot."""
        return self._frames[slot][0]

    def camera_name(self, slot: int) -> str:
        """Camera name of the frame in a slot."""
        return self._frames[slot][1]

    def camera(self, slot: int) -> PinholeCamera:
        """Camera of the frame in a slot."""
        return self._frames[slot][2]

    def used(self) -> Slots:
        """Slots that hold a frame."""
        return np.flatnonzero(self.ids >= 0)

    def image_bytes(self) -> int:
        """Bytes of the images that are held now."""
        pixels = int(self.sizes.prod(axis=1).sum())
        depth_pixels = sum(
            int((self.sizes == size).all(axis=1).sum()) * size[0] * size[1]
            for size, block in self.blocks.items()
            if block.depth_m is not None
        )
        return pixels * 3 + depth_pixels * 4
