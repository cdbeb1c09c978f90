"""Any recording, or the built-in world, played into the mapping node."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

#: Handed on to semantic_field.launch.py as they are.
OF_THE_NODE = {
    "config": ("default.yaml", "parameter file: a path, or one of the presets in config/"),
    "overlay": ("", "further parameter files laid over it, with commas between them"),
    "namespace": ("", "namespace of node and replay"),
    "autostart": ("", "false waits for ros2 lifecycle; empty = as the parameter files say"),
    "rviz": ("false", "open RViz too"),
}
OF_THE_REPLAY = {
    "rate": ("1.0", "times real speed"),
    "loop": ("false", "start again at the end, with stamps that go on"),
    "use_sim_time": ("", "publish /clock, and let the node follow it"),
}


def replay(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    flags = {"loop": "--loop", "use_sim_time": "--clock"}
    wanted = [
        flag
        for name, flag in flags.items()
        if LaunchConfiguration(name).perform(context).lower() == "true"
    ]
    return [
        Node(
            package="semantic_field_ros",
            executable="field_replay",
            namespace=LaunchConfiguration("namespace"),
            arguments=[
                LaunchConfiguration("source"), "--rate", LaunchConfiguration("rate"), *wanted
            ],
            output="screen",
            # It renders a world or opens a recording first, in steps that take seconds.
            sigterm_timeout="30",
        )
    ]  # fmt: skip


def generate_launch_description() -> LaunchDescription:
    node = PathJoinSubstitution([ThisLaunchFileDir(), "semantic_field.launch.py"])
    handed_on = [*OF_THE_NODE, "use_sim_time"]
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "source",
                description="world:table:SEED, world:room:SEED, a folder or a bag",
            ),
            *(
                DeclareLaunchArgument(name, default_value=value, description=text)
                for name, (value, text) in (OF_THE_NODE | OF_THE_REPLAY).items()
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(node),
                launch_arguments={name: LaunchConfiguration(name) for name in handed_on}.items(),
            ),
            OpaqueFunction(function=replay),
        ]
    )
