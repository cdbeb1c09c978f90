"""The contract of everything that delivers posed frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.types import PosedFrame


class FrameSource(ABC):
    """A finite or endless sequence of posed frames in order of their stamps.

    Iterating twice starts again from the first frame.

    Attributes:
        name: what a person calls the source, e.g. `world:table:7` or a folder.
        rate_hz: nominal frames per second of the recording.
        cameras: where there are several their names, `camera_name` of the frames; a single one
            may be called otherwise there.
        held_out: views that are kept back where the source is measured; for a published data set
            those that others keep back too.
    """

    name: str
    rate_hz: float
    cameras: tuple[str, ...] = ("camera",)
    held_out: Holdout = Holdout.one_in(8)

    @abstractmethod
    def __iter__(self) -> Iterator[PosedFrame]:
        """Frames with strictly increasing `stamp_ns`."""

    @property
    def length(self) -> int | None:
        """How many frames there are, None where that is not known."""
        return None


#: nominal rate of recordings without stamps.
RATE_HZ = 5.0


def stamp_of(number: int, rate_hz: float) -> int:
    """Nanoseconds of frame `number` of a recording without stamps; above 0, which says "none"."""
    return round((number + 1) * 1e9 / rate_hz)


def number_of(stamp_ns: int, rate_hz: float) -> int:
    """The inverse of `stamp_of`."""
    return round(stamp_ns * rate_hz / 1e9) - 1
