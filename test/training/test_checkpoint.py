"""Maps on disk survive crashes and refuse what is not theirs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from semantic_field_ros.training import checkpoint
from semantic_field_ros.training.checkpoint import SavedMap, load_map, save_map


def saved(value: float) -> SavedMap:
    return SavedMap({"value": value}, {"field.table": torch.full((3, 2), value)})


def test_round_trip(tmp_path: Path) -> None:
    save_map(tmp_path, "kitchen", saved(2.5))
    loaded = load_map(tmp_path, "kitchen")
    assert loaded.meta == {"value": 2.5}
    assert loaded.tensors["field.table"].tolist() == [[2.5, 2.5]] * 3
    assert checkpoint.list_maps(tmp_path) == ["kitchen"]


def in_frame(name: object) -> SavedMap:
    return SavedMap({"frame": name}, {"field.table": torch.zeros(1)})


def test_a_map_of_another_frame_is_refused_with_what_to_do(tmp_path: Path) -> None:
    save_map(tmp_path, "kitchen", in_frame("odom"))
    with pytest.raises(ValueError) as refused:
        load_map(tmp_path, "kitchen", "map")
    assert str(refused.value) == (
        "map 'kitchen' must be in the node's map_frame 'map', got one that was saved in 'odom': "
        "start the node with map_frame:=odom to load it"
    )
    assert load_map(tmp_path, "kitchen", "odom").meta == {"frame": "odom"}
    assert load_map(tmp_path, "kitchen").meta == {"frame": "odom"}


def test_a_map_of_no_frame_is_loaded_in_any(tmp_path: Path) -> None:
    """As one without a node is, and as one of an earlier version is."""
    save_map(tmp_path, "offline", in_frame(""))
    save_map(tmp_path, "older", saved(1.0))
    for name in ("offline", "older"):
        assert "field.table" in load_map(tmp_path, name, "odom").tensors


def test_a_frame_that_is_no_name_is_refused(tmp_path: Path) -> None:
    save_map(tmp_path, "kitchen", in_frame(["odom"]))
    with pytest.raises(ValueError, match=r"damaged: its frame must be a name, got \['odom'\]"):
        load_map(tmp_path, "kitchen")


def test_saving_again_leaves_one_tensor_file(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 3.0):
        save_map(tmp_path, "kitchen", saved(value))
    assert load_map(tmp_path, "kitchen").meta == {"value": 3.0}
    assert len(list((tmp_path / "kitchen").iterdir())) == 2


@pytest.mark.parametrize("renames_before_the_crash", [0, 1])
def test_killed_while_saving_keeps_the_last_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames_before_the_crash: int
) -> None:
    save_map(tmp_path, "kitchen", saved(1.0))
    left, rename = renames_before_the_crash, os.replace

    def killed(source: Path, target: Path) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        rename(source, target)

    with monkeypatch.context() as context:
        context.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save_map(tmp_path, "kitchen", saved(2.0))
    assert load_map(tmp_path, "kitchen").meta == {"value": 1.0}
    save_map(tmp_path, "kitchen", saved(3.0))
    assert load_map(tmp_path, "kitchen").meta == {"value": 3.0}


SAVE_FOR_EVER = """
import itertools, pathlib, sys, torch
from semantic_field_ros.training.checkpoint import SavedMap, save_map
for value in itertools.count(1.0):
    tensors = {"field.table": torch.full((500_000, 2), value)}
    save_map(pathlib.Path(sys.argv[1]), "kitchen", SavedMap({"value": value}, tensors))
    print(value, flush=True)
"""


def test_killed_at_any_moment_leaves_a_whole_map(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)]
    root = Path(__file__).parents[2]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert child.stdout is not None
    for _ in range(5):
        told = float(child.stdout.readline())
    child.kill()
    child.communicate(timeout=60)
    loaded = load_map(tmp_path, "kitchen")
    assert loaded.meta["value"] >= told
    assert (loaded.tensors["field.table"] == loaded.meta["value"]).all()


class Payload:
    """What a pickle would run when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def test_a_pickle_in_place_of_the_tensors_is_not_read(tmp_path: Path) -> None:
    path = save_map(tmp_path, "kitchen", saved(1.0))
    torch.save({"field.table": Payload(tmp_path / "ran")}, next(path.glob("tensors-*")))
    with pytest.raises(ValueError, match="map 'kitchen' is damaged"):
        load_map(tmp_path, "kitchen")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["../etc", "/etc", "a/b", "", ".hidden", "x" * 101])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="map name must be"):
        load_map(tmp_path, name)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    save_map(tmp_path / "elsewhere", "kitchen", saved(1.0))
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "kitchen")
    with pytest.raises(ValueError, match="got a symbolic link"):
        load_map(tmp_path, "link")


def test_a_missing_map_names_those_that_exist(tmp_path: Path) -> None:
    save_map(tmp_path, "kitchen", saved(1.0))
    with pytest.raises(ValueError, match=r"no map 'hall' in .*; there are \['kitchen'\]"):
        load_map(tmp_path, "hall")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "must be a 'semantic_field_ros map'"),
        ({"version": 99}, r"must have version 8, got 99"),
        ({"tensors": "../../secret"}, "must name a tensor file of its own"),
        ({"map": None}, "it has no 'map'"),
    ],
)
def test_tampered_heads_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    head = save_map(tmp_path, "kitchen", saved(1.0)) / "map.json"
    head.write_text(json.dumps(json.loads(head.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        load_map(tmp_path, "kitchen")


def test_truncated_tensors_are_refused(tmp_path: Path) -> None:
    path = save_map(tmp_path, "kitchen", saved(1.0))
    file = next(path.glob("tensors-*"))
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match="map 'kitchen' is damaged"):
        load_map(tmp_path, "kitchen")


@pytest.mark.parametrize(
    "error", [FileNotFoundError("before it was opened"), RuntimeError("before torch opened it")]
)
def test_a_map_that_is_saved_anew_while_it_is_read_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save_map(tmp_path, "kitchen", saved(1.0))
    read = checkpoint.load_file

    def saved_meanwhile(file: Path) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(checkpoint, "load_file", read)
        save_map(tmp_path, "kitchen", saved(2.0))
        assert not file.exists()
        raise error

    monkeypatch.setattr(checkpoint, "load_file", saved_meanwhile)
    loaded = load_map(tmp_path, "kitchen")
    assert loaded.meta == {"value": 2.0}
    assert loaded.tensors["field.table"].tolist() == [[2.0, 2.0]] * 3


def test_tensors_that_are_gone_for_good_are_told(tmp_path: Path) -> None:
    next(save_map(tmp_path, "kitchen", saved(1.0)).glob("tensors-*")).unlink()
    with pytest.raises(ValueError, match="map 'kitchen' is damaged: tensors-000001.safetensors"):
        load_map(tmp_path, "kitchen")


def test_prefixes_are_inverse() -> None:
    tensors = {"a": torch.zeros(1), "b.c": torch.ones(1)}
    named = checkpoint.with_prefix("field", tensors)
    assert sorted(named) == ["field.a", "field.b.c"]
    assert checkpoint.without_prefix("field", named | {"fielder.x": torch.ones(1)}) == tensors
