"""What rclpy alone can do wrong; what every graph must do is in the contract."""

import sys
import time
from collections.abc import Iterator

import pytest

rclpy = pytest.importorskip("rclpy", reason="no ROS 2 is sourced")

from semantic_field_ros.ros.rclpy_graph import RclpyGraph, open_rclpy_graph  # noqa: E402

PATIENCE_S = 10.0


@pytest.fixture()
def graph(domain) -> Iterator[RclpyGraph]:
    with open_rclpy_graph([], "tester") as opened:
        yield opened


def test_subscriptions_may_end_while_the_executor_gathers_what_to_wait_for(graph) -> None:
    ticks: list[float] = []
    graph.timer(0.001, lambda: ticks.append(time.monotonic()))
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns within a line, as they rarely do otherwise
    try:
        until_s = time.monotonic() + 2.0
        while time.monotonic() < until_s:
            brief = [graph.subscribe("std_msgs/msg/String", f"t{i}", print) for i in range(3)]
            for subscription in brief:
                subscription.close()
    finally:
        sys.setswitchinterval(interval_s)
    before, deadline = len(ticks), time.monotonic() + PATIENCE_S
    while len(ticks) < before + 10:
        assert time.monotonic() < deadline, "the executor has ended"
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_node_whose_executor_has_failed_ends_instead_of_going_deaf(domain) -> None:
    def fail() -> None:
        raise OSError("on purpose")

    context = rclpy.context.Context()
    rclpy.init(context=context)
    node = rclpy.node.Node("tester", context=context)
    with RclpyGraph(node) as graph:
        graph.timer(0.01, lambda: None)
        node.executor.create_task(fail)
        with pytest.raises(RuntimeError, match="executor of rclpy has failed: start the node"):
            graph.spin()
