"""Asks a running node, from a program that has joined the graph."""

from __future__ import annotations

from typing import Any

from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.ros.answers import answer_from_message
from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.requests import click_request, text_request
from semantic_field_ros.types import QueryAnswer

_SRV = "semantic_field_ros/srv"


class NodeClient:
    """The services of one node as methods; answers are in the map frame unless asked otherwise.

    Args:
        graph: the caller's own node.
        node: absolute name of the mapping node.
        timeout_s: patience with each call.
        map_frame: the node's map frame, which the viewpoint of a query needs; points, as all
            that has no frame, are in it without its name.
    """

    def __init__(
        self,
        graph: Graph,
        node: str = "/semantic_field",
        timeout_s: float = 10.0,
        map_frame: str = "",
    ) -> None:
        self._graph, self._node = graph, node.rstrip("/")
        self._timeout_s, self._map_frame = timeout_s, map_frame

    def query_text(self, query: TextQuery, target_frame: str = "") -> QueryAnswer:
        """Raises ServiceError if the node does not answer, ValueError for a pose of no frame."""
        if query.reference_pose is not None and not self._map_frame:
            raise ValueError("reference_pose needs the map_frame of the node, got an empty name")
        request = text_request(self._graph.message, query, self._map_frame, target_frame)
        return answer_from_message(self._call("QueryText", request).answer)

    def query_click(self, query: ClickQuery, target_frame: str = "") -> QueryAnswer:
        """Raises ServiceError if the node does not answer."""
        request = click_request(self._graph.message, query, self._map_frame, target_frame)
        return answer_from_message(self._call("QueryClick", request).answer)

    def instances(self, vocabulary: list[str], target_frame: str = "") -> QueryAnswer:
        """Raises ServiceError if the node does not answer."""
        request = self._request("ListObjects", vocabulary=vocabulary, target_frame=target_frame)
        return answer_from_message(self._call("ListObjects", request).answer)

    def save(self, name: str) -> str:
        """The path of the map; raises ServiceError or RuntimeError with the node's reason."""
        return self._done("SaveMap", name=name)

    def load(self, name: str) -> str:
        """What was loaded; raises ServiceError or RuntimeError with the node's reason."""
        return self._done("LoadMap", name=name)

    def maps(self) -> list[str]:
        """Names of the maps that can be loaded; raises ServiceError if the node is silent."""
        listed = self._call("ListMaps", self._request("ListMaps")).maps
        return [str(known.name) for known in listed if not known.problem]

    def export(self, name: str, what: str) -> str:
        """The path of the file; raises ServiceError or RuntimeError with the node's reason."""
        return self._done("Export", name=name, what=what)

    def pause(self, paused: bool) -> None:
        """Stops or resumes mapping; raises ServiceError or RuntimeError with the node's reason."""
        request = self._graph.message("std_srvs/srv/SetBool_Request", data=paused)
        name = f"{self._node}/pause"
        _accepted(self._graph.call("std_srvs/srv/SetBool", name, request, self._timeout_s))

    def reset(self) -> None:
        """Empties the map; raises ServiceError or RuntimeError with the node's reason."""
        request = self._graph.message("std_srvs/srv/Trigger_Request")
        name = f"{self._node}/reset"
        _accepted(self._graph.call("std_srvs/srv/Trigger", name, request, self._timeout_s))

    def _done(self, service: str, **fields: object) -> str:
        return _accepted(self._call(service, self._request(service, **fields)))

    def _request(self, service: str, **fields: object) -> Any:
        return self._graph.message(f"{_SRV}/{service}_Request", **fields)

    def _call(self, name: str, request: Any) -> Any:
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
        return self._graph.call(
            f"{_SRV}/{name}", f"{self._node}/{snake}", request, self._timeout_s
        )


def _accepted(response: Any) -> str:
    """The message of a response that says whether it was done."""
    if not response.success:
        raise RuntimeError(response.message)
    return str(response.message)
