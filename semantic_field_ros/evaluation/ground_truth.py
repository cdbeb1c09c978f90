"""Ground truth of a source, joined to its frames by stamp."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.metrics import TrueSurface
from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.stream.base import RATE_HZ, number_of
from semantic_field_ros.stream.numbered import NumberedImages
from semantic_field_ros.stream.seven_scenes import SevenScenes
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera, PosedFrame

LABELS = "labels.json"


@dataclass(frozen=True)
class TrueThing:
    """An object that can be asked for.

    Attributes:
        id: its instance id, > 0.
        phrase: what a person calls it.
        category, colour: the parts of the phrase; empty where a recording does not tell.
        is_stuff: whether it is no object but a kind of surface, such as all walls together: a
            class that can be asked for, but not clicked or counted.
    """

    id: int
    phrase: str
    category: str = ""
    colour: str = ""
    is_stuff: bool = False


@dataclass(frozen=True)
class FrameTruth:
    """What was really in front of the camera at one stamp.

    Attributes:
        camera: intrinsics of both images.
        world_from_camera: (4, 4) the true pose, where it is known, else the recorded one.
        instance: (H, W) i32 instance ids, 0 = no object.
        depth_m: (H, W) f32 metres along the optical axis, NaN unknown.
        masks: (H, W) bool by id, where they overlap and `instance` shows but the smallest of them;
            None where `instance` says it all.
    """

    camera: PinholeCamera
    world_from_camera: NDArray[np.float64]
    instance: NDArray[np.int32]
    depth_m: NDArray[np.float32]
    masks: Mapping[int, NDArray[np.bool_]] | None = None

    def mask(self, ids: Sequence[int]) -> NDArray[np.bool_]:
        """(H, W) where any of these is."""
        if self.masks is None:
            return np.isin(self.instance, ids)
        nothing = np.zeros(self.instance.shape, np.bool_)
        return np.logical_or.reduce([nothing, *(self.masks[i] for i in ids if i in self.masks)])

    def resized(self, width: int, height: int) -> FrameTruth:
        """The same at another size, by nearest pixel."""
        if (width, height) == (self.camera.width, self.camera.height):
            return self
        rows = ((np.arange(height) + 0.5) * self.camera.height / height).astype(int)[:, None]
        columns = ((np.arange(width) + 0.5) * self.camera.width / width).astype(int)
        masks = self.masks
        if masks is not None:
            masks = {i: mask[rows, columns] for i, mask in masks.items()}
        return replace(
            self,
            camera=self.camera.scaled_to(width, height),
            instance=self.instance[rows, columns],
            depth_m=self.depth_m[rows, columns],
            masks=masks,
        )


class GroundTruth(ABC):
    """Knows what the frames of one source show.

    Attributes:
        things: every object that can be asked for, by instance id.
        lists_everything: whether what is not in `things` is known to be absent.
        names_every_place: whether the phrases of `things` are a closed list of classes, of which
            every place is one.
        scenery: what the places are called that are no object, such as "floor".
        labelled: stamps of the only views with labels, in which the data set tests; None where
            every view has labels.
    """

    things: Mapping[int, TrueThing]
    lists_everything: bool
    names_every_place: bool = False
    scenery: tuple[str, ...] = ()
    labelled: frozenset[int] | None = None

    @abstractmethod
    def at(self, stamp_ns: int) -> FrameTruth:
        """The truth of the frame with this stamp.

        Raises:
            ValueError: there is no such frame.
        """

    def knows(self, frame: PosedFrame) -> bool:
        """Whether the frame has labels."""
        return self.labelled is None or frame.stamp_ns in self.labelled

    def of(self, frame: PosedFrame) -> FrameTruth:
        """The truth of a frame at the frame's own size."""
        return self.at(frame.stamp_ns).resized(frame.camera.width, frame.camera.height)


class WorldTruth(GroundTruth):
    """The built-in world: exact, and free of sensor noise.

    Attributes:
        unnamed: categories of scenery without a colour name; nobody can say which "red table"
            is absent where a wooden table stands.
    """

    lists_everything = True

    def __init__(self, source: SyntheticSource) -> None:
        objects = source.world.objects
        self.things = {
            o.id: TrueThing(o.id, o.phrase, o.category, o.colour) for o in objects if o.is_object
        }
        self.scenery = tuple(sorted({o.phrase for o in objects if not o.is_object}))
        self.unnamed = frozenset(o.category for o in objects if not o.is_object)
        self._source = source
        self._cache: dict[int, FrameTruth] = {}

    def at(self, stamp_ns: int) -> FrameTruth:
        """Looks into the world once for every frame."""
        if stamp_ns not in self._cache:
            pose, shapes = self._source.truth(stamp_ns)
            self._cache[stamp_ns] = FrameTruth(
                self._source.camera, pose, shapes.instance, shapes.depth_m
            )
        return self._cache[stamp_ns]


class FolderTruth(GroundTruth):
    """16-bit `frame-NNNNNN.instance.png` with `labels.json` {id: phrase}, beside 7-Scenes frames.

    Depth and pose are the sensor's, so that its errors are in the truth.
    """

    lists_everything = False

    def __init__(self, source: SevenScenes) -> None:
        """Reads the labels; images are read when they are asked for.

        Raises:
            ValueError: `labels.json` is not {id: phrase}.
        """
        self.things = _read_labels(source.folder / LABELS)
        self._source = source

    def at(self, stamp_ns: int) -> FrameTruth:
        """Reads the frame and its instance image."""
        frame = labelled_frame(self._source, stamp_ns)
        path = self._source.folder / f"frame-{number_of(stamp_ns, RATE_HZ):06d}.instance.png"
        instance = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        size = (frame.camera.height, frame.camera.width)
        if instance is None or instance.shape != size:
            came = None if instance is None else instance.shape
            raise ValueError(f"{path.name} must be one channel of size {size}, got {came}")
        depth_m = np.full(size, np.nan, np.float32) if frame.depth_m is None else frame.depth_m
        return FrameTruth(
            frame.camera, frame.world_from_camera, instance.astype(np.int32), depth_m
        )


def labelled_frame(source: NumberedImages, stamp_ns: int) -> PosedFrame:
    """Reads the frame of a recording with this stamp.

    Raises:
        ValueError: there is no such frame, or it is not whole.
    """
    try:
        return source.frame(number_of(stamp_ns, source.rate_hz))
    except (ValueError, OSError) as error:
        raise ValueError(f"no labelled frame has stamp {stamp_ns} ns: {error}") from None


def _read_labels(path: Path) -> dict[int, TrueThing]:
    try:
        labels = json.loads(path.read_text())
        things = {int(i): TrueThing(int(i), str(phrase)) for i, phrase in labels.items()}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} must be {{id: phrase}}, got {error}") from error
    if any(i <= 0 for i in things):
        raise ValueError(f"{path} must have ids > 0, got {sorted(things)}")
    return things


def sample_surface(frames: Iterable[FrameTruth], spacing_m: float) -> TrueSurface:
    """Points on all true surface that the frames saw, one per voxel of edge `spacing_m`."""
    points, owner = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    for truth in frames:
        known = np.isfinite(truth.depth_m)
        pixel = pixel_grid(truth.camera.width, truth.camera.height)[known.ravel()]
        seen = unproject(truth.camera, truth.world_from_camera, pixel, truth.depth_m[known])
        points = np.concatenate([points, seen])
        owner = np.concatenate([owner, truth.instance[known].astype(np.int64)])
        first = _one_per_voxel(points, spacing_m)
        points, owner = points[first], owner[first]
    return TrueSurface(points, owner, spacing_m)


def _one_per_voxel(points: NDArray[np.float32], edge_m: float) -> NDArray[np.int64]:
    """Positions of the first point in each voxel."""
    cells = np.floor(points / edge_m).astype(np.int64) + (1 << 20)
    keys = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    return np.unique(keys, return_index=True)[1]


def spacing_for(frames: Iterable[FrameTruth]) -> float:
    """Sample distance on the true surface: the diagonal of what was seen / 400, 4 to 20 mm."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for truth in frames:
        known = np.isfinite(truth.depth_m)
        if not known.any():
            continue
        pixel = pixel_grid(truth.camera.width, truth.camera.height)[known.ravel()]
        seen = unproject(truth.camera, truth.world_from_camera, pixel, truth.depth_m[known])
        low, high = np.minimum(low, seen.min(0)), np.maximum(high, seen.max(0))
    diagonal = float(np.linalg.norm(high - low))
    return float(np.clip(diagonal / 400, 0.004, 0.02)) if np.isfinite(diagonal) else 0.01
