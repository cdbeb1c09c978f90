"""Brings together image, depth, ignore mask and pose of one instant.

Pure and without threads: whoever receives messages hands them in and gets finished pairs back. All
limits are by message stamps, so that a slow or paused machine changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.stream.tf_tree import TransformError

T = TypeVar("T")


class Dropped(str, Enum):
    """Why an image did not become a pair; the keys of the tally."""

    DUPLICATE = "duplicate stamp"
    OUT_OF_ORDER = "out of order"
    TIME_JUMP = "time jumped back"
    QUEUE_FULL = "queue full"
    NO_DEPTH = "no depth in time"
    NO_IGNORED = "no ignore mask in time"
    NO_POSE = "no pose in time"


@dataclass(frozen=True)
class PairingSettings:
    """How patient pairing is."""

    #: whether an image needs a depth image.
    with_depth: bool = True
    #: whether an image needs an ignore mask.
    with_ignored: bool = False
    #: depth and ignore mask may be this far from their image, seconds.
    slop_s: float = 0.02
    #: an image waits this long for the others and its pose, seconds of message stamps.
    tf_timeout_s: float = 0.5
    #: images (and depth images, and masks) that may wait at once; the oldest is dropped.
    capacity: int = 30
    #: a stamp that is older by more than this is a jump of time, seconds.
    jump_back_s: float = 0.5
    #: images taken per second of message stamps, of those that have their companions; 0 = all.
    max_rate_hz: float = 0.0

    def __post_init__(self) -> None:
        least = min(self.slop_s, self.tf_timeout_s, self.jump_back_s, self.max_rate_hz)
        if least < 0 or self.capacity < 1:
            raise ValueError(f"pairing needs times and rate >= 0 and capacity >= 1, got {self}")


@dataclass(frozen=True)
class Pair:
    """What belongs to one image.

    Attributes:
        stamp_ns: of the image.
        image: whatever was handed in.
        depth: whatever was handed in, None without depth.
        world_from_camera: (4, 4) f64 at the stamp.
        ignored: whatever was handed in, None without ignore masks.
    """

    stamp_ns: int
    image: Any
    depth: Any | None
    world_from_camera: NDArray[np.float64]
    ignored: Any | None = None


@dataclass(frozen=True)
class _Matched:
    """An image with its companions, which lacks a pose."""

    image: Any
    depth: Any | None
    ignored: Any | None


class _Queue(Generic[T]):
    """Stamped items in order of their stamps, bounded by whoever appends."""

    def __init__(self) -> None:
        self.items: deque[tuple[int, T]] = deque()
        self.newest_ns: int | None = None

    def push(self, stamp_ns: int, item: T) -> None:
        """Appends."""
        self.newest_ns = stamp_ns
        self.items.append((stamp_ns, item))

    def drop_until(self, stamp_ns: int) -> None:
        """Removes items with stamps up to and including `stamp_ns`."""
        while self.items and self.items[0][0] <= stamp_ns:
            self.items.popleft()

    def nearest(self, stamp_ns: int, slop_ns: float) -> tuple[int, T] | None:
        """The item whose stamp is nearest, None if it is farther than `slop_ns`."""
        found = min(self.items, key=lambda item: abs(item[0] - stamp_ns), default=None)
        if found is None or abs(found[0] - stamp_ns) > slop_ns:
            return None
        return found

    def clear(self) -> None:
        self.items.clear()
        self.newest_ns = None


class StampPairer:
    """Pairs one camera's images with the nearest depth, mask, and the pose at the stamp.

    Images come out in the order in which they came in; one that cannot be completed is dropped,
    counted by reason in `tally`, and never holds back later ones for longer than `tf_timeout_s`.
    The rate is that of images with their companions: one that finds none takes nobody's place.

    Args:
        settings: patience and bounds.
        pose_at: world_from_camera (4, 4) at a stamp, or raises TransformError.
        tally: where drops are counted (keys: `Dropped`).
        on_jump: called when time jumped back, after everything waiting was cleared.
    """

    def __init__(
        self,
        settings: PairingSettings,
        pose_at: Callable[[int], NDArray[np.float64]],
        tally: Tally,
        on_jump: Callable[[], None] = lambda: None,
    ) -> None:
        self.tally = tally
        self._settings = settings
        self._pose_at = pose_at
        self._on_jump = on_jump
        self._images: _Queue[Any] = _Queue()
        self._depths: _Queue[Any] = _Queue()
        self._masks: _Queue[Any] = _Queue()
        self._matched: _Queue[_Matched] = _Queue()
        # What an image waits for, and the reason for which it is dropped without.
        wanted = (
            (settings.with_depth, self._depths, Dropped.NO_DEPTH),
            (settings.with_ignored, self._masks, Dropped.NO_IGNORED),
        )
        self._wanted = [(queue, reason) for needed, queue, reason in wanted if needed]
        self._now_ns: int | None = None

    @property
    def waiting(self) -> int:
        """Images that are not complete yet."""
        return len(self._images.items) + len(self._matched.items)

    def add_image(self, stamp_ns: int, image: Any) -> list[Pair]:
        """Takes an image; returns what became complete."""
        if self._in_order(self._images, "image", stamp_ns):
            self._images.push(stamp_ns, image)
            if self.waiting > self._settings.capacity:
                oldest_ns, _ = (self._matched.items or self._images.items).popleft()
                text = f"{self._settings.capacity} images wait already; {oldest_ns} ns dropped"
                self._drop(Dropped.QUEUE_FULL, text)
        return self._advance(stamp_ns)

    def add_depth(self, stamp_ns: int, depth: Any) -> list[Pair]:
        """Takes a depth image; returns what became complete."""
        return self._add_companion(self._depths, "depth", stamp_ns, depth)

    def add_ignored(self, stamp_ns: int, mask: Any) -> list[Pair]:
        """Takes an ignore mask; returns what became complete."""
        return self._add_companion(self._masks, "ignore mask", stamp_ns, mask)

    def retry(self) -> list[Pair]:
        """Something else changed, e.g. a pose came; returns what became complete.

        Time is kept by images alone and what goes with them: a wild stamp among the poses ages
        nothing.
        """
        return self._take(final=False)

    def flush(self) -> list[Pair]:
        """Nothing more will come: completes or drops all that waits."""
        return self._take(final=True)

    def clear(self) -> None:
        """Forgets everything that waits, and the time."""
        for queue in (self._images, self._depths, self._masks, self._matched):
            queue.clear()
        self._now_ns = None

    def _add_companion(
        self, queue: _Queue[Any], what: str, stamp_ns: int, item: Any
    ) -> list[Pair]:
        if self._in_order(queue, what, stamp_ns):
            queue.push(stamp_ns, item)
            if len(queue.items) > self._settings.capacity:
                queue.items.popleft()
        return self._advance(stamp_ns)

    def _advance(self, stamp_ns: int) -> list[Pair]:
        self._now_ns = stamp_ns if self._now_ns is None else max(stamp_ns, self._now_ns)
        return self._take(final=False)

    def _in_order(self, queue: _Queue[Any], what: str, stamp_ns: int) -> bool:
        """Whether the stamp is news; a jump back of time clears everything and is news."""
        newest_ns = queue.newest_ns
        if newest_ns is None or stamp_ns > newest_ns:
            return True
        back_s = (newest_ns - stamp_ns) / 1e9
        detail = f"{what} at {stamp_ns} ns after one at {newest_ns} ns"
        if back_s > self._settings.jump_back_s:
            self._drop(Dropped.TIME_JUMP, f"{detail}; buffers cleared")
            self.clear()
            self._on_jump()
            return True
        self._drop(Dropped.OUT_OF_ORDER if back_s > 0 else Dropped.DUPLICATE, f"{detail}; ignored")
        return False

    def _take(self, final: bool) -> list[Pair]:
        """Finishes images from the oldest on, until one has to wait."""
        self._match_images(final)
        done = []
        while self._matched.items:
            stamp_ns, matched = self._matched.items[0]
            try:
                pose = self._pose_at(stamp_ns)
            except TransformError as error:
                if error.may_still_come and not (final or self._overdue(stamp_ns)):
                    break
                self._drop(Dropped.NO_POSE, str(error))
            else:
                done.append(Pair(stamp_ns, matched.image, matched.depth, pose, matched.ignored))
            self._matched.items.popleft()
        return done

    def _match_images(self, final: bool) -> None:
        """Finds companions of images from the oldest on, until one has to wait for them."""
        while self._images.items:
            stamp_ns, image = self._images.items[0]
            if self._is_due(stamp_ns):
                outcome = self._match(stamp_ns, image, final or self._overdue(stamp_ns))
                if outcome is None:
                    break
                if isinstance(outcome, _Matched):
                    self._matched.push(stamp_ns, outcome)
                else:
                    self._drop(*outcome)
            self._images.items.popleft()
            for queue, _ in self._wanted:
                queue.drop_until(stamp_ns - int(self._settings.slop_s * 1e9) - 1)

    def _is_due(self, stamp_ns: int) -> bool:
        """Whether `max_rate_hz` lets an image of this stamp pass."""
        rate_hz, last_ns = self._settings.max_rate_hz, self._matched.newest_ns
        # A little early is on time: stamps of a 30 Hz camera jitter around 33.3 ms.
        return not rate_hz or last_ns is None or stamp_ns - last_ns >= 0.9e9 / rate_hz

    def _overdue(self, stamp_ns: int) -> bool:
        now_ns = stamp_ns if self._now_ns is None else self._now_ns
        return now_ns - stamp_ns > self._settings.tf_timeout_s * 1e9

    def _match(
        self, stamp_ns: int, image: Any, overdue: bool
    ) -> _Matched | tuple[Dropped, str] | None:
        """An image with its companions, why it is dropped, or None to wait."""
        slop_ns = self._settings.slop_s * 1e9
        found: dict[Dropped, tuple[int, Any]] = {}
        for queue, reason in self._wanted:
            item = queue.nearest(stamp_ns, slop_ns)
            if not overdue and (queue.newest_ns is None or queue.newest_ns < stamp_ns):
                return None
            if item is None:
                return reason, self._why_unmatched(stamp_ns, queue.newest_ns)
            found[reason] = item
        for queue, reason in self._wanted:
            queue.drop_until(found[reason][0])
        depth, mask = (found.get(r, (0, None))[1] for r in (Dropped.NO_DEPTH, Dropped.NO_IGNORED))
        return _Matched(image, depth, mask)

    def _why_unmatched(self, stamp_ns: int, newest_ns: int | None) -> str:
        """Of an image, by the newest stamp of what it waited for."""
        image, settings = f"the image at {stamp_ns} ns", self._settings
        if newest_ns is not None and newest_ns >= stamp_ns:
            return f"none within slop_s = {settings.slop_s} s of {image}"
        age_s = None if newest_ns is None else (stamp_ns - newest_ns) / 1e9
        seen = "none came for" if age_s is None else f"the newest is {age_s:.3f} s older than"
        return f"{seen} {image}, which waited tf_timeout_s = {settings.tf_timeout_s} s"

    def _drop(self, reason: Dropped, detail: str) -> None:
        self.tally.count(reason.value, detail)
