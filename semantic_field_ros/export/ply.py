"""Point clouds as binary PLY, with a label and a score per point."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semantic_field_ros.types import Mask3D, SurfaceCloud

_VERTEX = np.dtype(
    [
        *((axis, "<f4") for axis in ("x", "y", "z", "nx", "ny", "nz")),
        *((channel, "u1") for channel in ("red", "green", "blue")),
        ("label", "<i4"),
        ("score", "<f4"),
    ]
)
_PLY_TYPES = {"f": "float", "u": "uchar", "i": "int"}


def write_ply(path: Path, surface: SurfaceCloud, masks: Sequence[Mask3D] = ()) -> None:
    """Writes a surface into a .ply file, replacing one of that name atomically.

    `label` is 0 where a point belongs to no mask, else the position of its mask + 1; comments in
    the header name the labels. Where masks overlap, the earlier one has the point.

    Raises:
        ValueError: another suffix, or a mask of another map version than the surface.
    """
    if path.suffix != ".ply":
        raise ValueError(f"a cloud is written as .ply, got {path.name!r}")
    vertices = np.zeros(len(surface.points), _VERTEX)
    for column, names in ((surface.points, "x y z"), (surface.normals, "nx ny nz")):
        for axis, name in enumerate(names.split()):
            vertices[name] = column[:, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = surface.rgb[:, channel]
    for number, mask in reversed(list(enumerate(masks, start=1))):
        if mask.map_version != surface.map_version:
            raise ValueError(
                f"masks must be of map version {surface.map_version}, got {mask.map_version}"
            )
        vertices["label"][mask.indices] = number
        vertices["score"][mask.indices] = mask.point_scores
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / path.name
        partial.write_bytes(_header(len(vertices), masks) + vertices.tobytes())
        os.replace(partial, path)


def _header(count: int, masks: Sequence[Mask3D]) -> bytes:
    kinds = [(name, _VERTEX[name].kind) for name in _VERTEX.names or ()]
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment metres, map frame",
        *(f"comment label {n} {_one_line(m.label)}" for n, m in enumerate(masks, start=1)),
        f"element vertex {count}",
        *(f"property {_PLY_TYPES[kind]} {name}" for name, kind in kinds),
        "end_header",
    ]
    return ("\n".join(lines) + "\n").encode("ascii")


def _one_line(label: str) -> str:
    return " ".join(label.encode("ascii", "replace").decode().split())
