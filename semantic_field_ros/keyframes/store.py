"""The arrays that keyframes live in: one slot each, contiguous, reused for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
        ignored: (K, H, W) bool; None until a frame with ignored pixels comes.
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32] | None = None
    ignored: NDArray[np.bool_] | None = None

    def bytes_per_pixel(self) -> int:
        """Of all arrays together."""
        return 3 + 4 * (self.depth_m is not None) + (self.ignored is not None)

    def write(self, slot: int, frame: PosedFrame, held: Slots) -> None:
        """Copies a frame of this size into a slot; `held` are the slots filled before."""
        self.rgb[slot] = frame.rgb
        if frame.depth_m is not None and self.depth_m is None:
            self.depth_m = np.empty(self.rgb.shape[:3], np.float32)
            self.depth_m[held] = np.nan
        if self.depth_m is not None:
            self.depth_m[slot] = np.nan if frame.depth_m is None else frame.depth_m
        if frame.ignored is not None and self.ignored is None:
            self.ignored = np.zeros(self.rgb.shape[:3], np.bool_)
        if self.ignored is not None:
            self.ignored[slot] = False if frame.ignored is None else frame.ignored


@dataclass(frozen=True)
class _Facts:
    """What a slot holds beside arrays."""

    stamp_ns: int
    camera_name: str
    camera: PinholeCamera
    has_depth: bool
    has_ignored: bool


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
        self._facts: dict[int, _Facts] = {}

    def write(self, slot: int, keyframe_id: int, frame: PosedFrame) -> None:
        """Puts a frame into an empty slot; depth that is known nowhere is not kept."""
        if frame.depth_m is not None and not np.isfinite(frame.depth_m).any():
            frame = replace(frame, depth_m=None)
        camera = frame.camera
        size = (camera.width, camera.height)
        if size not in self.blocks:
            shape = (len(self.ids), camera.height, camera.width, 3)
            self.blocks[size] = ImageBlock(np.empty(shape, np.uint8))
        self.blocks[size].write(slot, frame, self.used())
        self.ids[slot] = keyframe_id
        self.intrinsics[slot] = camera.fx, camera.fy, camera.cx, camera.cy
        self.sizes[slot] = size
        has_depth, has_ignored = frame.depth_m is not None, frame.ignored is not None
        self._facts[slot] = _Facts(
            frame.stamp_ns, frame.camera_name, camera, has_depth, has_ignored
        )
        self.set_pose(slot, frame.world_from_camera)

    def set_pose(self, slot: int, world_from_camera: NDArray[np.float64]) -> None:
        """Moves the camera of a slot."""
        self.world_from_camera[slot] = world_from_camera
        self.rotations[slot] = world_from_camera[:3, :3]
        self.origins[slot] = world_from_camera[:3, 3]

    def read(self, slot: int) -> PosedFrame:
        """A copy of what a slot holds, which stays as it is when the slot is reused."""
        facts = self._facts[slot]
        block = self.blocks[facts.camera.width, facts.camera.height]
        return PosedFrame(
            facts.stamp_ns,
            facts.camera_name,
            facts.camera,
            self.world_from_camera[slot].copy(),
            block.rgb[slot].copy(),
            block.depth_m[slot].copy() if facts.has_depth and block.depth_m is not None else None,
            self.ignored(slot),
        )

    def ignored(self, slot: int) -> NDArray[np.bool_] | None:
        """A copy of the (H, W) ignored pixels of a slot; None = nowhere."""
        facts = self._facts[slot]
        block = self.blocks[facts.camera.width, facts.camera.height]
        if block.ignored is None or not facts.has_ignored:
            return None
        return block.ignored[slot].copy()

    def ignored_at(self, slots: Slots, u: Slots, v: Slots) -> NDArray[np.bool_]:
        """(R,) whether integer pixels (u, v) of the frames in the (R,) slots are ignored."""
        ignored = np.zeros(len(slots), np.bool_)
        for size, block in self.blocks.items():
            if block.ignored is not None:
                here = np.flatnonzero((self.sizes[slots] == size).all(axis=1))
                ignored[here] = block.ignored[slots[here], v[here], u[here]]
        return ignored

    def erase(self, slot: int) -> None:
        """Empties a slot; the images of a size that nobody has any more are freed."""
        size = (int(self.sizes[slot, 0]), int(self.sizes[slot, 1]))
        self.ids[slot] = -1
        self.sizes[slot] = 0
        del self._facts[slot]
        if not (self.sizes == size).all(axis=1).any():
            del self.blocks[size]

    def stamp_ns(self, slot: int) -> int:
        """Stamp of the frame in a slot."""
        return self._facts[slot].stamp_ns

    def camera_name(self, slot: int) -> str:
        """Camera name of the frame in a slot."""
        return self._facts[slot].camera_name

    def camera(self, slot: int) -> PinholeCamera:
        """Camera of the frame in a slot."""
        return self._facts[slot].camera

    def used(self) -> Slots:
        """Slots that hold a frame."""
        return np.flatnonzero(self.ids >= 0)

    def image_bytes(self) -> int:
        """Bytes of the images that are held now."""
        held = {size: int((self.sizes == size).all(axis=1).sum()) for size in self.blocks}
        return sum(
            count * width * height * self.blocks[width, height].bytes_per_pixel()
            for (width, height), count in held.items()
        )
