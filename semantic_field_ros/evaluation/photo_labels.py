"""Where the masks of photos lie: in LERF-Mask's, 3D-OVS's and LERF-OVS's layouts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.photos import PhotoSource, image_folder, image_names

logger = logging.getLogger(__name__)

Masks = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class PhotoLabels:
    """Masks of some photos, each named by a phrase.

    Attributes:
        phrases: all that occur.
        views: by the photo's number, what reads its masks, all of one size (H, W).
        names_every_place: whether the phrases are a closed list of classes.
    """

    phrases: tuple[str, ...]
    views: Mapping[int, Callable[[], Masks]]
    names_every_place: bool


def read_photo_labels(source: PhotoSource) -> PhotoLabels | None:
    """The labels that lie in or beside the folder of some photos, None where there are none.

    - `test_mask/VIEW/PHRASE.png` (LERF-Mask, Ye et al. 2024); VIEW is the name of a photo without
      its suffix, or counts the photos that are not in `images_train`.
    - `segmentations/classes.txt` and `segmentations/VIEW/CLASS.png` (3D-OVS, Liu et al. 2023);
      VIEW counts the photos in order of their names.
    - `label/PHOTO.json`, or `../label/SCENE/PHOTO.json` (LERF-OVS, Qin et al. 2024): polygons.

    White is inside. Masks may be smaller than the photos.

    Raises:
        ValueError: they belong to none of the photos, or are broken.
    """
    scene = source.folder
    if (scene / "test_mask").is_dir():
        return _mask_folders(source, scene / "test_mask")
    if (scene / "segmentations" / "classes.txt").is_file():
        return _class_folders(source, scene / "segmentations")
    for folder in (scene / "label", scene.parent / "label" / scene.name):
        if next(folder.glob("*.json"), None) is not None:
            return _polygons(source, folder)
    return None


def _mask_folders(source: PhotoSource, folder: Path) -> PhotoLabels:
    masks = {
        view.name: sorted(view.glob("*.png")) for view in sorted(folder.iterdir()) if view.is_dir()
    }
    phrases = {path.stem for files in masks.values() for path in files}
    views = {name: _reader({path.stem: path for path in files}) for name, files in masks.items()}
    train = source.folder / "images_train"
    kept = {Path(name).stem for name in image_names(train)} if train.is_dir() else set()
    counted = [name for name in source.names if Path(name).stem not in kept]
    return _joined(source, folder, phrases, views, counted, closed=False)


def _class_folders(source: PhotoSource, folder: Path) -> PhotoLabels:
    lines = (folder / "classes.txt").read_text().splitlines()
    classes = sorted({line.strip() for line in lines if line.strip()})
    views = {
        view.name: _reader({name: view / f"{name}.png" for name in classes})
        for view in sorted(folder.iterdir())
        if view.is_dir()
    }
    counted = image_names(image_folder(source.folder))
    return _joined(source, folder, classes, views, counted, closed=True)


def _polygons(source: PhotoSource, folder: Path) -> PhotoLabels:
    phrases, views = set(), {}
    for file in sorted(folder.glob("*.json")):
        masks = _drawn(file)
        phrases |= set(masks)
        views[file.stem] = lambda masks=masks: masks
    return _joined(source, folder, phrases, views, [], closed=False)


def _joined(
    source: PhotoSource,
    folder: Path,
    phrases: set[str] | list[str],
    views: Mapping[str, Callable[[], Masks]],
    counted: list[str],
    closed: bool,
) -> PhotoLabels:
    """Labels by the number of the photo that a view's name, or its place in `counted`, means."""
    numbers = {Path(name).stem: number for number, name in enumerate(source.names)}
    found = {}
    for name, read in views.items():
        stem = name
        if name not in numbers and name.isdigit() and int(name) < len(counted):
            stem = Path(counted[int(name)]).stem
        if stem in numbers:
            found[numbers[stem]] = read
        else:
            logger.warning("%s: no photo with a pose belongs to the labels %s", folder, name)
    if not found or not phrases:
        raise ValueError(f"{folder} must hold labels of the photos in {source.folder}, found none")
    return PhotoLabels(tuple(sorted(phrases)), found, closed)


def _reader(files: Mapping[str, Path]) -> Callable[[], Masks]:
    def read() -> Masks:
        return {phrase: _read_mask(path) for phrase, path in files.items() if path.is_file()}

    return read


def _read_mask(path: Path) -> NDArray[np.bool_]:
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{path} must be an image of a mask")
    return np.asarray(grey > 127)


def _drawn(file: Path) -> Masks:
    """{"info": {width, height}, "objects": [{category, segmentation: [[u, v], …]}, …]}."""
    try:
        tree = json.loads(file.read_text())
        size = int(tree["info"]["height"]), int(tree["info"]["width"])
        masks: Masks = {}
        for thing in tree["objects"]:
            polygon = np.asarray(thing["segmentation"], np.float64).reshape(-1, 2)
            mask = np.zeros(size, np.uint8)
            cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
            phrase = str(thing["category"])
            masks[phrase] = masks.get(phrase, np.zeros(size, np.bool_)) | (mask > 0)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} must hold info and objects with polygons: {error!r}") from None
    return masks
