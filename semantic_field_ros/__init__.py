"""Ask a robot's surroundings questions: semantic neural fields from posed camera streams."""

from pkgutil import extend_path

# A sourced ROS 2 workspace holds the generated `msg` and `srv` of this package elsewhere.
__path__ = extend_path(__path__, __name__)
