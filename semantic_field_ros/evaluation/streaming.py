"""Feeding a source into the façade at the pace of a robot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from semantic_field_ros.stream.base import FrameSource
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.types import PosedFrame

#: frames per second at which every source is streamed when it is measured.
RATE_HZ = 5.0
#: longer sources are read as they are streamed.
MOST_RECORDED = 600


def recorded(source: FrameSource) -> Iterable[PosedFrame]:
    """The source's frames, in memory if they are few.

    Rendering or decoding them while they are streamed would take time that belongs to the map.
    """
    if source.length is None or source.length > MOST_RECORDED:
        return source
    return list(source)


@dataclass
class Run:
    """What was streamed.

    Attributes:
        started_s: `time.monotonic()` of the first frame.
        frames: how many went in.
        kept: the keyframes among them.
        held_out: frames that the map never saw.
    """

    started_s: float
    frames: int = 0
    kept: list[PosedFrame] = field(default_factory=list)
    held_out: list[PosedFrame] = field(default_factory=list)

    def elapsed_s(self) -> float:
        """Seconds since the first frame."""
        return time.monotonic() - self.started_s


def stream_into(
    target: Any,
    source: Iterable[PosedFrame],
    holdout: Holdout,
    on_frame: Callable[[PosedFrame], None] = lambda frame: None,
    rate_hz: float = RATE_HZ,
) -> Run:
    """Ingests a source frame by frame, each when it is due.

    Args:
        target: a started `SemanticField`.
        source: the frames.
        holdout: frames that are kept back, from geometry and features alike.
        on_frame: called after each frame.
        rate_hz: pace; a frame that is late is not dropped.
    """
    run = Run(time.monotonic())
    for index, (frame, is_held_out) in enumerate(holdout.split(source)):
        if index == 0:
            run.started_s = time.monotonic()
        time.sleep(max(run.started_s + index / rate_hz - time.monotonic(), 0.0))
        if is_held_out:
            run.held_out.append(frame)
        else:
            run.frames += 1
            if target.ingest(frame).keep:
                run.kept.append(frame)
        on_frame(frame)
    return run


def wait_until(
    run: Run, seconds: float, on_time: Callable[[float], None] = lambda seconds: None
) -> None:
    """Sleeps until `seconds` after the run's first frame."""
    while (left := seconds - run.elapsed_s()) > 0:
        on_time(seconds - left)
        time.sleep(min(left, 0.25))


def check_alive(status: Mapping[str, Any]) -> None:
    """Raises RuntimeError with the reason if training has failed, by `SemanticField.status`."""
    if status["state"] == "failed":
        raise RuntimeError(f"training failed: {status['message']}")
