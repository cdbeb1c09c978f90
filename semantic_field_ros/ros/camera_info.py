"""What a CameraInfo topic tells, which it may tell only once."""

from __future__ import annotations

from typing import Any

import numpy as np

from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.messages import lens_from_message
from semantic_field_ros.stream.tally import Tally


class InfoTopic:
    """The newest message of a CameraInfo topic, and the lens that it tells of.

    Attributes:
        problem: why there is no lens.
    """

    def __init__(self, topic: str, told: dict[str, Any], tally: Tally) -> None:
        """Whoever listened before may have put the message there already.

        Args:
            topic: absolute name.
            told: the newest message by topic, which outlives subscriptions: many drivers tell
                intrinsics once.
            tally: where messages that make no sense are counted.
        """
        self._topic, self._told, self._tally = topic, told, tally
        self.problem = "none came yet"
        self._key: tuple[Any, ...] = ()
        self._lens: Lens | None = None

    def take(self, message: Any) -> None:
        """There is a new message."""
        self._told[self._topic] = message

    def lens(self, rectified: bool) -> Lens | None:
        """Made anew where the message says something new; None without a valid one."""
        message = self._told.get(self._topic)
        if message is None:
            return None
        # As bytes: what is not a number is equal to itself.
        numbers = [
            np.asarray(array, float).tobytes() for array in (message.k, message.p, message.d)
        ]
        roi = message.roi
        crop = (roi.x_offset, roi.y_offset, roi.width, roi.height)
        size = (message.width, message.height, message.binning_x, message.binning_y)
        key = (*size, message.distortion_model, *crop, *numbers)
        if key != self._key:
            self._key, self._lens = key, None
            try:
                self._lens = lens_from_message(message, rectified)
            except ValueError as error:
                self.problem = str(error)
                self._tally.count("bad camera_info", self.problem)
        return self._lens
