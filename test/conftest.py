"""A map of a small table that several files ask; made once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.stream.synthetic import SyntheticSource
    from semantic_field_ros.types import PosedFrame

# Modules beside this file are shared by tests; with importlib mode folders are not on the path.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def table() -> SyntheticSource:
    from table_map import CAMERA

    from semantic_field_ros.stream.synthetic import SyntheticSource

    return SyntheticSource("table", 1005, frames=14, camera=CAMERA)


@pytest.fixture(scope="session")
def table_frames(table: SyntheticSource) -> list[PosedFrame]:
    return list(table)


@pytest.fixture(scope="session")
def table_field(table_frames: list[PosedFrame]) -> Iterator[SemanticField]:
    """A map of all frames, kept at half their width, with all features and with views imagined
    between them; training is paused."""
    from table_map import CONFIG, wait_for

    from semantic_field_ros.engine import SemanticField

    with SemanticField(CONFIG) as built:
        for frame in table_frames:
            built.ingest(frame)
        wait_for(lambda: built.status()["features_done"] == built.status()["keyframes"])
        wait_for(lambda: built.status()["steps"] >= 150)
        wait_for(lambda: built.status()["imagined"] >= 1)
        assert built.wait_for_snapshot(built.status()["map_version"] + 2)
        built.pause()
        yield built
