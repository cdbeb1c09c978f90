"""Which ground truth belongs to a source."""

from __future__ import annotations

from semantic_field_ros.evaluation.ground_truth import (
    LABELS,
    FolderTruth,
    GroundTruth,
    WorldTruth,
)
from semantic_field_ros.evaluation.photo_labels import read_photo_labels
from semantic_field_ros.evaluation.photo_truth import PhotoTruth
from semantic_field_ros.evaluation.room_truth import ReplicaTruth, ScanNetTruth
from semantic_field_ros.stream.base import FrameSource
from semantic_field_ros.stream.open import Adapted
from semantic_field_ros.stream.photos import PhotoSource
from semantic_field_ros.stream.replica import Replica
from semantic_field_ros.stream.scannet import ScanNet
from semantic_field_ros.stream.seven_scenes import SevenScenes
from semantic_field_ros.stream.synthetic import SyntheticSource


def open_truth(source: FrameSource) -> GroundTruth | None:
    """The ground truth of a source, None where there is none.

    Raises:
        ValueError: labels are there, but broken.
    """
    inner = source.source if isinstance(source, Adapted) else source
    if isinstance(inner, SyntheticSource):
        return WorldTruth(inner)
    if isinstance(inner, SevenScenes) and (inner.folder / LABELS).is_file():
        return FolderTruth(inner)
    if isinstance(inner, Replica) and ReplicaTruth.is_there(inner):
        return ReplicaTruth(inner)
    if isinstance(inner, ScanNet) and ScanNetTruth.is_there(inner):
        return ScanNetTruth(inner)
    if isinstance(inner, PhotoSource):
        labels = read_photo_labels(inner)
        return None if labels is None else PhotoTruth(inner, labels)
    return None
