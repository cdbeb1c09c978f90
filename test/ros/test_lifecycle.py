"""The states of a managed node, asked over real services as `ros2 lifecycle` does."""

import threading
import time
from importlib.util import find_spec

import pytest

from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.lifecycle import TRANSITIONS, Lifecycle, State

SRV = "lifecycle_msgs/srv"


class Engine:
    """Writes down what it is told; what `fails` names raises."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.hold = threading.Event()
        self.hold.set()

    def _do(self, name: str) -> None:
        assert self.hold.wait(20.0)
        self.done.append(name)
        if name in self.fails:
            raise self.fails.pop(name)

    def configure(self) -> None:
        self._do("configure")

    def activate(self) -> None:
        self._do("activate")

    def deactivate(self) -> None:
        self._do("deactivate")

    def release(self) -> None:
        self._do("release")


class Bench:
    def __init__(self, graph: Graph, other: Graph) -> None:
        self.engine = Engine()
        self.lifecycle = Lifecycle(graph, self.engine)
        self.other = other
        self.events: list = []
        listening = other.subscribe(
            "lifecycle_msgs/msg/TransitionEvent", "/tester/transition_event", self.events.append
        )
        self.until(listening.publishers)

    def until(self, condition) -> None:
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    def ask(self, service: str, name: str, **fields):
        request = self.other.message(f"{SRV}/{service}_Request", **fields)
        return self.other.call(f"{SRV}/{service}", f"/tester/{name}", request, 20.0)

    def set(self, label: str = "", number: int = 0) -> bool:
        wanted = self.other.message("lifecycle_msgs/msg/Transition", id=number, label=label)
        return bool(self.ask("ChangeState", "change_state", transition=wanted).success)

    def state(self) -> tuple[int, str]:
        current = self.ask("GetState", "get_state").current_state
        return current.id, current.label


@pytest.fixture()
def bench(graph: Graph, other: Graph) -> Bench:
    return Bench(graph, other)


def test_the_way_up_and_down(bench: Bench) -> None:
    assert bench.state() == (1, "unconfigured")
    for label, after in (
        ("configure", (2, "inactive")),
        ("activate", (3, "active")),
        ("deactivate", (2, "inactive")),
        ("cleanup", (1, "unconfigured")),
        ("shutdown", (4, "finalized")),
    ):
        assert bench.set(label)
        assert bench.state() == after
    assert bench.engine.done == ["configure", "activate", "deactivate", "release", "release"]
    assert not bench.set("configure")
    bench.until(lambda: len(bench.events) == 10)
    first, second = bench.events[:2]
    assert (first.transition.label, first.goal_state.label) == ("configure", "configuring")
    assert (second.transition.id, second.start_state.id, second.goal_state.id) == (10, 10, 2)


def test_transitions_by_number_and_impossible_ones(bench: Bench) -> None:
    assert not bench.set(number=3)
    assert not bench.set("fly")
    assert bench.set(number=1)
    assert bench.state() == (2, "inactive")
    offered = bench.ask("GetAvailableTransitions", "get_available_transitions")
    labels = [t.transition.label for t in offered.available_transitions]
    assert labels == ["cleanup", "activate", "shutdown"]


def test_all_states_and_transitions_are_told(bench: Bench) -> None:
    states = bench.ask("GetAvailableStates", "get_available_states").available_states
    assert {state.id: state.label for state in states}[15] == "errorprocessing"
    assert len(states) == 11
    graph = bench.ask("GetAvailableTransitions", "get_transition_graph").available_transitions
    assert len(graph) == len(TRANSITIONS) == 25
    assert (graph[-1].start_state.label, graph[-1].goal_state.label) == (
        "errorprocessing",
        "finalized",
    )


def test_a_refusal_leaves_the_node_where_it_was(bench: Bench) -> None:
    bench.engine.fails["configure"] = FileNotFoundError("no weights at /models/sam.pth")
    assert not bench.set("configure")
    assert bench.state() == (1, "unconfigured")
    assert bench.lifecycle.reason == "configuring failed: no weights at /models/sam.pth"
    assert bench.set("configure")
    assert bench.lifecycle.reason == ""


def test_after_an_error_everything_is_let_go(bench: Bench) -> None:
    assert bench.set("configure")
    bench.engine.fails["activate"] = KeyError("a bug")
    assert not bench.set("activate")
    assert bench.state() == (1, "unconfigured")
    assert bench.engine.done == ["configure", "activate", "release"]
    assert "a bug" in bench.lifecycle.reason


def test_nothing_else_is_begun_while_a_transition_is_under_way(bench: Bench) -> None:
    bench.engine.hold.clear()
    loading = threading.Thread(target=bench.lifecycle.change, args=("configure",))
    loading.start()
    bench.until(lambda: bench.state() == (10, "configuring"))
    assert not bench.set("configure")
    assert not bench.set("shutdown")
    bench.engine.hold.set()
    loading.join(20.0)
    assert bench.state() == (2, "inactive")


@pytest.mark.skipif(find_spec("rclpy") is None, reason="no ROS 2 is sourced")
def test_states_and_transitions_are_those_of_rclpy(domain) -> None:
    import rclpy
    from rclpy.context import Context
    from rclpy.lifecycle import LifecycleNode

    context = Context()
    rclpy.init(args=[], context=context)
    node = LifecycleNode("managed", context=context)
    try:
        machine = node._state_machine
        theirs = {tuple(edge) for edge in machine.transition_graph}
        assert {tuple(state) for state in machine.available_states} == {
            (int(state), state.label) for state in State
        }
    finally:
        node.destroy_node()
        context.try_shutdown()
    assert theirs == {
        (t.number, t.label, int(t.start), t.start.label, int(t.goal), t.goal.label)
        for t in TRANSITIONS
    }
