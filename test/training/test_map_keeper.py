"""When the map is loaded and saved by itself."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from semantic_field_ros.config import MapConfig
from semantic_field_ros.training.checkpoint import SavedMap, save_map
from semantic_field_ros.training.map_keeper import MapKeeper


class Owner:
    """A map that is only a version number."""

    def __init__(self, folder: Path, **config: object) -> None:
        self.version, self.saved, self.loaded = 0, [], []
        self.was_saved = threading.Event()
        self.fault: Exception | None = None
        self.zones: tuple = ()
        self.keyframes = 0
        settings = MapConfig(folder=str(folder), **config)  # type: ignore[arg-type]
        load, version = self.loaded.append, lambda: self.version
        zones, keyframes = lambda: self.zones, lambda: self.keyframes
        self.keeper = MapKeeper(settings, self.save, load, version, zones, keyframes)

    def save(self, path: Path) -> int:
        self.was_saved.set()
        if self.fault is not None:
            raise self.fault
        self.saved.append((path.name, self.version))
        return self.version


def until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come about in time")


def test_a_changed_map_is_saved_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    owner = Owner(tmp_path, autosave_s=0.01, autosave="kitchen")
    owner.keeper.start()
    owner.version = 3
    until(lambda: owner.saved == [("kitchen", 3)])
    owner.version = 4
    until(lambda: len(owner.saved) == 2)
    owner.keeper.stop()
    assert owner.saved == [("kitchen", 3), ("kitchen", 4)]  # the end brought nothing new


def test_what_came_since_the_last_time_is_saved_at_the_end(tmp_path: Path) -> None:
    owner = Owner(tmp_path, autosave_s=1e6)
    owner.keeper.start()
    owner.version = 5
    owner.keeper.stop()
    assert owner.saved == [("autosave", 5)]


def test_zones_that_changed_are_saved_though_the_map_is_as_it_was(tmp_path: Path) -> None:
    owner = Owner(tmp_path, autosave_s=0.01)
    owner.version = 3
    owner.keeper.start()
    until(lambda: owner.saved == [("autosave", 3)])
    owner.zones = ("the plant",)
    until(lambda: len(owner.saved) == 2)
    owner.keeper.stop()
    assert owner.saved == 2 * [("autosave", 3)]


def test_keyframes_that_came_while_nothing_is_learnt_are_saved(tmp_path: Path) -> None:
    owner = Owner(tmp_path, autosave_s=0.01)
    owner.version = 3
    owner.keeper.start()
    until(lambda: owner.saved == [("autosave", 3)])
    owner.keyframes = 1
    until(lambda: len(owner.saved) == 2)
    owner.keeper.stop()
    assert owner.saved == 2 * [("autosave", 3)]


def test_nothing_is_saved_of_an_empty_map_or_without_being_asked(tmp_path: Path) -> None:
    for owner, version in ((Owner(tmp_path, autosave_s=1e6), 0), (Owner(tmp_path), 5)):
        owner.keeper.start()
        owner.version = version
        owner.keeper.stop()
        assert owner.saved == []


def test_a_failed_save_is_tried_again(tmp_path: Path) -> None:
    owner = Owner(tmp_path, autosave_s=0.01)
    owner.version, owner.fault = 1, OSError("the disk is full")
    owner.keeper.start()
    assert owner.was_saved.wait(20)
    owner.fault = None
    until(lambda: owner.saved)
    owner.keeper.stop()


def test_the_autosaved_map_may_be_missing_at_first_any_other_may_not(tmp_path: Path) -> None:
    owner = Owner(tmp_path, load="autosave", autosave_s=1e6)
    owner.keeper.load()
    assert owner.loaded == []
    save_map(tmp_path, "autosave", SavedMap({}, {}))
    owner.version, owner.keyframes = 9, 4
    owner.keeper.load()
    assert owner.loaded == [tmp_path / "autosave"]
    owner.keeper.start()
    owner.keeper.stop()
    assert owner.saved == []  # it is as it was loaded
    other = Owner(tmp_path, load="kitchen")
    other.keeper.load()
    assert other.loaded == [tmp_path / "kitchen"]  # whose absence loading itself refuses


@pytest.mark.parametrize("config", [{"autosave": "../x"}, {"autosave_s": -1.0}])
def test_names_and_periods_that_cannot_be_are_refused(tmp_path: Path, config: dict) -> None:
    with pytest.raises(ValueError, match="got"):
        Owner(tmp_path, **config)
    with pytest.raises(ValueError, match="map name must be"):
        Owner(tmp_path, load="../x").keeper.load()
