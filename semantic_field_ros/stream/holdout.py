"""Splitting a stream into what is mapped and what is kept back to measure with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from semantic_field_ros.types import PosedFrame


@dataclass(frozen=True)
class Holdout:
    """Which views are kept back.

    Attributes:
        every: one in this many; 0 = none.
        first: index of the first one.
        stamps: if given, the views with these stamps and no others.
    """

    every: int = 0
    first: int = 0
    stamps: frozenset[int] | None = None

    @staticmethod
    def one_in(every: int) -> Holdout:
        """One view in so many, the first in the middle of the first so many; 0 = none."""
        return Holdout(every, every // 2)

    def split(self, frames: Iterable[PosedFrame]) -> Iterator[tuple[PosedFrame, bool]]:
        """Each frame with whether it is held out.

        Raises:
            ValueError: as `split_every`.
        """
        if self.stamps is None:
            yield from split_every(frames, self.every, self.first)
        else:
            for frame in frames:
                yield frame, frame.stamp_ns in self.stamps


def split_every(
    frames: Iterable[PosedFrame], every: int, first: int = 0
) -> Iterator[tuple[PosedFrame, bool]]:
    """Each frame with whether it is held out: `first`, `first + every`, and so on.

    Args:
        frames: any stream.
        every: one frame in this many is held out; 0 holds out none.
        first: index of the first one held out.

    Raises:
        ValueError: a negative number, or `every == 1`, which leaves nothing to map.
    """
    if every < 0 or every == 1 or first < 0:
        raise ValueError(f"every must be 0 or >= 2 and first >= 0, got {every} and {first}")
    for index, frame in enumerate(frames):
        yield frame, every > 0 and index >= first and (index - first) % every == 0
