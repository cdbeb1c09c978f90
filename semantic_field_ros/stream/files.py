"""Reads the files that recordings consist of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.stream.decoding import decode_compressed_depth, decode_compressed_image

T = TypeVar("T")


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) u8 of a JPEG or PNG file.

    Raises:
        ValueError: damaged or of another kind.
        OSError: cannot be read.
    """
    return decode_compressed_image(path.read_bytes(), path.suffix.lstrip("."))


def read_depth_png(path: Path) -> NDArray[np.float32]:
    """(H, W) f32 metres of a 16-bit PNG in millimetres; 0 and 65535 become NaN.

    Raises:
        ValueError: damaged or of another kind.
        OSError: cannot be read.
    """
    return decode_compressed_depth(path.read_bytes(), "png")


def read_text_matrix(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A matrix of numbers in rows of text.

    Raises:
        ValueError: missing, not numbers, or of another shape.
    """
    if not path.is_file():
        raise ValueError(f"{path} must hold a {shape[0]}x{shape[1]} matrix, but does not exist")
    try:
        rows = [[float(word) for word in line.split()] for line in path.read_text().splitlines()]
        matrix = np.array([row for row in rows if row], np.float64)
    except ValueError as error:
        raise ValueError(f"{path} must hold rows of numbers: {error}") from None
    if matrix.shape != shape:
        raise ValueError(f"{path} must hold a matrix of shape {shape}, got {matrix.shape}")
    return matrix


def inside(folder: Path, name: str) -> Path:
    """The file `name` of a folder, refusing to leave it.

    Raises:
        ValueError: absolute, or leads out of the folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"file {name!r} must stay inside {folder}")
    return path


def numbered(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> list[tuple[int, Path]]:
    """(number, file) of the files `PREFIX` + number + suffix in a folder, by number.

    Raises:
        ValueError: there is none.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        digits = path.stem.removeprefix(prefix)
        if path.suffix.lower() in suffixes and path.stem.startswith(prefix) and digits.isdigit():
            found.setdefault(int(digits), path)
    if not found:
        raise ValueError(f"{folder} must hold files {prefix}N{suffixes[0]}, found none")
    return sorted(found.items())


def evenly(items: Sequence[T], count: int | None) -> list[T]:
    """`count` of the items, evenly spread from first to last; None = all."""
    if count is None or count >= len(items):
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
