"""Keep-out zones are part of a map: saved, loaded and replaced with it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wall_map import CONFIG, frame

from semantic_field_ros.config import MapConfig
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.export.keepout import KeepOutZone, QueryZones
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.training.checkpoint import load_map, save_map

PLANT, SOFA, LAMP = (
    QueryZones(TextQuery(name), (KeepOutZone(name, np.array([[x, 0.5, 0.25]]), 0.75),))
    for name, x in (("plant", 0.0), ("sofa", 1.0), ("lamp", 2.0))
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of four views of a wall, with a zone around a plant."""
    path = tmp_path_factory.mktemp("maps") / "kitchen"
    with SemanticField(CONFIG) as field:
        for i in range(4):
            field.ingest(frame(i))
        assert field.wait_for_snapshot()
        assert field.navigation.zones.swap((), (PLANT,))
        field.save(path)
    return path


def variant(saved: Path, name: str, zones: list) -> Path:
    map_ = load_map(saved.parent, saved.name)
    return save_map(saved.parent, name, replace(map_, meta=map_.meta | {"zones": zones}))


def test_a_loaded_map_brings_its_zones_in_place_of_others(
    saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    field = SemanticField(CONFIG)
    zones = field.navigation.zones
    assert zones.swap((), (SOFA, LAMP))
    with caplog.at_level("INFO", "semantic_field_ros"):
        field.load(saved)
    assert "keep-out zones: 1 of the loaded map, in place of 2 before" in caplog.text
    (question,) = zones.asked
    assert question.query == TextQuery("plant")
    (zone,) = question.zones
    assert (zone.label, zone.points.tolist(), zone.radius_m) == ("plant", [[0, 0.5, 0.25]], 0.75)
    field.reset()  # whoever asked for them did not ask for less
    assert zones.count == 1
    field.load(variant(saved, "empty", []))
    assert zones.count == 0


def test_damaged_zones_refuse_the_map_and_change_nothing(saved: Path) -> None:
    field = SemanticField(CONFIG)
    assert field.navigation.zones.swap((), (SOFA,))
    with pytest.raises(ValueError, match="the map's keep-out zones are damaged"):
        field.load(variant(saved, "damaged", [{"zones": []}]))
    assert (field.surface(), field.navigation.zones.asked) == (None, (SOFA,))


def test_a_field_starts_with_the_zones_of_its_map_and_saves_what_is_asked_later(
    saved: Path,
) -> None:
    maps = MapConfig(folder=str(saved.parent), load=saved.name, autosave_s=1e6)
    field = SemanticField(replace(CONFIG, map=maps))
    field.pause()
    with field:
        zones = field.navigation.zones
        assert [question.query.text for question in zones.asked] == ["plant"]
        assert zones.swap(zones.asked, (*zones.asked, SOFA))
    again = SemanticField(CONFIG)
    again.load(saved.parent / "autosave")
    assert [question.query.text for question in again.navigation.zones.asked] == ["plant", "sofa"]
