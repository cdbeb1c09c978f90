"""Splitting a stream into what is mapped and what is kept back to measure with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from semantic_field_ros.types import PosedFrame


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
