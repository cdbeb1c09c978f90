"""The mapping node, configured by a file; with rviz:=true also RViz, opened on its answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.camera_settings import declare_cameras

SHARE = Path(get_package_share_directory("semantic_field_ros"))

ARGUMENTS = {
    "config": ("default.yaml", "parameter file: a path, or one of the presets in config/"),
    "overlay": ("", "further parameter files laid over it, with commas between them"),
    "name": ("semantic_field", "name of the node"),
    "namespace": ("", "namespace of the node"),
    "image": ("image", "topic that image is remapped to; files must not name another"),
    "depth": ("depth", "topic that depth is remapped to; as above"),
    "camera_info": ("camera_info", "topic that camera_info is remapped to; as above"),
    "use_sim_time": ("", "follow /clock, e.g. of a bag; empty = as the parameter files say"),
    "autostart": ("", "false waits for ros2 lifecycle; empty = as the parameter files say"),
    "rviz": ("false", "open RViz too"),
}
REMAPPED = ("image", "depth", "camera_info")
#: The node's name in the RViz layout.
USUAL_NAME = "/semantic_field"
USUAL_FRAME = "map"
LAYOUT = SHARE / "config" / "semantic_field.rviz"


def find_config(text: str) -> str:
    """A path as it is, a preset by its name."""
    preset = SHARE / "config" / text
    path = Path(text).expanduser() if not preset.is_file() else preset
    if not path.is_file():
        presets = sorted(file.name for file in (SHARE / "config").glob("*.yaml"))
        raise RuntimeError(f"config must be a file or one of {presets}, got {text!r}")
    return str(path)


def shown_as(layout: Path, name: str, namespace: str) -> list[tuple[str, str]]:
    """Remappings by which an RViz layout follows the node's name and namespace."""
    inside = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    displays = yaml.safe_load(layout.read_text())["Visualization Manager"]["Displays"]
    topics = [display["Topic"]["Value"] for display in displays if "Topic" in display]
    own = f"{inside}/{name}"
    moved = [(topic, own + topic.removeprefix(USUAL_NAME)) for topic in topics]
    return [*moved, ("/clicked_point", f"{inside}/clicked_point")]


def parameters_of(files: list[str], name: str, namespace: str) -> dict[str, Any]:
    """What the parameter files say to the node."""
    named = ["-r", f"__node:={name}", "-r", f"__ns:={namespace}"]
    told = [word for file in files for word in ("--params-file", file)]
    return parse_arguments(["--ros-args", *named, *told], name).parameters


def check_heard(names: list[str], parameters: dict[str, Any]) -> None:
    """Refuses to remap what no camera of the parameter files reads, which would do nothing."""
    told = SimpleNamespace(
        declare=lambda spec: spec.checked(parameters.get(spec.name, spec.default))
    )
    cameras = declare_cameras(told, parameters.get("cameras", ("camera",)))
    for name in names:
        read = sorted({getattr(camera, f"{name}_topic") for camera in cameras})
        if name not in read:
            raise RuntimeError(
                f"{name}:= remaps the topic {name!r}, but the parameter files read {read}: set "
                f"{name}_topic in a file of your own (overlay:=) instead"
            )


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    topics = [(name, value[name]) for name in REMAPPED if value[name] != name]
    clock, autostart = (
        [{flag: ParameterValue(LaunchConfiguration(flag), value_type=bool)}] if value[flag] else []
        for flag in ("use_sim_time", "autostart")
    )
    named = [value["config"], *filter(None, value["overlay"].split(","))]
    files = [find_config(file) for file in named]
    parameters = parameters_of(files, value["name"], value["namespace"])
    check_heard([name for name, _ in topics], parameters)
    frame = str(parameters.get("map_frame", USUAL_FRAME))
    return [
        Node(
            package="semantic_field_ros",
            executable="field_node",
            name=value["name"],
            namespace=value["namespace"],
            parameters=[*files, *clock, *autostart],
            remappings=topics,
            output="screen",
            emulate_tty=True,
            # It finishes the step and the keyframe at hand, which takes seconds on a slow machine,
            # and saves the map last if map.autosave_s says so.
            sigterm_timeout="30",
            sigkill_timeout="30",
        ),
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            arguments=["-d", str(LAYOUT), "-f", frame],
            parameters=clock,
            remappings=shown_as(LAYOUT, value["name"], value["namespace"]),
            condition=IfCondition(LaunchConfiguration("rviz")),
        ),
    ]


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
