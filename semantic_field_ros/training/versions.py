"""Numbers of maps, by which whoever holds one knows whether another is newer."""

from __future__ import annotations


class Versions:
    """Counts up, from field to field where one follows another; one of them counts at a time.

    Attributes:
        newest: the latest number that any map had, 0 if there was none.
    """

    def __init__(self) -> None:
        self.newest = 0

    def reach(self, version: int) -> None:
        """A map has this number; later ones have greater ones."""
        self.newest = max(self.newest, version)
