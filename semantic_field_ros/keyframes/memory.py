"""A bounded set of keyframes that training replays, so that nothing seen is forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.keyframes.coverage import Coverage
from semantic_field_ros.keyframes.passing import PassingViews
from semantic_field_ros.keyframes.rays import draw_rays, draw_slots
from semantic_field_ros.keyframes.store import FrameStore, Slots
from semantic_field_ros.stream.frames import check_pose
from semantic_field_ros.types import (
    FrameFeatures,
    Keyframe,
    PinholeCamera,
    PosedFrame,
    RayBatch,
)

#: the newest keyframes: `recent_share` of the rays come from them, and they are never evicted.
RECENT = 4
#: what keyframe ids stay below.
MOST_IDS = 1 << 62


@dataclass(frozen=True)
class Added:
    """What adding a frame did.

    Attributes:
        keyframe_id: of the new keyframe.
        slot: where it lies; `RayBatch.keyframe_index` counts slots.
        evicted_id: the keyframe that had to go, None while there was room.
    """

    keyframe_id: int
    slot: int
    evicted_id: int | None


@dataclass(frozen=True)
class KeyframeView:
    """A keyframe without its pixels.

    Attributes:
        keyframe_id: increases with every keyframe, never reused.
        slot: position in the memory.
        stamp_ns: of the frame.
        camera_name: of the robot's camera.
        camera: intrinsics.
        world_from_camera: (4, 4) f64.
        has_features: whether the 2D models have seen it.
    """

    keyframe_id: int
    slot: int
    stamp_ns: int
    camera_name: str
    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    has_features: bool


@dataclass(frozen=True)
class MemoryStatus:
    """What is held now, and how many keyframes were evicted since the start."""

    keyframes: int
    evicted: int
    image_bytes: int
    feature_bytes: int


class ReplayMemory:
    """Keeps at most `capacity` keyframes; the most redundant view goes first, never the newest.

    One lock guards everything. The ingest side adds, the trainer samples, the feature worker hands
    in features; whatever is returned is a copy that nobody changes afterwards.

    Args:
        capacity: most keyframes; more than `RECENT`.
        recent_share: share of the rays that come from the newest `RECENT` keyframes.

    Attributes:
        generation: how often all keyframes were forgotten at once; what goes together with them
            goes with those of one generation only.
        changes: counts up whenever a keyframe comes, goes, moves or gets features.
        passing: where the newest frames were taken, those that were not kept too.
    """

    def __init__(self, capacity: int, recent_share: float = 0.3) -> None:
        if capacity <= RECENT or not 0 <= recent_share <= 1:
            raise ValueError(
                f"capacity must be > {RECENT} and recent_share in [0, 1], "
                f"got {capacity} and {recent_share}"
            )
        self._store = FrameStore(capacity)
        self._recent_share = recent_share
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}  # by id, oldest first
        self._features: dict[int, FrameFeatures] = {}
        self._reach_m = np.full(capacity, np.nan)
        self._coverage = Coverage(capacity)
        self._next_id = self._evicted = self.generation = self.changes = 0
        self.passing = PassingViews()

    def __len__(self) -> int:
        with self._lock:
            return len(self._slots)

    @property
    def full(self) -> bool:
        """Whether another keyframe would take the place of one."""
        return len(self) == len(self._store.ids)

    def add(self, frame: PosedFrame) -> Added:
        """Copies a frame in; evicts one if there is no room."""
        with self._lock:
            evicted_id = None
            if len(self._slots) == len(self._store.ids):
                evicted_id = self._evict()
            keyframe_id, self._next_id = self._next_id, self._next_id + 1
            return Added(keyframe_id, self._put(keyframe_id, frame), evicted_id)

    def check_fits(self, keyframe_ids: Sequence[int]) -> None:
        """Raises ValueError unless keyframes of these ids can be restored, all of them."""
        capacity = len(self._store.ids)
        if len(keyframe_ids) > capacity:
            raise ValueError(
                f"keyframes.capacity must be at least {len(keyframe_ids)} for this map, "
                f"got {capacity}"
            )
        distinct = len(set(keyframe_ids)) == len(keyframe_ids)
        if not distinct or not all(0 <= i < MOST_IDS for i in keyframe_ids):
            raise ValueError(
                "keyframe ids of a map must be different and not negative, "
                f"got {list(keyframe_ids)}"
            )

    def restore(self, keyframes: Sequence[Keyframe]) -> list[Added]:
        """Holds exactly these keyframes, under their own ids; later ones count on from there.

        Raises:
            ValueError: as `check_fits`; then nothing changes.
        """
        self.check_fits([keyframe.id for keyframe in keyframes])
        self.clear()
        with self._lock:
            added = []
            for keyframe in keyframes:
                added.append(Added(keyframe.id, self._put(keyframe.id, keyframe.frame), None))
                if keyframe.features is not None:
                    self._features[keyframe.id] = keyframe.features
                self._next_id = max(self._next_id, keyframe.id + 1)
            return added

    def empty(self) -> ReplayMemory:
        """Another one, of the same size, that holds nothing."""
        return ReplayMemory(len(self._store.ids), self._recent_share)

    def take_over(self, other: ReplayMemory) -> None:
        """Holds what `other` holds, under the same ids, and forgets all else; later ids count on.

        However much it is, nobody has to wait: nothing is copied, so `other`, which nobody else
        may use, gets in exchange what is forgotten.
        """
        with self._lock:
            self.generation += 1
            self.changes += 1
            self.passing.clear()
            self._next_id = max(self._next_id, other._next_id)
            self._store, other._store = other._store, self._store
            self._slots, other._slots = other._slots, self._slots
            self._features, other._features = other._features, self._features
            self._reach_m, other._reach_m = other._reach_m, self._reach_m
            self._coverage, other._coverage = other._coverage, self._coverage

    def _put(self, keyframe_id: int, frame: PosedFrame) -> int:
        """Writes a frame into an empty slot, which it returns."""
        self.changes += 1
        slot = int(np.flatnonzero(self._store.ids < 0)[0])
        self._store.write(slot, keyframe_id, frame)
        self._slots[keyframe_id] = slot
        self._reach_m[slot] = _median_depth(frame)
        self._coverage.metres_per_radian = self._metres_per_radian()
        self._coverage.add(slot, frame.world_from_camera)
        return slot

    def sample(
        self, count: int, rng: np.random.Generator, ids: Iterable[int] | None = None
    ) -> RayBatch:
        """`count` rays, `recent_share` of them from the newest keyframes.

        Args:
            count: R, positive; less where most of a frame is ignored.
            rng: source of chance.
            ids: draws evenly from these keyframes only; those that are gone are left out.

        Raises:
            RuntimeError: there is no keyframe to draw from.
        """
        with self._lock:
            used = self._store.used()
            recent = np.array(list(self._slots.values())[-RECENT:], np.int64)
            if ids is not None:
                used = recent = np.array(
                    [self._slots[i] for i in ids if i in self._slots], np.int64
                )
            if not len(used):
                raise RuntimeError("no keyframe to draw rays from: add frames first")
            slots = draw_slots(used, recent, count, self._recent_share, rng)
            return draw_rays(self._store, slots, rng)

    def get(self, keyframe_id: int) -> Keyframe | None:
        """A copy of a keyframe with its features; None if it is not (or no longer) held."""
        with self._lock:
            slot = self._slots.get(keyframe_id)
            if slot is None:
                return None
            frame = self._store.read(slot)
            return Keyframe(keyframe_id, frame, self._features.get(keyframe_id))

    def views(self) -> list[KeyframeView]:
        """All keyframes without their pixels, oldest first: in the order in which they came, for
        stamps start anew where time jumps back."""
        with self._lock:
            return [
                KeyframeView(
                    keyframe_id,
                    slot,
                    self._store.stamp_ns(slot),
                    self._store.camera_name(slot),
                    self._store.camera(slot),
                    self._store.world_from_camera[slot].copy(),
                    keyframe_id in self._features,
                )
                for keyframe_id, slot in self._slots.items()
            ]

    def set_features(self, keyframe_id: int, features: FrameFeatures) -> bool:
        """Keeps features beside their keyframe; False if that is gone."""
        with self._lock:
            held = keyframe_id in self._slots
            if held:
                self._features[keyframe_id] = features
                self.changes += 1
            return held

    def ignored(self, keyframe_id: int) -> NDArray[np.bool_] | None:
        """(H, W) bool pixels of a keyframe that count for nothing; None = all count."""
        with self._lock:
            slot = self._slots.get(keyframe_id)
            return None if slot is None else self._store.ignored(slot)

    def features(self, keyframe_id: int) -> FrameFeatures | None:
        """The features of a keyframe, None where there are none."""
        with self._lock:
            return self._features.get(keyframe_id)

    def update_poses(self, poses: Mapping[int, NDArray[np.float64]]) -> int:
        """Moves keyframes, e.g. after a loop closure.

        Args:
            poses: world_from_camera (4, 4) by keyframe id; ids that are gone are left out.

        Returns:
            How many moved.

        Raises:
            ValueError: a pose that is not rigid or too far away; then nothing moves.
        """
        for pose in poses.values():
            check_pose(pose)
        with self._lock:
            held = [keyframe_id for keyframe_id in poses if keyframe_id in self._slots]
            for keyframe_id in held:
                slot, pose = self._slots[keyframe_id], poses[keyframe_id]
                self._store.set_pose(slot, pose)
                self._coverage.move(slot, pose)
            if held:
                self.changes += 1
                self.passing.clear()
            return len(held)

    def clear(self) -> None:
        """Forgets all keyframes; ids go on counting."""
        with self._lock:
            self.generation += 1
            self.passing.clear()
            for keyframe_id in list(self._slots):
                self._remove(keyframe_id)
            self._coverage = Coverage(len(self._store.ids))

    def status(self) -> MemoryStatus:
        """Counters and bytes."""
        with self._lock:
            return MemoryStatus(
                keyframes=len(self._slots),
                evicted=self._evicted,
                image_bytes=self._store.image_bytes(),
                feature_bytes=sum(_feature_bytes(f) for f in self._features.values()),
            )

    def _metres_per_radian(self) -> float:
        """How far away things usually are; without depth, how far apart the cameras are."""
        reach_m = self._reach_m[np.isfinite(self._reach_m)]
        if len(reach_m):
            return float(np.median(reach_m))
        spread_m = float(self._store.origins[self._store.used()].std(axis=0).max())
        return spread_m if spread_m > 1e-6 else 1.0

    def _evict(self) -> int:
        """Makes room for one frame; returns the id that went.

        Views are compared with settled ones only: the newest are close to each other along the
        camera's path, and would push out whatever has just ceased to be new.
        """
        settled = list(self._slots.items())[: len(self._slots) - (RECENT - 1)]
        slots: Slots = np.array([slot for _, slot in settled], np.int64)
        slot = self._coverage.least_missed(slots)
        self._coverage.remove(slot, slots)
        gone = int(self._store.ids[slot])
        self._remove(gone)
        self._evicted += 1
        return gone

    def _remove(self, keyframe_id: int) -> None:
        self.changes += 1
        slot = self._slots.pop(keyframe_id)
        self._features.pop(keyframe_id, None)
        self._store.erase(slot)
        self._reach_m[slot] = np.nan


def _median_depth(frame: PosedFrame) -> float:
    """Metres, from every 8th pixel; NaN without depth."""
    if frame.depth_m is None:
        return float("nan")
    known = frame.depth_m[::8, ::8]
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else float("nan")


def _feature_bytes(features: FrameFeatures) -> int:
    masks = sum(proposal.rle.nbytes for proposal in features.proposals)
    levels = () if features.pyramid is None else features.pyramid.levels
    extra = [*features.depths, *(level.vectors for level in levels)]
    if features.dense is not None:
        extra.append(features.dense)
    arrays = [features.embedding, features.language, *extra]
    return masks + sum(array.nbytes for array in arrays)
