"""Maps on disk: one folder each, holding JSON and safetensors, never anything that is executed.

`map.json` names the tensor file that belongs to it and is replaced in one step, after that file is
complete: whenever the process dies, the folder still holds the last map that was saved whole.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

#: raised when what is written is not what other readers expect.
FORMAT_VERSION = 8
FORMAT = "semantic_field_ros map"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_TENSOR_FILE = re.compile(r"tensors-\d{6}\.safetensors")
#: a map that is saved anew while it is read is read anew, but no more than this many times.
READS = 3
#: two threads that save under one name must not write the same file.
_writing = threading.Lock()


@dataclass(frozen=True)
class SavedMap:
    """What a map consists of.

    Attributes:
        meta: plain JSON values.
        tensors: by dotted name.
    """

    meta: dict[str, Any]
    tensors: dict[str, torch.Tensor]


def map_path(folder: Path, name: str) -> Path:
    """The folder of a map.

    Raises:
        ValueError: a name that is not a plain folder name inside `folder`.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "map name must be letters, digits, '_', '-' and '.', starting with a letter or digit, "
            f"at most 100; got {name!r}"
        )
    path = folder / name
    if path.is_symlink():
        raise ValueError(f"map {name!r} must be a folder inside {folder}, got a symbolic link")
    return path


def save_map(folder: Path, name: str, saved: SavedMap) -> Path:
    """Writes a map, replacing the one of that name atomically.

    Args:
        folder: where maps live; made if missing.
        name: of the map.
        saved: what to write.

    Returns:
        The map's folder.

    Raises:
        ValueError: an unusable name.
    """
    path = map_path(folder, name)
    path.mkdir(parents=True, exist_ok=True)
    with _writing:
        _write(path, saved)
    return path


def _write(path: Path, saved: SavedMap) -> None:
    file = path / f"tensors-{_next_number(path):06d}.safetensors"
    partial = path / f"{file.name}.partial"
    save_file(
        {key: value.detach().cpu().contiguous() for key, value in saved.tensors.items()}, partial
    )
    _flush_and_rename(partial, file)
    head = {"format": FORMAT, "version": FORMAT_VERSION, "tensors": file.name, "map": saved.meta}
    partial = path / "map.json.partial"
    partial.write_text(json.dumps(head, allow_nan=False) + "\n")
    _flush_and_rename(partial, path / "map.json")
    for old in path.glob("tensors-*"):
        if old.name != file.name:
            old.unlink()


def load_map(folder: Path, name: str, map_frame: str = "") -> SavedMap:
    """Reads and checks a map.

    Args:
        folder: where maps live.
        name: of the map.
        map_frame: name of the frame that it must be in, if it was saved with one; empty = any.

    Raises:
        ValueError: no such map, another format, version or frame, or a damaged file; says which.
    """
    for _ in range(READS):
        head, file = _head(folder, name)
        _check_frame(head["map"], name, map_frame)
        try:
            return SavedMap(head["map"], load_file(file))
        except (SafetensorError, OSError, RuntimeError) as error:  # the last one is torch's
            fault = error  # unless the file is gone because the map was saved anew meanwhile
    raise ValueError(f"map {name!r} is damaged: {file.name}: {fault}") from fault


def _head(folder: Path, name: str) -> tuple[dict[str, Any], Path]:
    """What `map.json` says now, and the tensor file that it names."""
    path = map_path(folder, name)
    try:
        head = json.loads((path / "map.json").read_text())
    except FileNotFoundError:
        raise ValueError(f"no map {name!r} in {folder}; there are {list_maps(folder)}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"map {name!r} is damaged: map.json is not JSON ({error})") from error
    file = path / checked_head(head, name)
    if file.is_symlink():
        raise ValueError(f"map {name!r} must hold its own tensors, got a symbolic link")
    return head, file


def list_maps(folder: Path) -> list[str]:
    """Names of the maps in a folder."""
    return sorted(path.parent.name for path in folder.glob("*/map.json"))


def with_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those tensors that lie under `prefix.`, by their names below it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def checked_head(head: Any, name: str) -> str:
    """The tensor file that the JSON tree of a `map.json` names.

    Raises:
        ValueError: it is none of this format and version, or damaged.
    """
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError(f"map {name!r} must be a {FORMAT!r}, got another JSON file")
    if head.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"map {name!r} must have version {FORMAT_VERSION}, got {head.get('version')!r}"
        )
    file = head.get("tensors")
    if not isinstance(file, str) or not _TENSOR_FILE.fullmatch(file):
        raise ValueError(f"map {name!r} must name a tensor file of its own, got {file!r}")
    if not isinstance(head.get("map"), dict):
        raise ValueError(f"map {name!r} is damaged: it has no 'map'")
    return file


def _check_frame(meta: Mapping[str, Any], name: str, map_frame: str) -> None:
    """Raises ValueError if a map was saved in another frame; most that no node saved name none."""
    theirs = meta.get("frame", "")
    if not isinstance(theirs, str):
        raise ValueError(f"map {name!r} is damaged: its frame must be a name, got {theirs!r}")
    if theirs and map_frame and theirs != map_frame:
        raise ValueError(
            f"map {name!r} must be in the node's map_frame {map_frame!r}, got one that was saved "
            f"in {theirs!r}: start the node with map_frame:={theirs} to load it"
        )


def _next_number(path: Path) -> int:
    numbers = [int(file.name[8:14]) for file in path.glob("tensors-[0-9]*.safetensors")]
    return max(numbers, default=0) % 999_999 + 1


def _flush_and_rename(partial: Path, final: Path) -> None:
    """A name that appears only when its bytes are on the disk."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, final)
