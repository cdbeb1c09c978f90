"""Keep-out zones are saved with the map and come back as they were."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from semantic_field_ros.export.anchoring import Anchor
from semantic_field_ros.export.keepout import KeepOutZone, QueryZones
from semantic_field_ros.export.zones import Zones, pack_zones, unpack_zones
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.training.checkpoint import SavedMap, load_map, save_map

POSE = np.array([[0.0, 0, 1, 2], [-1, 0, 0, 0.1], [0, -1, 0, 0.3], [0, 0, 0, 1]])
WORDS = TextQuery(
    "plant",
    exclude=("red",),
    negatives=("thing",),
    relations=(Relation("near", "sofa"),),
    region_m=(np.array([0.0, 0, 0]), np.array([1.0, 2, 3])),
    reference_pose=POSE,
)
CLICK = ClickQuery(points_world=np.array([[1.1, 2.2, 3.3]], np.float32))


def asked() -> tuple[QueryZones, ...]:
    """A phrase with two answers, of which a keyframe shows one, and a click."""
    anchored = KeepOutZone("plant", np.array([[1.0, 2, 3], [1, 2, 4]]), 0.5, Anchor(7, 99, POSE))
    other = KeepOutZone("plant", np.array([[5.0, 2, 3]], np.float32), 0.5)
    clicked = KeepOutZone("", np.array([[1.1, 2.2, 3.3]]), 0.0)
    return QueryZones(WORDS, (anchored, other)), QueryZones(CLICK, (clicked,))


def on_disk(folder: Path) -> SavedMap:
    save_map(folder, "kitchen", pack_zones(asked()))
    return load_map(folder, "kitchen")


def test_zones_come_back_as_they_were_saved(tmp_path: Path) -> None:
    words, click = unpack_zones(on_disk(tmp_path))
    assert [(z.label, z.radius_m) for z in words.zones] == [("plant", 0.5), ("plant", 0.5)]
    assert [(z.label, z.radius_m) for z in click.zones] == [("", 0.0)]
    assert words.zones[0].points.tolist() == [[1, 2, 3], [1, 2, 4]]
    assert words.zones[1].points.tolist() == [[5, 2, 3]]
    assert click.zones[0].points.tolist() == [[1.1, 2.2, 3.3]]
    anchor = words.zones[0].anchor
    assert anchor is not None and (anchor.keyframe_id, anchor.stamp_ns) == (7, 99)
    np.testing.assert_array_equal(anchor.world_from_camera, POSE)
    assert words.zones[1].anchor is None


def test_the_same_question_still_replaces_its_zones(tmp_path: Path) -> None:
    words, click = unpack_zones(on_disk(tmp_path))
    assert words.asked_by(WORDS)
    assert not words.asked_by(TextQuery("plant"))
    assert click.asked_by(ClickQuery(points_world=np.array([[1.1, 2.2, 3.32]], np.float32)))
    assert not click.asked_by(ClickQuery(points_world=np.array([[1.1, 2.2, 3.4]], np.float32)))


def first(saved: SavedMap) -> dict:
    return saved.meta["zones"][0]


DAMAGE: dict[str, Callable[[SavedMap], object]] = {
    "no zones": lambda saved: saved.meta.pop("zones"),
    "no list": lambda saved: saved.meta.update(zones={"zones": 1}),
    "no points": lambda saved: saved.tensors.pop("zones.0.1"),
    "points of none": lambda saved: saved.tensors["zones.1.0"].fill_(float("nan")),
    "flat points": lambda saved: saved.tensors.update({"zones.1.0": torch.zeros(1, 2).double()}),
    "not a point": lambda saved: saved.tensors.update({"zones.1.0": torch.zeros(0, 3).double()}),
    "a negative radius": lambda saved: first(saved)["zones"][0].update(radius_m=-1.0),
    "a radius in words": lambda saved: first(saved)["zones"][0].update(radius_m="far"),
    "a label of numbers": lambda saved: first(saved)["zones"][0].update(label=5),
    "a pose that turns nothing": lambda saved: first(saved)["zones"][0]["anchor"].update(
        world_from_camera=np.ones((4, 4)).tolist()
    ),
    "letters for words": lambda saved: first(saved)["query"].update(exclude="red"),
    "an unknown relation": lambda saved: first(saved)["query"].update(
        relations=[["beside", "sofa"]]
    ),
    "half a region": lambda saved: first(saved)["query"].update(region_m=[[0, 0, 0]]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_zones_are_refused(damage: Callable[[SavedMap], object]) -> None:
    saved = pack_zones(asked())
    damage(saved)
    with pytest.raises(ValueError, match="the map's keep-out zones are damaged"):
        unpack_zones(saved)


def test_what_changed_meanwhile_is_not_overwritten() -> None:
    zones, (words, click) = Zones(), asked()
    before = zones.asked
    assert (before, zones.count) == ((), 0)
    after = (words,)
    assert zones.swap(before, after)
    assert (zones.asked, zones.count) == (after, 2)
    assert not zones.swap(before, (click,))
    assert zones.asked is after


def test_those_of_a_loaded_map_replace_all_others_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    zones, (words, click) = Zones(), asked()
    with caplog.at_level(logging.INFO, "semantic_field_ros"):
        zones.adopt(())
        assert caplog.text == ""
        zones.adopt((words,))
        zones.adopt((click,))
    assert zones.asked == (click,)
    first, second = (record.message for record in caplog.records)
    assert first == "keep-out zones: 2 of the loaded map, in place of 0 before"
    assert second == "keep-out zones: 1 of the loaded map, in place of 2 before"
