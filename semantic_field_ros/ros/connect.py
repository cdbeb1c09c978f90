"""Which graph a program joins, and how its node is run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from semantic_field_ros.ros.graph import Graph

GRAPHS = ("dds", "rclpy")


def connect(kind: str, default_node: str, argv: list[str] | None = None) -> Graph:
    """Joins the ROS 2 graph.

    Args:
        kind: "dds" needs no ROS installation, "rclpy" a sourced one.
        default_node: name of the node unless `--ros-args` say otherwise.
        argv: the arguments of the program, None for `sys.argv[1:]`.

    Raises:
        ValueError: unknown kind, or arguments that ROS does not know.
        RuntimeError: the packages that the kind needs are missing, or it cannot be joined.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if kind == "dds":
        try:
            from semantic_field_ros.ros.dds_graph import open_dds_graph
        except ImportError as error:
            raise RuntimeError(f"pip install cyclonedds rosbags: {error}") from error
        return open_dds_graph(arguments, default_node)
    if kind == "rclpy":
        try:
            from semantic_field_ros.ros.rclpy_graph import open_rclpy_graph
        except ImportError as error:
            raise RuntimeError(
                f"source a ROS 2 installation (/opt/ros/*/setup.bash), or use dds: {error}"
            ) from error
        return open_rclpy_graph(arguments, default_node)
    raise ValueError(f"graph must be one of {GRAPHS}, got {kind!r}")


def run_node(
    kind: str,
    argv: list[str] | None = None,
    beside: Callable[[Any], AbstractContextManager[object]] | None = None,
) -> None:
    """Runs the mapping node until it is interrupted.

    Args:
        kind: as for `connect`.
        argv: the arguments of the program, None for `sys.argv[1:]`.
        beside: makes what is entered while the node runs, for example a viewer, from the node's
            map, which refuses every call while the node is not configured.
    """
    from semantic_field_ros.engine import SemanticField
    from semantic_field_ros.ros.node import DEFAULT_NAME, SemanticFieldNode
    from semantic_field_ros.ros.settings import declare_config, declare_settings

    with connect(kind, DEFAULT_NAME, argv) as graph:
        settings, config = declare_settings(graph), declare_config(graph)
        node = SemanticFieldNode(graph, lambda: SemanticField(config), settings, config.map.folder)
        try:
            node.start()
            with beside(node.field) if beside is not None else nullcontext():
                graph.spin()
        finally:
            node.close()
