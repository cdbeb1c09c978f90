"""What is saved by itself while training stands still."""

from dataclasses import replace
from pathlib import Path

from table_map import wait_for
from wall_map import CONFIG, frame

from semantic_field_ros.config import MapConfig
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.training.checkpoint import load_map


def test_keyframes_and_features_that_come_while_training_is_paused_are_saved(
    tmp_path: Path,
) -> None:
    def saved() -> list:
        return load_map(tmp_path, "autosave").meta["keyframes"]

    maps = MapConfig(folder=str(tmp_path), autosave_s=0.1)
    with SemanticField(replace(CONFIG, map=maps)) as field:
        for i in range(4):
            field.ingest(frame(i))
        assert field.wait_for_snapshot()
        field.pause()
        wait_for((tmp_path / "autosave" / "map.json").exists)
        wait_for(lambda: len(saved()) == 4 and all(k["proposals"] is not None for k in saved()))
        assert field.ingest(frame(4)).keep
        wait_for(lambda: len(saved()) == 5 and saved()[4]["proposals"] is not None)
