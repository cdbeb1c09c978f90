"""Ground truth of Replica's and ScanNet's rooms: instance images beside posed RGB-D frames."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.ground_truth import (
    FrameTruth,
    GroundTruth,
    TrueThing,
    labelled_frame,
)
from semantic_field_ros.stream.base import RATE_HZ, number_of
from semantic_field_ros.stream.files import evenly
from semantic_field_ros.stream.replica import Replica
from semantic_field_ros.stream.scannet import ScanNet
from semantic_field_ros.types import PosedFrame

#: classes whose surfaces are no objects, as ScanNet's own benchmark has it.
STUFF = ("wall", "floor", "ceiling")
#: names that say nothing, so that nobody can ask for them.
NAMELESS = ("", "undefined", "unannotated", "void")
NAMELESS_STARTS = ("other",)  # NYU40's otherstructure, otherfurniture and otherprop
#: ScanNet's instances are looked for in so many frames, evenly spread.
MOST_SEARCHED = 300
LABEL_MAP = "scannetv2-labels.combined.tsv"


class ReplicaTruth(GroundTruth):
    """`semantic_instance/semantic_instance_N.png` and the names in `info_semantic.json`.

    The file of names is looked for beside the sequence, in its room's `habitat` folder, and as
    `semantic_info/ROOM/info_semantic.json` beside the rooms. Without instance images those of
    classes, `semantic_class/semantic_class_N.png`, are taken, and there are no separate objects.
    Depth and pose are the renderer's, so exact. A thing's id is one more than the image says.
    """

    lists_everything = False
    names_every_place = True

    def __init__(self, source: Replica) -> None:
        """Reads the names; images are read when they are asked for.

        Raises:
            ValueError: `info_semantic.json` has no classes or objects.
        """
        self._source = source
        self._kind = "semantic_instance"
        self._has_objects = (source.folder / self._kind).is_dir()
        if not self._has_objects:
            self._kind = "semantic_class"
        info = _find(source.folder, _NAMES)
        assert info is not None, "asked for without is_there"
        things = _replica_things(info, self._has_objects)
        self.things = {thing.id: thing for thing in things if _names_something(thing.phrase)}

    @staticmethod
    def is_there(source: Replica) -> bool:
        """Whether the sequence has labels and they have names."""
        images = any((source.folder / f"semantic_{k}").is_dir() for k in ("instance", "class"))
        return images and _find(source.folder, _NAMES) is not None

    def at(self, stamp_ns: int) -> FrameTruth:
        """Reads the frame and its label image."""
        frame = labelled_frame(self._source, stamp_ns)
        number = number_of(stamp_ns, RATE_HZ)
        path = self._source.folder / self._kind / f"{self._kind}_{number}.png"
        return _truth(frame, _read_ids(path) + 1)


_NAMES = (
    Path("info_semantic.json"),
    Path("..", "info_semantic.json"),
    Path("..", "habitat", "info_semantic.json"),
)


def _find(folder: Path, places: tuple[Path, ...]) -> Path | None:
    room = folder.resolve().parent
    beside = room.parent / "semantic_info" / room.name / "info_semantic.json"
    found = [path for path in (*(folder / p for p in places), beside) if path.is_file()]
    return found[0] if found else None


def _replica_things(info: Path, has_objects: bool) -> list[TrueThing]:
    try:
        tree = json.loads(info.read_text())
        if has_objects:
            pairs = [(int(o["id"]), str(o["class_name"])) for o in tree["objects"]]
        else:
            pairs = [(int(c["id"]), str(c["name"])) for c in tree["classes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{info} must hold classes and objects: {error!r}") from None
    return [_thing(number + 1, name, has_objects) for number, name in pairs]


def _thing(number: int, name: str, is_object: bool) -> TrueThing:
    phrase = name.replace("-", " ").replace("_", " ").strip()
    return TrueThing(number, phrase, is_stuff=not is_object or phrase in STUFF)


class ScanNetTruth(GroundTruth):
    """`label-filt/N.png`, `instance-filt/N.png` and `scannetv2-labels.combined.tsv`.

    Classes are NYU40's, without its three "other" ones. The table of names is looked for beside
    the scene's files and in the three folders above. A thing's id is 1000 times the label plus
    the instance. Without instance images there are no separate objects. Depth and pose are the
    sensor's, so that its errors are in the truth.
    """

    lists_everything = False
    names_every_place = True

    def __init__(self, source: ScanNet) -> None:
        """Finds out what there is from some of the label images.

        Raises:
            ValueError: images or the table of names are broken.
        """
        self._source = source
        table = _label_map(source.folder)
        assert table is not None, "asked for without is_there"
        self._names = _read_label_map(table)
        self._has_objects = (source.folder / "instance-filt").is_dir()
        seen: set[int] = set()
        for number in evenly(self._labelled_numbers(), MOST_SEARCHED):
            seen |= set(np.unique(self._ids(number)).tolist())
        named = {i: self._names.get(i // 1000, "") for i in sorted(seen - {0})}
        self.things = {
            i: _thing(i, name, self._has_objects)
            for i, name in named.items()
            if _names_something(name)
        }

    @staticmethod
    def is_there(source: ScanNet) -> bool:
        """Whether the scene has labels and they have names."""
        return (source.folder / "label-filt").is_dir() and _label_map(source.folder) is not None

    def at(self, stamp_ns: int) -> FrameTruth:
        """Reads the frame and its label images."""
        frame = labelled_frame(self._source, stamp_ns)
        return _truth(frame, self._ids(number_of(stamp_ns, RATE_HZ)))

    def _labelled_numbers(self) -> list[int]:
        labels = self._source.folder / "label-filt"
        return [number for number in self._source.numbers if (labels / f"{number}.png").is_file()]

    def _ids(self, number: int) -> NDArray[np.int32]:
        label = _read_ids(self._source.folder / "label-filt" / f"{number}.png")
        if not self._has_objects:
            return label * 1000
        instance = _read_ids(self._source.folder / "instance-filt" / f"{number}.png")
        if instance.shape != label.shape:
            raise ValueError(
                f"{number}.png must have labels and instances of one size, "
                f"got {label.shape} and {instance.shape}"
            )
        return np.where(label > 0, label * 1000 + instance, 0).astype(np.int32)


def _label_map(folder: Path) -> Path | None:
    whole = folder.resolve()
    places = [place / LABEL_MAP for place in (whole, *list(whole.parents)[:3])]
    return next((path for path in places if path.is_file()), None)


def _read_label_map(path: Path) -> dict[int, str]:
    try:
        with path.open(newline="") as file:
            rows = csv.DictReader(file, delimiter="\t")
            return {int(row["id"]): row["nyu40class"] for row in rows}
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} must have columns id and nyu40class: {error!r}") from None


def _names_something(name: str) -> bool:
    return name not in NAMELESS and not name.startswith(NAMELESS_STARTS)


def _read_ids(path: Path) -> NDArray[np.int32]:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2:
        came = None if image is None else image.shape
        raise ValueError(f"{path} must be an image of one channel, got {came}")
    return image.astype(np.int32)


def _truth(frame: PosedFrame, ids: NDArray[np.int32]) -> FrameTruth:
    """Ids of another size than the frame's are looked up in the nearest pixel."""
    size = frame.camera.width, frame.camera.height
    at_size = cv2.resize(ids.astype(np.float64), size, interpolation=cv2.INTER_NEAREST)
    depth_m = frame.depth_m
    if depth_m is None:
        depth_m = np.full(at_size.shape, np.nan, np.float32)
    return FrameTruth(frame.camera, frame.world_from_camera, at_size.astype(np.int32), depth_m)
