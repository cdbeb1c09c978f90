"""What the page saves, inside the configured map folder and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.types import Mask3D

KINDS = ("cloud (PLY)", "mesh (GLB)", "map")
SUFFIX = dict(zip(KINDS, (".ply", ".glb", ""), strict=True))


def save(field: SemanticField, kind: str, name: str, masks: Sequence[Mask3D]) -> Path:
    """Writes one of KINDS and says where.

    Args:
        field: the map.
        kind: of file.
        name: of the file without its ending, a plain name.
        masks: of the newest map: labelled in the cloud, cut out of the mesh; none = everything.

    Raises:
        ValueError: an unknown kind, a name that is a path, masks of an older map.
        RuntimeError: there is no map yet.
    """
    if kind not in KINDS:
        raise ValueError(f"expected one of {KINDS} to save, got {kind!r}")
    name = name.strip()
    if not name or Path(name).name != name or name.startswith("."):
        raise ValueError(f"expected a plain name without folders, got {name!r}")
    folder = Path(field.config.map.folder).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}{SUFFIX[kind]}"
    if kind == "map":
        field.save(path)
    else:
        field.export(path, "surface" if kind == KINDS[0] else "mesh", masks)
    return path
