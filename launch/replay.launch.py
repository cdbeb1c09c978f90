"""Any recording, or the built-in world, played into the mapping node."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

#: Handed on to the node as they are.
OF_THE_NODE = {
    "config": "default.yaml",
    "overlay": "",
    "namespace": "",
    "autostart": "true",
    "rviz": "false",
}
OF_THE_REPLAY = {
    "rate": ("1.0", "times real speed"),
    "loop": ("false", "start again at the end"),
    "use_sim_time": ("false", "publish /clock, and let the node follow it"),
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
                DeclareLaunchArgument(name, default_value=value)
                for name, value in OF_THE_NODE.items()
            ),
            *(
                DeclareLaunchArgument(name, default_value=value, description=text)
                for name, (value, text) in OF_THE_REPLAY.items()
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(node),
                launch_arguments={name: LaunchConfiguration(name) for name in handed_on}.items(),
            ),
            OpaqueFunction(function=replay),
        ]
    )
