"""The config tree refuses what it does not know."""

from pathlib import Path

import pytest

from semantic_field_ros.config import Config, from_dict, load_config, to_dict


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


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert load_config(path) == Config()
