"""The config tree refuses what it does not know."""

import math
import re
from pathlib import Path
from typing import Any

import pytest

from semantic_field_ros.config import Config, SurfaceConfig, from_dict, load_config, to_dict


def test_round_trip_keeps_every_value() -> None:
    tree = {"scene": {"box_m": [0, 0, 0, 1, 2, 3]}, "training": {"rays": 7}}
    config = from_dict(tree)
    assert config.scene.box_m == (0.0, 0.0, 0.0, 1.0, 2.0, 3.0)
    assert config.training.rays == 7
    assert from_dict(to_dict(config)) == config


def test_unknown_key_names_itself_and_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown config key scene\.bounds.*box_m"):
        from_dict({"scene": {"bounds": 1}})


@pytest.mark.parametrize("value", ["many", 1.5, True, None])
def test_wrong_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"training\.rays must be .*int"):
        from_dict({"training": {"rays": value}})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"training": {"settle_steps": 0}},
            "training.settle_steps must be in [1, 1000000], got 0",
        ),
        (
            {"training": {"keyframes_to_start": 0}},
            "keyframes_to_start must be in [1, 1000], got 0",
        ),
        (
            {"training": {"depth_weight": math.nan}},
            "depth_weight must be in [0.0, 1000.0], got nan",
        ),
        ({"field": {"occupancy_resolution": 0}}, "field.occupancy_resolution must be in [8, 512]"),
        (
            {"semantics": {"lerf": {"every": 0}}},
            "semantics.lerf.every must be in [1, 1000], got 0",
        ),
        ({"scene": {"box_m": [0, 0, 0, 1, 1, 1e9]}}, "scene.box_m must be in [-10000.0, 10000.0]"),
        (
            {"scene": {"box_m": [0, 0, 2, 1, 1, 1]}},
            "scene.box_m must be 6 numbers, minimum corner",
        ),
        ({"scene": {"box_m": []}}, "scene.box_m must be 6 numbers, minimum corner"),
        (
            {"field": {"samples_with_depth": 5}},
            "field.samples_in_free_space must be less than field.samples_with_depth, got 5 and 5",
        ),
        ({"semantics": {"lerf": {"grid": {"features": 3}}}}, "must be 2, 4 or 8, got 3"),
        (
            {"navigation": {"obstacle_low_m": 2.0}},
            "obstacle_low_m must be less than navigation.obstacle_high_m, got 2.0 and 1.2",
        ),
    ],
)
def test_a_number_out_of_its_range_is_refused_before_anything_starts(
    tree: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        from_dict(tree)


@pytest.mark.parametrize(
    ("path", "choices"),
    [
        ("field.backend", "'auto', 'tcnn', 'numba', 'torch'"),
        ("queries.click_features", "'cached', 'rendered'"),
        ("queries.refine_with", "'object_field', 'votes', 'masks'"),
        ("semantics.pyramid.override", "'none', 'single_scale', 'full'"),
        ("semantics.pyramid.padding", "'surroundings', 'zeros'"),
        ("semantics.ovnerf.ranking", "'none', 'majority', 'language'"),
    ],
)
def test_a_word_that_is_no_choice_is_refused_with_the_choices(path: str, choices: str) -> None:
    tree: Any = "magic"
    for name in reversed(path.split(".")):
        tree = {name: tree}
    with pytest.raises(ValueError, match=rf"{path} must be one of \({choices}\), got 'magic'"):
        from_dict(tree)


def test_ranges_hold_however_a_config_is_made() -> None:
    with pytest.raises(ValueError, match=r"surface\.stride_px must be in \[1, 64\], got 0"):
        Config(surface=SurfaceConfig(stride_px=0))


def test_overrides_lie_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text("training: {rays: 10, threads: 2}\n")
    config = load_config(path, {"training": {"rays": 20}})
    assert (config.training.rays, config.training.threads) == (20, 2)


def test_a_file_that_is_no_yaml_is_refused_by_name_and_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("training: {rays: 10}\nscene: [1,\n")
    with pytest.raises(ValueError, match=r"bad\.yaml: line 3, column 1: .*<stream end>"):
        load_config(path)


def test_a_file_of_no_options_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- training\n")
    with pytest.raises(TypeError, match=r"list\.yaml must hold options by name, got a list"):
        load_config(path)


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert load_config(path) == Config()
