"""The files by which ROS 2 builds, launches and shows the package agree with the code."""

import importlib.util
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from semantic_field_ros.cli import main
from semantic_field_ros.config import Config
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.graph import ParameterSpec, ParameterValue
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.settings import declare_config, declare_settings

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "config").glob("*.yaml"))
LAYOUT = ROOT / "config" / "semantic_field.rviz"
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


def test_package_names_what_the_interfaces_use_and_the_launch_files_start() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depends = {item.text for item in package if item.tag.endswith("depend")}
    used = {name for file in INTERFACES for name in re.findall(r"^(\w+)/", file.read_text(), re.M)}
    assert used - {"semantic_field_ros"} <= depends
    started = "".join(file.read_text() for file in (ROOT / "launch").glob("*.py"))
    programs = set(re.findall(r'package="(\w+)"', started))
    assert "rviz2" in programs and programs - {"semantic_field_ros"} <= depends
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


@pytest.fixture()
def node_launch(monkeypatch) -> Any:
    """`semantic_field.launch.py`, with stand-ins that keep what they were made of."""

    class Made:
        def __init__(self, *given, **named) -> None:
            self.given, self.named = given, named

        def perform(self, context: dict) -> str:
            return context[self.given[0]]

    for name in (
        "ament_index_python.packages", "launch", "launch.actions", "launch.conditions",
        "launch.substitutions", "launch_ros.actions", "launch_ros.parameter_descriptions",
    ):  # fmt: skip
        module: Any = ModuleType(name)
        module.__getattr__ = lambda _: Made
        module.get_package_share_directory = lambda _: str(ROOT)
        monkeypatch.setitem(sys.modules, name, module)
    path = ROOT / "launch" / "semantic_field.launch.py"
    spec = importlib.util.spec_from_file_location("node_launch", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("given", [{}, {"autostart": "false"}, {"use_sim_time": "true"}])
def test_the_launch_file_sets_only_what_was_given(node_launch, given: dict[str, str]) -> None:
    usual = {name: default for name, (default, _) in node_launch.ARGUMENTS.items()}
    node, rviz = node_launch.start(usual | given)
    preset, *said = node.named["parameters"]
    assert preset == str(ROOT / "config" / "default.yaml")
    assert [list(each) for each in said] == [[name] for name in given]
    assert [list(each) for each in rviz.named["parameters"]] == [
        [name] for name in given if name == "use_sim_time"
    ]


def test_rviz_is_opened_in_the_map_frame_of_the_parameter_files(
    node_launch, tmp_path: Path
) -> None:
    usual = {name: default for name, (default, _) in node_launch.ARGUMENTS.items()}

    def opened_with(**given: str) -> list[str]:
        _, rviz = node_launch.start(usual | given)
        return rviz.named["arguments"]

    layout = str(LAYOUT)
    assert opened_with() == ["-d", layout, "-f", "map"]
    own, other = tmp_path / "own.yaml", tmp_path / "other.yaml"
    own.write_text("/**: {ros__parameters: {map_frame: odom}}")
    other.write_text("robot: {eyes: {ros__parameters: {map_frame: world}}}")
    files = {"config": str(own), "overlay": str(other)}
    assert opened_with(**files) == ["-d", layout, "-f", "odom"]
    assert opened_with(**files, name="eyes", namespace="/robot") == ["-d", layout, "-f", "world"]
    own.write_text("/**: {ros__parameters: {autostart: false}}")
    assert opened_with(config=str(own)) == ["-d", layout, "-f", "map"]


def test_a_topic_is_remapped_only_where_a_camera_reads_it(node_launch, tmp_path: Path) -> None:
    usual = {name: default for name, (default, _) in node_launch.ARGUMENTS.items()}

    def remapped_with(**given: str) -> list[tuple[str, str]]:
        return node_launch.start(usual | given)[0].named["remappings"]

    topics = {"image": "/head/image", "camera_info": "/head/camera_info"}
    assert remapped_with(**topics) == list(topics.items())
    read = r"remaps the topic 'image', but the parameter files read \["
    preset = f"{read}'/camera/camera/color/image_raw'\\]: set image_topic in a file of your own"
    with pytest.raises(RuntimeError, match=preset):
        remapped_with(config="realsense.yaml", **topics)
    assert remapped_with(config="realsense.yaml", overlay="offboard.yaml") == []
    several = tmp_path / "several.yaml"
    several.write_text("/**: {ros__parameters: {cameras: [front, wrist]}}")
    with pytest.raises(RuntimeError, match=f"{read}'front/image', 'wrist/image'"):
        remapped_with(config=str(several), **topics)


#: What a display of RViz subscribes to, by its class.
DISPLAYED = {
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/Map": "nav_msgs/msg/OccupancyGrid",
    "rviz_default_plugins/PoseArray": "geometry_msgs/msg/PoseArray",
}


def test_rviz_shows_what_the_node_publishes(domain: int, tmp_path: Path) -> None:
    manager = yaml.safe_load(LAYOUT.read_text())["Visualization Manager"]
    (point,) = (t for t in manager["Tools"] if t["Class"] == "rviz_default_plugins/PublishPoint")
    displays = [display for display in manager["Displays"] if "Topic" in display]
    with connect("dds", "semantic_field", []) as graph:
        settings = declare_settings(graph)
        node = SemanticFieldNode(graph, SemanticField, settings, str(tmp_path))
        for display in displays:
            shown = display["Topic"]
            (published,) = (p for p in graph.publications() if p.topic == shown["Value"])
            assert published.type_name == DISPLAYED[display["Class"]]
            assert published.latched == (shown["Durability Policy"] == "Transient Local")
            assert published.reliable == (shown["Reliability Policy"] == "Reliable")
        click = graph.publisher("geometry_msgs/msg/PointStamped", point["Topic"]["Value"])
        assert click.subscribers() == 1
        node.close()
    assert len(displays) == 7
    assert manager["Global Options"]["Fixed Frame"] == settings.map_frame


def test_the_rviz_layout_follows_the_name_of_the_node() -> None:
    pytest.importorskip("launch_ros", reason="no ROS 2 is sourced")
    from launch.launch_description_sources import python_launch_file_utilities as utilities

    path = ROOT / "launch" / "semantic_field.launch.py"
    module = utilities.load_python_launch_file_as_module(str(path))
    moved = dict(module.shown_as(LAYOUT, "eyes", "/robot/"))
    assert moved["/semantic_field/answer/points"] == "/robot/eyes/answer/points"
    assert moved["/semantic_field/costmap"] == "/robot/eyes/costmap"
    assert moved["/clicked_point"] == "/robot/clicked_point"
    assert len(moved) == 8
    usual = module.shown_as(LAYOUT, "semantic_field", "")
    assert all(topic == shown for topic, shown in usual)


@pytest.mark.parametrize("file", sorted((ROOT / "launch").glob("*.py")), ids=lambda f: f.name)
def test_launch_files_describe_themselves(file: Path) -> None:
    pytest.importorskip("launch_ros", reason="no ROS 2 is sourced")
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    from launch import LaunchContext

    description = PythonLaunchDescriptionSource(str(file)).get_launch_description(LaunchContext())
    arguments = description.get_launch_arguments()
    assert {"config", "namespace", "rviz"} <= {argument.name for argument in arguments}
    for argument in arguments:
        assert "no description" not in argument.description, argument.name


def test_programs_of_ros_say_how_they_reach_it(capsys) -> None:
    for graph in ("dds", "rclpy"):
        with pytest.raises(SystemExit):
            main(["node", "--help"], graph)
        told = " ".join(capsys.readouterr().out.split())
        assert f"how to reach ROS 2 (default: {graph})" in told


def test_own_types_are_known_without_ros() -> None:
    types = Types()
    for file in INTERFACES:
        parts = ("_Request", "_Response") if file.suffix == ".srv" else ("",)
        for part in parts:
            name = f"semantic_field_ros/{file.suffix[1:]}/{file.stem}{part}"
            message = types.message(name)
            assert types.decode(types.encode(message), name).__msgtype__ == name
