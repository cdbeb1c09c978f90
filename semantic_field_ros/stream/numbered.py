"""Recordings that are a folder of numbered images, without stamps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_field_ros.stream.base import RATE_HZ, FrameSource
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PosedFrame


class NumberedImages(FrameSource):
    """Reads an image and what belongs to it at a time; frame N is at (N + 1) / 5 s.

    A frame that is not whole is skipped and counted.

    Args:
        folder: of the recording.
        images: (number, colour image) of each frame, by number.

    Attributes:
        folder: where the files are.
        kind: what such a folder is called.
        tally: skipped frames by reason.
    """

    rate_hz = RATE_HZ
    kind = "folder"

    def __init__(self, folder: Path, images: Sequence[tuple[int, Path]]) -> None:
        self.folder, self.name = folder, str(folder)
        self.tally = Tally(f"{self.kind} {folder.name}")
        self._images = dict(images)

    @property
    def length(self) -> int | None:
        """Number of images, whole frames or not."""
        return len(self._images)

    def __iter__(self) -> Iterator[PosedFrame]:
        """Whole frames in order of their numbers."""
        for number, image in self._images.items():
            try:
                yield self._read(number, image)
            except (ValueError, OSError) as error:
                self.tally.count("frame not whole", f"{image.name}: {error}")

    def frame(self, number: int) -> PosedFrame:
        """One of the frames taken, by its number.

        Raises:
            ValueError: not taken, or not whole.
            OSError: cannot be read.
        """
        if number not in self._images:
            raise ValueError(f"frame must be one of {len(self._images)} taken, got {number}")
        return self._read(number, self._images[number])

    @abstractmethod
    def _read(self, number: int, image: Path) -> PosedFrame:
        """One frame; raises ValueError or OSError if it is not whole."""
