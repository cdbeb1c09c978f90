"""The map as the node's services see it, which comes and goes with the node's states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.ros.lifecycle import State
from semantic_field_ros.types import SurfaceCloud


class ManagedField:
    """Stands for the `SemanticField` while there is one; otherwise it shows nothing, and every
    other call is refused.

    Args:
        state: tells where the node is.

    Attributes:
        present: the field, None while the node is not configured.
        why_idle: one line on what keeps the node from mapping, empty if nothing.
    """

    def __init__(self, state: Callable[[], State]) -> None:
        self.present: Any | None = None
        self.why_idle = ""
        self._state = state

    def status(self) -> dict[str, Any]:
        """The field's, whose message is what keeps the node from mapping if nothing went wrong.

        Raises:
            RuntimeError: there is no field; says why.
        """
        field, why_idle = self.present, self.why_idle
        if field is None:
            raise RuntimeError(why_idle or f"the node is {self._state().label}")
        status = field.status()
        return status | {"message": status["message"] or why_idle}

    def surface(self) -> SurfaceCloud | None:
        """The field's; None while there is no field."""
        field = self.present
        return None if field is None else field.surface()

    def keyframes(self) -> list[KeyframeView]:
        """The field's; none while there is no field."""
        field = self.present
        return [] if field is None else field.keyframes()

    def resume(self) -> None:
        """Goes on training.

        Raises:
            RuntimeError: the node is not active.
        """
        if self.present is None or self._state() is not State.ACTIVE:
            raise RuntimeError(f"cannot train while the node is {self._state().label}")
        self.present.resume()

    def __getattr__(self, name: str) -> Any:
        """Whatever the field has; without one, what raises RuntimeError when it is called."""
        return _Nothing(self._state) if self.present is None else getattr(self.present, name)


class _Nothing:
    """Any part of a field that is not there, and any part of that."""

    def __init__(self, state: Callable[[], State]) -> None:
        self._state = state

    def __getattr__(self, name: str) -> _Nothing:
        return self

    def __call__(self, *_: object, **__: object) -> None:
        raise RuntimeError(f"there is no map: the node is {self._state().label}")
