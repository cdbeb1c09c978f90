"""Which maps a folder holds, without loading them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from semantic_field_ros.training.checkpoint import checked_head, list_maps


@dataclass(frozen=True)
class MapInfo:
    """What is known of a map on disk.

    Attributes:
        name: of its folder.
        saved_ns: when it was written, system time, nanoseconds; 0 if that cannot be read.
        size_bytes: of all its files.
        keyframes: how many it holds.
        map_version: of its surface.
        methods: semantic methods that it was trained with.
        problem: why it cannot be loaded, "" if nothing is known to be wrong.
    """

    name: str
    saved_ns: int
    size_bytes: int
    keyframes: int = 0
    map_version: int = 0
    methods: tuple[str, ...] = ()
    problem: str = ""


def describe_maps(folder: Path) -> list[MapInfo]:
    """The maps in a folder, by name; empty where there is no such folder."""
    return [_describe(folder / name) for name in list_maps(folder)]


def _describe(path: Path) -> MapInfo:
    head, saved_ns, size_bytes = path / "map.json", 0, 0
    try:
        saved_ns = head.stat().st_mtime_ns
        size_bytes = sum(map(_size_bytes, path.iterdir()))
        tree = json.loads(head.read_text())
        checked_head(tree, path.name)
        meta = tree["map"]
        known = len(meta["keyframes"]), int(meta["map_version"]), tuple(meta["methods"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return MapInfo(path.name, saved_ns, size_bytes, problem=str(error))
    return MapInfo(path.name, saved_ns, size_bytes, *known)


def _size_bytes(file: Path) -> int:
    """0 for a file that went since the folder was listed, as while its map is saved anew."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:
        return 0
