"""Interfaces that `rosbags` does not know, by ROS type name.

The fields (names, types, order) of vision_msgs 4, nav2_msgs, lifecycle_msgs and so on decide
the bytes on the wire and the type hash; those of this package are read from `msg/` and `srv/`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "semantic_field_ros"

MESSAGES = {
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "vision_msgs/msg/Detection3D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox3D bbox\nstring id"
    ),
    "vision_msgs/msg/Detection3DArray": (
        "std_msgs/Header header\nvision_msgs/Detection3D[] detections"
    ),
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name",
    "vision_msgs/msg/LabelInfo": (
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold"
    ),
    "nav2_msgs/msg/CostmapFilterInfo": (
        "std_msgs/Header header\nuint8 type\nstring filter_mask_topic\n"
        "float32 base\nfloat32 multiplier"
    ),
}

SERVICES = {
    "std_srvs/srv/Empty": "---",
    "std_srvs/srv/SetBool": "bool data\n---\nbool success\nstring message",
    "std_srvs/srv/Trigger": "---\nbool success\nstring message",
    "lifecycle_msgs/srv/ChangeState": "lifecycle_msgs/Transition transition\n---\nbool success",
    "lifecycle_msgs/srv/GetState": "---\nlifecycle_msgs/State current_state",
    "lifecycle_msgs/srv/GetAvailableStates": "---\nlifecycle_msgs/State[] available_states",
    "lifecycle_msgs/srv/GetAvailableTransitions": (
        "---\nlifecycle_msgs/TransitionDescription[] available_transitions"
    ),
    "rcl_interfaces/srv/GetParameters": (
        "string[] names\n---\nrcl_interfaces/ParameterValue[] values"
    ),
    "rcl_interfaces/srv/GetParameterTypes": "string[] names\n---\nuint8[] types",
    "rcl_interfaces/srv/SetParameters": (
        "rcl_interfaces/Parameter[] parameters\n---\nrcl_interfaces/SetParametersResult[] results"
    ),
    "rcl_interfaces/srv/SetParametersAtomically": (
        "rcl_interfaces/Parameter[] parameters\n---\nrcl_interfaces/SetParametersResult result"
    ),
    "rcl_interfaces/srv/DescribeParameters": (
        "string[] names\n---\nrcl_interfaces/ParameterDescriptor[] descriptors"
    ),
    "rcl_interfaces/srv/ListParameters": (
        "string[] prefixes\nuint64 depth\n---\nrcl_interfaces/ListParametersResult result"
    ),
}

#: Defaults that a definition gives to fields; all others are zero or empty.
FIELD_DEFAULTS: dict[str, dict[str, object]] = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}


def own_interfaces() -> tuple[dict[str, str], dict[str, str]]:
    """Definitions of this package's messages and services, by ROS type name.

    Raises:
        RuntimeError: the definitions are not installed.
    """
    folder = _interface_folder()
    found: list[dict[str, str]] = []
    for kind in ("msg", "srv"):
        files = sorted((folder / kind).glob(f"*.{kind}"))
        found.append({f"{PACKAGE}/{kind}/{f.stem}": f.read_text() for f in files})
    return found[0], found[1]


def _interface_folder() -> Path:
    """The source checkout, `pip`'s share folder, or a sourced ROS 2 workspace."""
    prefixes = [sys.prefix, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    shares = [Path(prefix) / "share" / PACKAGE for prefix in prefixes if prefix]
    for folder in [Path(__file__).parents[2], *shares]:
        if (folder / "msg" / "QueryAnswer.msg").is_file():
            return folder
    raise RuntimeError(f"no {PACKAGE} msg/ and srv/ found; reinstall the package ({sys.prefix})")
