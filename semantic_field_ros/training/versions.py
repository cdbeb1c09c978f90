"""Numbers of maps, by which whoever holds one knows whether another is newer."""

from __future__ import annotations


class Versions:
    """Counts the maps of a field, on from those of another field that it follows.

    Attributes:
        newest: the latest number that any map had, 0 if there was none.
    """

    def __init__(self) -> None:
        self.newest = 0

    def reach(self, version: int) -> None:
        """A map has this number; later ones have greater ones."""
        self.newest = max(self.newest, version)
