"""The mapping node on a scene of the built-in world; needs no camera and no recording."""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    # A path, unlike a substitution, lets --show-args list the arguments of that file too.
    replay = Path(__file__).with_name("replay.launch.py")
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "source",
                default_value="world:table:7",
                description="world:table:SEED or world:room:SEED, or what replay.launch.py takes",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(replay)),
                launch_arguments={"source": LaunchConfiguration("source")}.items(),
            ),
        ]
    )
