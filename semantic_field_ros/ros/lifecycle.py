"""The states of a managed node, and the services by which `ros2 lifecycle` reaches them.

States, transitions, numbers and labels are those of ROS 2's managed nodes
(https://design.ros2.org/articles/node_lifecycle.html); the services are served alike on every
graph, so that launch files and lifecycle managers need not know which one runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from semantic_field_ros.ros.graph import Graph

logger = logging.getLogger(__name__)

_SRV = "lifecycle_msgs/srv"


class State(IntEnum):
    """Where a node is; the transient states last as long as its callback works."""

    UNKNOWN = 0
    UNCONFIGURED = 1
    INACTIVE = 2
    ACTIVE = 3
    FINALIZED = 4
    CONFIGURING = 10
    CLEANINGUP = 11
    SHUTTINGDOWN = 12
    ACTIVATING = 13
    DEACTIVATING = 14
    ERRORPROCESSING = 15

    @property
    def label(self) -> str:
        """As ROS writes it."""
        return self.name.lower()


#: Where a node stays until it is told to go on, and where it is on its way.
RESTING = frozenset({State.UNCONFIGURED, State.INACTIVE, State.FINALIZED})
TRANSIENT = frozenset(state for state in State if state >= State.CONFIGURING)


@dataclass(frozen=True)
class Transition:
    """One edge between states, with its number and label."""

    number: int
    label: str
    start: State
    goal: State


def _outcomes(number: int, start: State, success: State, failure: State) -> list[Transition]:
    """How a transient state ends: well, refused, or with an error."""
    error = State.FINALIZED if start is State.ERRORPROCESSING else State.ERRORPROCESSING
    labels = ("transition_success", "transition_failure", "transition_error")
    goals = (success, failure, error)
    return [Transition(number + i, labels[i], start, goal) for i, goal in enumerate(goals)]


#: What others may ask for.
REQUESTS = (
    Transition(1, "configure", State.UNCONFIGURED, State.CONFIGURING),
    Transition(2, "cleanup", State.INACTIVE, State.CLEANINGUP),
    Transition(3, "activate", State.INACTIVE, State.ACTIVATING),
    Transition(4, "deactivate", State.ACTIVE, State.DEACTIVATING),
    Transition(5, "shutdown", State.UNCONFIGURED, State.SHUTTINGDOWN),
    Transition(6, "shutdown", State.INACTIVE, State.SHUTTINGDOWN),
    Transition(7, "shutdown", State.ACTIVE, State.SHUTTINGDOWN),
)
TRANSITIONS = (
    *REQUESTS,
    *_outcomes(10, State.CONFIGURING, State.INACTIVE, State.UNCONFIGURED),
    *_outcomes(20, State.CLEANINGUP, State.UNCONFIGURED, State.INACTIVE),
    *_outcomes(30, State.ACTIVATING, State.ACTIVE, State.INACTIVE),
    *_outcomes(40, State.DEACTIVATING, State.INACTIVE, State.ACTIVE),
    *_outcomes(50, State.SHUTTINGDOWN, State.FINALIZED, State.FINALIZED),
    *_outcomes(60, State.ERRORPROCESSING, State.UNCONFIGURED, State.FINALIZED),
)
_SUCCESS, _FAILURE, _ERROR = range(3)


class Managed(Protocol):
    """What a node does in its transitions.

    Each does all or nothing: when it raises OSError, RuntimeError, TypeError, ValueError or
    ImportError, the transition is refused and the node stays where it was. After anything else
    `release` is called, and the node is unconfigured.
    """

    def configure(self) -> None:
        """Gets ready: loads what takes long."""

    def activate(self) -> None:
        """Begins to work."""

    def deactivate(self) -> None:
        """Stops working; keeps what it has."""

    def release(self) -> None:
        """Lets go of everything, whatever the state."""


class Lifecycle:
    """One state machine, served under the node's name.

    Attributes:
        state: where the node is.
        reason: why the last transition failed, empty after one that succeeded.
    """

    def __init__(self, graph: Graph, managed: Managed) -> None:
        """Announces the services; the node is unconfigured."""
        self.state, self.reason = State.UNCONFIGURED, ""
        self._graph, self._lock = graph, threading.Lock()
        self._work: dict[State, Callable[[], None]] = {
            State.CONFIGURING: managed.configure,
            State.ACTIVATING: managed.activate,
            State.DEACTIVATING: managed.deactivate,
            State.CLEANINGUP: managed.release,
            State.SHUTTINGDOWN: managed.release,
            State.ERRORPROCESSING: managed.release,
        }
        self._events = graph.publisher("lifecycle_msgs/msg/TransitionEvent", "~/transition_event")
        graph.serve(f"{_SRV}/ChangeState", "~/change_state", self._change_state)
        graph.serve(f"{_SRV}/GetState", "~/get_state", self._get_state)
        graph.serve(
            f"{_SRV}/GetAvailableStates", "~/get_available_states", self._get_available_states
        )
        graph.serve(
            f"{_SRV}/GetAvailableTransitions",
            "~/get_available_transitions",
            lambda _: self._listed(self.available()),
        )
        graph.serve(
            f"{_SRV}/GetAvailableTransitions",
            "~/get_transition_graph",
            lambda _: self._listed(TRANSITIONS),
        )

    def available(self) -> list[Transition]:
        """What may be asked for now; nothing while a transition is under way."""
        return [transition for transition in REQUESTS if transition.start is self.state]

    def change(self, label: str) -> bool:
        """Goes through a transition, in this thread.

        Args:
            label: configure, activate, deactivate, cleanup or shutdown.

        Returns:
            Whether it was possible and succeeded; else `reason` says why not.
        """
        return self._change(lambda transition: transition.label == label, label)

    def _change(self, wanted: Callable[[Transition], bool], name: str) -> bool:
        with self._lock:
            found = next(filter(wanted, self.available()), None)
            if found is None:
                logger.warning("cannot %s while %s", name, self.state.label)
                return False
            self.state = found.goal
        self._tell(found)
        outcome = self._run()
        if outcome == _ERROR:
            self._finish(outcome)
            self._finish(_SUCCESS if self._run() == _SUCCESS else _FAILURE)
        else:
            self._finish(outcome)
        return outcome == _SUCCESS

    def _run(self) -> int:
        """Does the work of a transient state."""
        doing = self.state.label
        try:
            self._work[self.state]()
        except (OSError, RuntimeError, TypeError, ValueError, ImportError) as error:
            self.reason = f"{doing} failed: {error}"
            logger.error("%s", self.reason)
            return _FAILURE
        except Exception as error:
            self.reason = f"{doing} failed: {type(error).__name__}: {error}"
            logger.exception("%s failed", doing)
            return _ERROR
        if self.state is not State.ERRORPROCESSING:
            self.reason = ""
        return _SUCCESS

    def _finish(self, outcome: int) -> None:
        ends = [transition for transition in TRANSITIONS if transition.start is self.state]
        self.state = ends[outcome].goal
        self._tell(ends[outcome])
        logger.info("%s", self.state.label)

    def _tell(self, transition: Transition) -> None:
        fields = self._description(transition)
        self._events.publish(
            self._graph.message(
                "lifecycle_msgs/msg/TransitionEvent", timestamp=self._graph.now_ns(), **fields
            )
        )

    def _change_state(self, request: Any) -> Any:
        asked = request.transition
        if asked.label:
            success = self.change(asked.label)
        else:
            success = self._change(lambda t: t.number == asked.id, f"do transition {asked.id}")
        return self._graph.message(f"{_SRV}/ChangeState_Response", success=success)

    def _get_state(self, _: Any) -> Any:
        current = self._state_message(self.state)
        return self._graph.message(f"{_SRV}/GetState_Response", current_state=current)

    def _get_available_states(self, _: Any) -> Any:
        states = [self._state_message(state) for state in State]
        return self._graph.message(f"{_SRV}/GetAvailableStates_Response", available_states=states)

    def _listed(self, transitions: Any) -> Any:
        make = self._graph.message
        described = [
            make("lifecycle_msgs/msg/TransitionDescription", **self._description(transition))
            for transition in transitions
        ]
        return make(f"{_SRV}/GetAvailableTransitions_Response", available_transitions=described)

    def _description(self, transition: Transition) -> dict[str, Any]:
        return {
            "transition": self._graph.message(
                "lifecycle_msgs/msg/Transition", id=transition.number, label=transition.label
            ),
            "start_state": self._state_message(transition.start),
            "goal_state": self._state_message(transition.goal),
        }

    def _state_message(self, state: State) -> Any:
        return self._graph.message("lifecycle_msgs/msg/State", id=int(state), label=state.label)
