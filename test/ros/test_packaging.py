"""The files by which ROS 2 builds, launches and shows the package agree with the code."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from semantic_field_ros.config import Config
from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.graph import ParameterSpec, ParameterValue
from semantic_field_ros.ros.settings import declare_config, declare_settings

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "config").glob("*.yaml"))
INTERFACES = sorted([*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")])


class Declared:
    """Parameters as the arguments set them, without a graph."""

    def __init__(self, overrides: dict) -> None:
        self.overrides = dict(overrides)

    def declare(self, spec: ParameterSpec) -> ParameterValue:
        return spec.checked(self.overrides.pop(spec.name, spec.default))


def test_every_interface_is_generated() -> None:
    listed = re.findall(r"^  ((?:msg|srv)/\w+\.\w+)$", (ROOT / "CMakeLists.txt").read_text(), re.M)
    assert sorted(listed) == sorted(str(file.relative_to(ROOT)) for file in INTERFACES)


@pytest.mark.parametrize("file", INTERFACES, ids=lambda file: file.name)
def test_every_field_has_a_comment(file: Path) -> None:
    for line in file.read_text().splitlines():
        if line and line != "---" and not line.startswith("#"):
            assert re.search(r"\S +# \S", line), line


def test_package_names_what_the_interfaces_use() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depends = {item.text for item in package if item.tag.endswith("depend")}
    used = {name for file in INTERFACES for name in re.findall(r"^(\w+)/", file.read_text(), re.M)}
    assert used - {"semantic_field_ros"} <= depends
    assert package.findtext("export/build_type") == "ament_cmake"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda file: file.name)
def test_presets_hold_only_parameters_that_exist(preset: Path) -> None:
    arguments = parse_arguments(["--ros-args", "--params-file", str(preset)], "semantic_field")
    assert arguments.parameters
    declared = Declared(arguments.parameters)
    settings, config = declare_settings(declared), declare_config(declared)
    assert not declared.overrides
    assert "{" not in settings.cameras[0].image_topic
    assert isinstance(config, Config)


def test_the_default_preset_is_the_default() -> None:
    preset = ROOT / "config" / "default.yaml"
    arguments = parse_arguments(["--ros-args", "--params-file", str(preset)], "semantic_field")
    told, plain = Declared(arguments.parameters), Declared({})
    assert declare_settings(told) == declare_settings(plain)
    assert declare_config(told) == declare_config(plain) == Config()


def test_rviz_shows_what_the_node_publishes() -> None:
    layout = yaml.safe_load((ROOT / "config" / "semantic_field.rviz").read_text())
    manager = layout["Visualization Manager"]
    topics = [d["Topic"] for d in manager["Displays"] if "Topic" in d]
    room = ROOT / "semantic_field_ros" / "ros"
    code = "".join((room / name).read_text() for name in ("outputs.py", "navigation.py"))
    for topic in topics:
        assert topic["Durability Policy"] == "Transient Local"
        assert f'"~{topic["Value"].removeprefix("/semantic_field")}", LATCHED' in code
    assert len(topics) == 7
    assert any(tool.get("Topic", {}).get("Value") == "/clicked_point" for tool in manager["Tools"])


@pytest.mark.parametrize("file", sorted((ROOT / "launch").glob("*.py")), ids=lambda f: f.name)
def test_launch_files_describe_themselves(file: Path) -> None:
    pytest.importorskip("launch_ros", reason="no ROS 2 is sourced")
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchContext

    description = PythonLaunchDescriptionSource(str(file)).get_launch_description(LaunchContext())
    arguments = description.get_launch_arguments()
    assert "rviz" in [argument.name for argument in arguments]
    for argument in arguments:
        assert "no description" not in argument.description, argument.name


def test_own_types_are_known_without_ros() -> None:
    types = Types()
    for file in INTERFACES:
        parts = ("_Request", "_Response") if file.suffix == ".srv" else ("",)
        for part in parts:
            name = f"semantic_field_ros/{file.suffix[1:]}/{file.stem}{part}"
            message = types.message(name)
            assert types.decode(types.encode(message), name).__msgtype__ == name
