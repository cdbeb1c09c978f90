"""A buffer of time-stamped rigid transforms between named frames.

What tf2 keeps on a robot, without ROS: a tree of frames, each edge static or a bounded history
that is interpolated (translation linearly, rotation along the great circle: Shoemake 1985).
"""

from __future__ import annotations

import bisect
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import (
    invert_rigid,
    pose_from_quaternion,
    quaternion_from_matrix,
)
from semantic_field_ros.types import check_rigid

Float = NDArray[np.float64]


class TransformError(RuntimeError):
    """A transform that cannot be given.

    Attributes:
        may_still_come: whether waiting for more transforms can help.
    """

    may_still_come = True


class UnknownFrameError(TransformError):
    """No transform has ever named this frame."""


class UnnamedFrameError(UnknownFrameError):
    """The frame has no name, so that no transform can ever be about it."""

    may_still_come = False


class NotConnectedError(TransformError):
    """Both frames are known, but they lie in different trees."""


class ExtrapolationError(TransformError):
    """The stamp lies outside what is buffered."""

    def __init__(self, message: str, *, into_future: bool) -> None:
        """`into_future`: the stamp is newer than the newest sample; otherwise older than all."""
        super().__init__(message)
        self.may_still_come = into_future


@dataclass
class _Edge:
    """parent_from_child over time: sorted stamps with translation and unit quaternion (xyzw)."""

    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    translations: list[Float] = field(default_factory=list)
    quaternions: list[Float] = field(default_factory=list)

    def insert(self, stamp_ns: int, parent_from_child: Float) -> None:
        """Adds a sample in stamp order; one of an equal stamp is replaced."""
        at = bisect.bisect_left(self.stamps_ns, stamp_ns)
        stop = at + (at < len(self.stamps_ns) and self.stamps_ns[at] == stamp_ns)
        self.stamps_ns[at:stop] = [stamp_ns]
        self.translations[at:stop] = [parent_from_child[:3, 3].copy()]
        self.quaternions[at:stop] = [quaternion_from_matrix(parent_from_child[:3, :3])]

    def forget_before(self, stamp_ns: int) -> None:
        """Drops samples older than `stamp_ns`."""
        stop = bisect.bisect_left(self.stamps_ns, stamp_ns)
        del self.stamps_ns[:stop], self.translations[:stop], self.quaternions[:stop]

    def at(self, child: str, stamp_ns: int, tolerance_ns: int) -> Float:
        """(4, 4) parent_from_child at a stamp, or an ExtrapolationError."""
        if self.static:
            return self._sample(0)
        after = bisect.bisect_left(self.stamps_ns, stamp_ns)
        inside = after < len(self.stamps_ns)
        if inside and self.stamps_ns[after] == stamp_ns:
            return self._sample(after)
        if inside and after > 0:
            return self._between(after, stamp_ns)
        nearest = self.stamps_ns[0] if inside else self.stamps_ns[-1]
        if abs(stamp_ns - nearest) <= tolerance_ns:
            return self._sample(0 if inside else -1)
        side, way = ("oldest", "past") if inside else ("newest", "future")
        raise ExtrapolationError(
            f"{self.parent} from {child} at {stamp_ns / 1e9:.3f} s needs extrapolation into the "
            f"{way}: the {side} sample is {abs(stamp_ns - nearest) / 1e9:.3f} s away",
            into_future=not inside,
        )

    def _sample(self, index: int) -> Float:
        return pose_from_quaternion(self.translations[index], self.quaternions[index])

    def _between(self, after: int, stamp_ns: int) -> Float:
        """Interpolates between samples `after - 1` and `after`."""
        before_ns, after_ns = self.stamps_ns[after - 1], self.stamps_ns[after]
        share = (stamp_ns - before_ns) / (after_ns - before_ns)
        start, end = self.translations[after - 1], self.translations[after]
        rotation = slerp(self.quaternions[after - 1], self.quaternions[after], share)
        return pose_from_quaternion(start + share * (end - start), rotation)


def slerp(start_xyzw: Float, end_xyzw: Float, share: float) -> Float:
    """The unit quaternion at `share` in [0, 1] of the shorter arc from start to end."""
    cosine = float(start_xyzw @ end_xyzw)
    end = -end_xyzw if cosine < 0 else end_xyzw
    angle = float(np.arccos(min(abs(cosine), 1.0)))
    if angle < 1e-6:
        mixed = start_xyzw + share * (end - start_xyzw)
    else:
        mixed = np.sin((1 - share) * angle) * start_xyzw + np.sin(share * angle) * end
    return mixed / np.linalg.norm(mixed)


class TfTree:
    """Frames connected by transforms; may be used from several threads.

    Args:
        cache_s: how long samples are kept, seconds before the newest of the same edge.
    """

    def __init__(self, cache_s: float = 10.0) -> None:
        if not cache_s > 0:
            raise ValueError(f"cache_s must be positive, got {cache_s}")
        self._cache_ns = int(cache_s * 1e9)
        self._edges: dict[str, _Edge] = {}
        self._lock = threading.Lock()

    def set_transform(
        self,
        parent: str,
        child: str,
        stamp_ns: int,
        parent_from_child: Float,
        static: bool = False,
    ) -> bool:
        """Adds a sample; a child that appears under another parent moves there.

        Returns:
            False if the sample is older than what is kept, and was ignored.

        Raises:
            ValueError: empty or equal names, a loop, or a pose that is not rigid.
        """
        parent, child = clean_frame(parent), clean_frame(child)
        check_rigid(parent_from_child)
        with self._lock:
            if child in self._ancestors(parent):
                raise ValueError(f"transform {parent} -> {child} would close a loop of frames")
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.static or static:
                edge = self._edges[child] = _Edge(parent, static)
            newest_ns = edge.stamps_ns[-1] if edge.stamps_ns else stamp_ns
            if stamp_ns < newest_ns - self._cache_ns:
                return False
            edge.insert(stamp_ns, parent_from_child)
            edge.forget_before(max(newest_ns, stamp_ns) - self._cache_ns)
        return True

    def lookup(
        self, target: str, source: str, stamp_ns: int | None = None, tolerance_ns: int = 0
    ) -> Float:
        """target_from_source (4, 4): moves points from frame `source` into frame `target`.

        Args:
            target: frame that the points go to.
            source: frame that the points are in.
            stamp_ns: when; None takes the newest stamp that all edges between the two know.
            tolerance_ns: outside the buffered stamps the nearest sample stands in this far.

        Raises:
            UnnamedFrameError, UnknownFrameError, NotConnectedError, ExtrapolationError: as their
                names say.
        """
        target, source = named_frame(target), named_frame(source)
        with self._lock:
            up, down = self._path(target, source)
            if stamp_ns is None:
                stamp_ns = self._newest_common(up + down)
            common_from_source = self._chain(up, stamp_ns, tolerance_ns)
            common_from_target = self._chain(down, stamp_ns, tolerance_ns)
        return invert_rigid(common_from_target) @ common_from_source

    def clear(self) -> None:
        """Forgets all that moves (after a jump of time); static transforms stay."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def frames(self) -> set[str]:
        """Every frame that some transform names."""
        with self._lock:
            return set(self._edges) | {edge.parent for edge in self._edges.values()}

    def root_of(self, frame: str) -> str | None:
        """The topmost frame above `frame`; None if no transform names it."""
        with self._lock:
            line = self._ancestors(clean_frame(frame))
        return line[-1] if len(line) > 1 or line[0] in self.frames() else None

    def _ancestors(self, frame: str) -> list[str]:
        """`frame`, its parent, and so on up to the root."""
        line = [frame]
        while line[-1] in self._edges:
            line.append(self._edges[line[-1]].parent)
        return line

    def _path(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """Children of the edges from source, and from target, up to their common ancestor."""
        known = set(self._edges) | {edge.parent for edge in self._edges.values()}
        for name in (target, source):
            if name not in known and target != source:
                have = ", ".join(sorted(known)) or "none"
                raise UnknownFrameError(f"frame {name!r} is unknown; known frames: {have}")
        up, down = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            raise NotConnectedError(
                f"{target!r} and {source!r} are in different trees, rooted at "
                f"{down[-1]!r} and {up[-1]!r}"
            )
        return up[: up.index(common)], down[: down.index(common)]

    def _newest_common(self, children: list[str]) -> int:
        moving = [self._edges[child] for child in children if not self._edges[child].static]
        return min((edge.stamps_ns[-1] for edge in moving), default=0)

    def _chain(self, children: list[str], stamp_ns: int, tolerance_ns: int) -> Float:
        """ancestor_from_frame along the edges of `children`, nearest first."""
        pose = np.eye(4)
        for child in children:
            pose = self._edges[child].at(child, stamp_ns, tolerance_ns) @ pose
        return pose


def clean_frame(frame: str) -> str:
    """A frame's name without the leading slash of ROS 1.

    Raises:
        ValueError: it is empty.
    """
    name = frame.lstrip("/")
    if not name:
        raise ValueError(f"frame name must not be empty, got {frame!r}")
    return name


def named_frame(frame: str) -> str:
    """As `clean_frame`, of a frame that is looked up.

    Raises:
        UnnamedFrameError: it is empty.
    """
    try:
        return clean_frame(frame)
    except ValueError as error:
        raise UnnamedFrameError(str(error)) from None
