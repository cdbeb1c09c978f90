import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from semantic_field_ros.training.checkpoint import SavedMap, save_map
from semantic_field_ros.training.map_list import describe_maps

META = {"keyframes": [{}, {}], "map_version": 7, "methods": ["maskfield"]}


def test_maps_are_listed_by_name_with_what_they_hold(tmp_path: Path) -> None:
    for name in ("kitchen", "hall"):
        save_map(tmp_path, name, SavedMap(META, {"field.table": torch.zeros(1000)}))
    (tmp_path / "surface.ply").write_text("no map")
    hall, kitchen = describe_maps(tmp_path)
    assert (hall.name, kitchen.name) == ("hall", "kitchen")
    assert (hall.keyframes, hall.map_version, hall.methods) == (2, 7, ("maskfield",))
    assert hall.size_bytes > 4000 and hall.saved_ns > 0 and hall.problem == ""


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    head = save_map(tmp_path, "old", SavedMap(META, {})) / "map.json"
    head.write_text(json.dumps(json.loads(head.read_text()) | {"version": 2}))
    (save_map(tmp_path, "torn", SavedMap(META, {})) / "map.json").write_text("{")
    save_map(tmp_path, "vague", SavedMap({}, {}))
    old, torn, vague = describe_maps(tmp_path)
    assert "must have version 8, got 2" in old.problem and old.keyframes == 0
    assert torn.problem and vague.problem


def test_an_odd_entry_does_not_hide_the_others(tmp_path: Path) -> None:
    save_map(tmp_path, "kitchen", SavedMap(META, {}))
    (tmp_path / "folder" / "map.json").mkdir(parents=True)
    folder, kitchen = describe_maps(tmp_path)
    assert (kitchen.name, kitchen.keyframes, kitchen.problem) == ("kitchen", 2, "")
    assert "Is a directory" in folder.problem


def test_a_map_that_is_being_saved_anew_is_whole(tmp_path: Path) -> None:
    saved = SavedMap(META, {"field.table": torch.zeros(10)})
    save_map(tmp_path, "kitchen", saved)
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(lambda: [save_map(tmp_path, "kitchen", saved) for _ in range(300)])
        while not saving.done():
            assert [found.problem for found in describe_maps(tmp_path)] == [""]
        assert len(saving.result()) == 300


def test_no_folder_holds_no_maps(tmp_path: Path) -> None:
    assert describe_maps(tmp_path / "nowhere") == []
