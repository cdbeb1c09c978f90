"""Any recording, or the built-in world, played into the mapping node."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    node = PathJoinSubstitution([ThisLaunchFileDir(), "semantic_field.launch.py"])
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "source",
                description="world:table:SEED, world:room:SEED, a folder or a bag",
            ),
            DeclareLaunchArgument("rate", default_value="1.0", description="times real speed"),
            DeclareLaunchArgument("config", default_value="default.yaml"),
            DeclareLaunchArgument("rviz", default_value="false"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(node),
                launch_arguments={
                    "config": LaunchConfiguration("config"),
                    "rviz": LaunchConfiguration("rviz"),
                }.items(),
            ),
            Node(
                package="semantic_field_ros",
                executable="field_replay",
                arguments=[LaunchConfiguration("source"), "--rate", LaunchConfiguration("rate")],
                output="screen",
            ),
        ]
    )
