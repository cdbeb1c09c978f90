"""Ground truth of photos of which a few have masks: in 2D alone, without depth."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.ground_truth import FrameTruth, GroundTruth, TrueThing
from semantic_field_ros.evaluation.photo_labels import PhotoLabels
from semantic_field_ros.stream.base import RATE_HZ, number_of, stamp_of
from semantic_field_ros.stream.photos import PhotoSource


class PhotoTruth(GroundTruth):
    """Masks of phrases in some views, which may overlap, as those of a bowl and what is in it do.

    Things are phrases, so that two mugs with one phrase are one thing. There is no true surface:
    everything is compared in the labelled views.
    """

    lists_everything = False

    def __init__(self, source: PhotoSource, labels: PhotoLabels) -> None:
        self.things = {
            number: TrueThing(number, phrase) for number, phrase in enumerate(labels.phrases, 1)
        }
        self.names_every_place = labels.names_every_place
        self.labelled = frozenset(stamp_of(number, RATE_HZ) for number in labels.views)
        self._source, self._labels = source, labels
        self._ids = {thing.phrase: thing.id for thing in self.things.values()}
        self._cache: dict[int, FrameTruth] = {}

    def at(self, stamp_ns: int) -> FrameTruth:
        """Reads the view's masks, once, and takes the lens's distortion out of them."""
        number = number_of(stamp_ns, RATE_HZ)
        if number not in self._labels.views:
            raise ValueError(f"no labelled photo has stamp {stamp_ns} ns")
        if stamp_ns not in self._cache:
            self._cache[stamp_ns] = self._read(number)
        return self._cache[stamp_ns]

    def _read(self, number: int) -> FrameTruth:
        raw = self._labels.views[number]()
        if not raw:
            raise ValueError(f"the labels of {self._source.names[number]} must not be empty")
        height, width = max(mask.shape for mask in raw.values())
        lens = self._source.lens(number, width, height)
        masks = {}
        for phrase, mask in raw.items():
            whole = cv2.resize(
                mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
            )
            masks[self._ids[phrase]] = lens.undistort_labels(whole.astype(np.int32)) > 0
        unknown_m = np.full((height, width), np.nan, np.float32)
        pose = self._source.pose(number)
        return FrameTruth(lens.camera, pose, smallest_on_top(masks), unknown_m, masks)


def smallest_on_top(masks: dict[int, NDArray[np.bool_]]) -> NDArray[np.int32]:
    """(H, W) i32: of the (H, W) masks that hold a pixel the id of the smallest; 0 = none."""
    ids = np.zeros(next(iter(masks.values())).shape, np.int32)
    for number, mask in sorted(masks.items(), key=lambda entry: -int(entry[1].sum())):
        ids[mask] = number
    return ids
