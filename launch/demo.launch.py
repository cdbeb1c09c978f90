"""The mapping node on a scene of the built-in world; needs no camera and no recording."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    replay = PathJoinSubstitution([ThisLaunchFileDir(), "replay.launch.py"])
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "scene", default_value="world:table:7", description="scene of the world"
            ),
            DeclareLaunchArgument("rviz", default_value="false", description="open RViz too"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(replay),
                launch_arguments={
                    "source": LaunchConfiguration("scene"),
                    "rviz": LaunchConfiguration("rviz"),
                }.items(),
            ),
        ]
    )
