"""What can be exported, and which file writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semantic_field_ros.export.mesh import export_mesh
from semantic_field_ros.export.mesh_views import mesh_views
from semantic_field_ros.export.ply import write_ply
from semantic_field_ros.export.transforms import write_transforms
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.queries.answering import Answering
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Mask3D, PosedFrame

EXPORTS = ("surface", "instances", "mesh", "transforms")


class Exporter:
    """Writes parts of a snapshot for other programs.

    Args:
        memory: the keyframes.
        answering: tells what is one thing.
    """

    def __init__(self, memory: ReplayMemory, answering: Answering) -> None:
        self._memory, self._answering = memory, answering

    def write(
        self, snapshot: Snapshot | None, path: Path, what: str, masks: Sequence[Mask3D]
    ) -> None:
        """Writes one of `EXPORTS`; see `SemanticField.export`."""
        if what not in EXPORTS:
            raise ValueError(f"export must be one of {EXPORTS}, got {what!r}")
        if snapshot is None:
            raise RuntimeError("there is no map to export yet: ingest frames first")
        surface = snapshot.surface
        if what == "transforms":
            write_transforms(path, self._frames(), surface)
        elif what == "mesh":
            export_mesh(path, surface, mesh_views(snapshot, self._memory), masks)
        elif what == "instances":
            write_ply(path, surface, self._answering.instances(snapshot, ()).masks)
        else:
            write_ply(path, surface, masks)

    def _frames(self) -> list[PosedFrame]:
        """Those that are held, in the order of their stamps."""
        held = [self._memory.get(view.keyframe_id) for view in self._memory.views()]
        frames = [keyframe.frame for keyframe in held if keyframe is not None]
        return sorted(frames, key=lambda frame: frame.stamp_ns)
