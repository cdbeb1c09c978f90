"""COLMAP's sparse models, as text or binary (https://colmap.github.io/format.html)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import invert_rigid, pose_from_quaternion

#: model name and number of parameters, by the number that the binary format uses.
MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
}
PARAMETERS = dict(MODELS.values())


@dataclass(frozen=True)
class ColmapCamera:
    """Size in pixels, camera model and its parameters in COLMAP's order."""

    model: str
    width: int
    height: int
    parameters: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.model not in PARAMETERS:
            raise ValueError(
                f"camera model must be one of {', '.join(PARAMETERS)}; got {self.model}"
            )
        if len(self.parameters) != PARAMETERS[self.model]:
            raise ValueError(
                f"{self.model} must have {PARAMETERS[self.model]} parameters, "
                f"got {len(self.parameters)}"
            )


@dataclass(frozen=True)
class ColmapImage:
    """File name, number of its camera, and (4, 4) world_from_camera in OpenCV axes."""

    name: str
    camera_id: int
    world_from_camera: NDArray[np.float64]


@dataclass(frozen=True)
class ColmapModel:
    """A reconstruction.

    Attributes:
        cameras: by id.
        images: those that were registered, by name.
        points: (N, 3) f64 triangulated points, world frame, in the model's own unit.
    """

    cameras: dict[int, ColmapCamera]
    images: tuple[ColmapImage, ...]
    points: NDArray[np.float64]


def find_model(scene: Path) -> Path | None:
    """The folder of a scene that holds a sparse model, or None."""
    for name in ("sparse/0", "sparse", "colmap/sparse/0"):
        if any((scene / name / f"cameras.{suffix}").is_file() for suffix in ("bin", "txt")):
            return scene / name
    return None


def read_model(folder: Path) -> ColmapModel:
    """Reads `cameras`, `images` and, if it is there, `points3D`, as `.bin` or else `.txt`.

    Raises:
        ValueError: files are missing, cut off, or of no known camera model.
    """
    binary = (folder / "cameras.bin").is_file()
    try:
        if binary:
            cameras = _cameras_bin((folder / "cameras.bin").read_bytes())
            images = _images_bin((folder / "images.bin").read_bytes())
        else:
            cameras = _cameras_txt((folder / "cameras.txt").read_text())
            images = _images_txt((folder / "images.txt").read_text())
        points = _points(folder)
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise ValueError(f"{folder} must hold a whole COLMAP model: {error}") from None
    unknown = {image.camera_id for image in images} - set(cameras)
    if not images or unknown:
        what = f"cameras {sorted(unknown)} are missing" if unknown else "no image is registered"
        raise ValueError(f"{folder} must hold a whole COLMAP model: {what}")
    return ColmapModel(cameras, tuple(sorted(images, key=lambda image: image.name)), points)


def _points(folder: Path) -> NDArray[np.float64]:
    if (folder / "points3D.bin").is_file():
        return _points_bin((folder / "points3D.bin").read_bytes())
    if (folder / "points3D.txt").is_file():
        lines = _rows((folder / "points3D.txt").read_text())
        rows = [[float(word) for word in line.split()[1:4]] for line in lines]
        return np.array(rows, np.float64).reshape(-1, 3)
    return np.zeros((0, 3))


class _Bytes:
    """Little-endian values, one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, form: str) -> tuple[float, ...]:
        """The next values of a `struct` format; raises struct.error at the end of the file."""
        values = struct.unpack_from("<" + form, self._data, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def count(self, least_size: int) -> int:
        """The next number of records, of which each takes at least so many bytes."""
        number = int(self.take("Q")[0])
        if number * least_size > len(self._data) - self._at:
            raise ValueError(f"{number} records do not fit into the file")
        return number

    def skip(self, size: int) -> None:
        """Leaves out bytes that must be there."""
        if size > len(self._data) - self._at:
            raise ValueError("the file is cut off")
        self._at += size

    def text(self) -> str:
        """The next text, up to its zero byte."""
        end = self._data.index(b"\0", self._at)
        text = self._data[self._at : end].decode()
        self._at = end + 1
        return text


def _cameras_bin(data: bytes) -> dict[int, ColmapCamera]:
    values, cameras = _Bytes(data), {}
    for _ in range(values.count(24)):
        camera_id, model, width, height = (int(value) for value in values.take("iiQQ"))
        if model not in MODELS:
            raise ValueError(f"camera model must be 0 to {max(MODELS)}, got number {model}")
        name, count = MODELS[model]
        cameras[camera_id] = ColmapCamera(name, width, height, values.take(f"{count}d"))
    return cameras


def _images_bin(data: bytes) -> list[ColmapImage]:
    values, images = _Bytes(data), []
    for _ in range(values.count(64)):
        _, *numbers, camera_id = values.take("i7di")
        name = values.text()
        values.skip(24 * values.count(24))  # u, v and number of each keypoint
        images.append(ColmapImage(name, int(camera_id), _pose(numbers)))
    return images


def _points_bin(data: bytes) -> NDArray[np.float64]:
    values = _Bytes(data)
    points = np.zeros((values.count(51), 3))
    for row in range(len(points)):
        points[row] = values.take("Q3d3Bd")[1:4]
        values.skip(8 * values.count(8))  # image and keypoint of each observation
    return points


def _cameras_txt(text: str) -> dict[int, ColmapCamera]:
    cameras = {}
    for line in _rows(text):
        camera_id, model, width, height, *parameters = line.split()
        cameras[int(camera_id)] = ColmapCamera(
            model, int(width), int(height), tuple(float(word) for word in parameters)
        )
    return cameras


def _images_txt(text: str) -> list[ColmapImage]:
    """Two lines an image, of which the second, its keypoints, may be empty."""
    lines, images = iter(text.splitlines()), []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            _, *numbers, camera_id, name = line.split(maxsplit=9)
            images.append(ColmapImage(name.strip(), int(camera_id), _pose(numbers)))
            next(lines, "")
    return images


def _rows(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _pose(numbers: list[float] | list[str]) -> NDArray[np.float64]:
    """world_from_camera from qw qx qy qz tx ty tz of camera_from_world."""
    qw, qx, qy, qz, *translation = (float(number) for number in numbers)
    quaternion = np.array([qx, qy, qz, qw])
    return invert_rigid(pose_from_quaternion(np.array(translation), quaternion))
