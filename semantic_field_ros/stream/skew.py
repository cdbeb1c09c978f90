"""How far the stamps of depth images are from those of their colour images."""

from __future__ import annotations

from collections import deque

_KEPT = 8


class StampSkew:
    """Measured whether or not the two are near enough to be paired.

    Attributes:
        newest_s: nearest depth minus image, of the newest image that was followed by a depth
            image; seconds, None before the first.
    """

    def __init__(self) -> None:
        self.newest_s: float | None = None
        self._depths_ns: deque[int] = deque(maxlen=_KEPT)
        self._images_ns: deque[int] = deque(maxlen=_KEPT)

    def image(self, stamp_ns: int) -> None:
        """An image came."""
        self._images_ns.append(stamp_ns)
        self._measure()

    def depth(self, stamp_ns: int) -> None:
        """A depth image came."""
        self._depths_ns.append(stamp_ns)
        self._measure()

    def _measure(self) -> None:
        """An image's nearest depth is known once a depth image of a later stamp has come."""
        while self._images_ns and self._depths_ns and self._depths_ns[-1] >= self._images_ns[0]:
            image_ns = self._images_ns.popleft()
            nearest_ns = min(self._depths_ns, key=lambda depth_ns: abs(depth_ns - image_ns))
            self.newest_s = (nearest_ns - image_ns) / 1e9
