"""The node's services: each converts a request, asks the map, converts the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.export.zones import what_a_load_changed
from semantic_field_ros.geometry import invert_rigid
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.ros.answer_book import AnswerBook, Refine
from semantic_field_ros.ros.answers import AnswerFrame, answer_message
from semantic_field_ros.ros.graph import Graph, TransformError
from semantic_field_ros.ros.grasping import grasp_query, plan_fields
from semantic_field_ros.ros.messages import header_message, image_message, time_message
from semantic_field_ros.ros.outputs import Outputs
from semantic_field_ros.ros.requests import (
    click_query,
    lookup,
    text_query,
    undistorted_click,
    world_from_header,
)
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.messages import camera_from_message, matrix_from_pose
from semantic_field_ros.training.checkpoint import list_maps, map_path
from semantic_field_ros.training.map_list import describe_maps
from semantic_field_ros.types import QueryAnswer

_SRV = "semantic_field_ros/srv"
#: Layers of RenderView: encoding of the image.
LAYERS = {
    "rgb": "rgb8",
    "depth": "32FC1",
    "relevancy": "32FC1",
    "mask": "16UC1",
    "features": "rgb8",
}
logger = logging.getLogger(__name__)

#: What a request can be wrong about, or the map not ready for; TransformError is a RuntimeError.
_REFUSALS = (ValueError, TypeError, RuntimeError, OSError)


class Services:
    """Serves everything under the node's name.

    Attributes:
        book: of answers that are being refined.
        after_load: told once a map was loaded; returns at once.
    """

    def __init__(
        self,
        graph: Graph,
        field: Any,
        outputs: Outputs,
        map_frame: str,
        folder: Path,
        lenses: Mapping[str, Lens],
    ) -> None:
        """Announces the services.

        Args:
            graph: the node.
            field: the `SemanticField`.
            outputs: where answers are shown.
            map_frame: the world.
            folder: where maps and exports are.
            lenses: of the cameras that are known, by name.
        """
        self._graph, self._field, self._outputs = graph, field, outputs
        self._map_frame, self._folder, self._lenses = map_frame, folder, lenses
        self.book = AnswerBook(outputs.answer)
        self.after_load: Callable[[], None] = lambda: None
        for name, handler in {
            "QueryText": self._query_text,
            "QueryClick": self._query_click,
            "ListObjects": self._list_objects,
            "PlanGrasps": self._plan_grasps,
            "GetAnswer": self._get_answer,
            "RenderView": self._render_view,
            "SaveMap": self._save_map,
            "LoadMap": self._load_map,
            "ListMaps": self._list_maps,
            "Export": self._export,
        }.items():
            graph.serve(f"{_SRV}/{name}", f"~/{_snake(name)}", handler)
        graph.serve("std_srvs/srv/Trigger", "~/reset", self._reset)
        graph.serve("std_srvs/srv/SetBool", "~/pause", self._pause)

    def ask_text(self, query: TextQuery) -> QueryAnswer:
        """Answers and shows it; a refusal is an answer too."""
        return self._ask(lambda: self._field.query_text(query))

    def ask_click(self, query: Callable[[], ClickQuery]) -> QueryAnswer:
        """Answers and shows it; a refusal is an answer too, also one of what makes the query."""
        return self._ask(lambda: self._field.query_click(query()))

    def _ask(self, ask: Callable[[], QueryAnswer]) -> QueryAnswer:
        try:
            answer: QueryAnswer = ask()
        except Exception as error:  # whoever asked must hear of it, whatever it is
            answer = _refusal(error)
        self._outputs.answer(answer)
        return answer

    def _query_text(self, request: Any) -> Any:
        return self._answer_query("QueryText", request, text_query, self._field.query_text)

    def _query_click(self, request: Any) -> Any:
        def parse(*about: Any) -> ClickQuery:
            return undistorted_click(click_query(*about), self._lenses, self._field.keyframes())

        return self._answer_query("QueryClick", request, parse, self._field.query_click)

    def _list_objects(self, request: Any) -> Any:
        phrases = list(request.vocabulary)

        def work() -> tuple[QueryAnswer, Refine | None]:
            answer = self._field.instances(phrases)
            again = partial(self._field.instances, phrases, True)
            return answer, again if request.refine else None

        return self._reply("ListObjects", request, work)

    def _answer_query(
        self, name: str, request: Any, parse: Callable[..., Any], ask: Callable[..., QueryAnswer]
    ) -> Any:
        """The fast answer; with `refine` the book works on a better one."""

        def work() -> tuple[QueryAnswer, Refine | None]:
            query = parse(request, self._graph, self._map_frame)
            answer = ask(replace(query, refine=False))
            return answer, (lambda told: ask(query, told)) if query.refine else None

        return self._reply(name, request, work)

    def _reply(
        self, name: str, request: Any, work: Callable[[], tuple[QueryAnswer, Refine | None]]
    ) -> Any:
        """Shows the answer and returns it in the frame that was asked for."""
        frame = AnswerFrame(self._map_frame, np.eye(4))
        try:
            frame = self._frame(request.target_frame)
            answer, refine = work()
            if refine is not None:
                frame = self.book.open(answer, frame, refine)
        except Exception as error:  # whoever asked must hear of it, whatever it is
            answer = _refusal(error)
        self._outputs.answer(answer)
        return self._response(name, answer=answer_message(self._graph.message, answer, frame))

    def _get_answer(self, request: Any) -> Any:
        entry = self.book.get(request.query_id)
        if entry is None:
            reason = f"query {request.query_id} is not kept"
            return self._response("GetAnswer", known=False, message=reason)
        cancelled = request.cancel and self.book.cancel(request.query_id)
        entry = self.book.get(request.query_id) or entry
        percent = int(100 * self.book.share(request.query_id))
        state = "final" if entry.frame.final else f"being refined, {percent} %"
        message, answer, frame = "cancelled" if cancelled else state, entry.answer, entry.frame
        try:  # it may have gone on since it was asked for
            target_from_world = self._frame(frame.frame_id).target_from_world
            frame = replace(frame, target_from_world=target_from_world)
        except TransformError as error:
            message, answer = str(error), _refusal(error)
        answered = answer_message(self._graph.message, answer, frame)
        return self._response("GetAnswer", known=True, message=message, answer=answered)

    def _plan_grasps(self, request: Any) -> Any:
        make = self._graph.message
        try:
            frame = self._frame(request.target_frame)
            plan = self._field.grasps(grasp_query(request, self._graph, self._map_frame))
            return self._response("PlanGrasps", **plan_fields(make, plan, frame))
        except Exception as error:  # whoever asked must hear of it, whatever it is
            return self._response("PlanGrasps", found=False, reason=why(error))

    def _render_view(self, request: Any) -> Any:
        def render() -> dict[str, Any]:
            if request.layer not in LAYERS:
                raise ValueError(f"layer must be one of {list(LAYERS)}, got {request.layer!r}")
            world_from_frame = world_from_header(self._graph, self._map_frame, request.pose.header)
            world_from_camera = world_from_frame @ matrix_from_pose(request.pose.pose)
            camera = camera_from_message(request.camera_info)
            pixels = self._field.render(camera, world_from_camera, request.layer, request.text)
            make = self._graph.message
            frame = request.pose.header.frame_id or self._map_frame
            image_header = header_message(make, frame, self._graph.now_ns())
            encoding = LAYERS[request.layer]
            return {"image": image_message(make, image_header, _as(pixels, encoding), encoding)}

        return self._done("RenderView", render)

    def _save_map(self, request: Any) -> Any:
        def save() -> dict[str, Any]:
            path = map_path(self._folder.resolve(), request.name)
            self._field.save(path)
            return {"message": str(path)}

        return self._done("SaveMap", save)

    def _load_map(self, request: Any) -> Any:
        def load() -> dict[str, Any]:
            path = map_path(self._folder.resolve(), request.name)
            before = self._field.navigation.zones.count
            self._field.load(path)
            self.after_load()
            zones = what_a_load_changed(before, self._field.navigation.zones.count)
            return {"message": "; ".join(filter(None, (f"loaded {path}", zones)))}

        return self._done("LoadMap", load)

    def _list_maps(self, request: Any) -> Any:
        make = self._graph.message
        maps = [
            make(
                "semantic_field_ros/msg/MapInfo",
                name=known.name,
                saved=time_message(make, known.saved_ns),
                size_mb=known.size_bytes / 1e6,
                keyframes=known.keyframes,
                map_version=known.map_version,
                problem=known.problem,
            )
            for known in describe_maps(self._folder)
        ]
        return self._response("ListMaps", maps=maps)

    def _export(self, request: Any) -> Any:
        def export() -> dict[str, Any]:
            path = self.path_of(request.name)
            self._field.export(path, request.what)
            return {"message": str(path)}

        return self._done("Export", export)

    def _reset(self, request: Any) -> Any:
        def reset() -> dict[str, Any]:
            self._field.reset()
            return {"message": "the map is empty"}

        return self._done("std_srvs/srv/Trigger", reset)

    def _pause(self, request: Any) -> Any:
        def pause() -> dict[str, Any]:
            (self._field.pause if request.data else self._field.resume)()
            return {"message": "paused" if request.data else "mapping"}

        return self._done("std_srvs/srv/SetBool", pause)

    def _done(self, name: str, work: Callable[[], dict[str, Any]]) -> Any:
        """A response with `success` and `message`."""
        try:
            return self._response(name, success=True, **work())
        except Exception as error:  # whoever asked must hear of it, whatever it is
            return self._response(name, success=False, message=why(error))

    def _response(self, name: str, **fields: Any) -> Any:
        full = name if "/" in name else f"{_SRV}/{name}"
        return self._graph.message(f"{full}_Response", **fields)

    def _frame(self, target: str) -> AnswerFrame:
        target = target or self._map_frame
        return AnswerFrame(target, invert_rigid(lookup(self._graph, self._map_frame, target)))

    def path_of(self, name: str) -> Path:
        """A file inside the map folder.

        Raises:
            ValueError: empty, or outside, or inside a saved map.
        """
        folder = self._folder.resolve()
        path = (folder / name).resolve()
        if not name or folder not in path.parents:
            raise ValueError(f"name must be a file inside {folder}, got {name!r}")
        place = path.relative_to(folder).parts[0]
        if place in list_maps(folder):
            raise ValueError(f"name must not lead into the saved map {place!r}, got {name!r}")
        folder.mkdir(parents=True, exist_ok=True)
        return path


def _refusal(error: Exception) -> QueryAnswer:
    return QueryAnswer(False, why(error), [], 0.0, 0.0, 0, 0)


def why(error: Exception) -> str:
    """What to tell; anything but a refusal is our own fault and logged."""
    if isinstance(error, _REFUSALS):
        return str(error)
    logger.error("a request failed", exc_info=error)
    return f"internal error: {type(error).__name__}: {error}"


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _as(pixels: NDArray, encoding: str) -> NDArray:
    """A rendered layer in the type of its encoding."""
    return pixels.astype({"rgb8": np.uint8, "16UC1": np.uint16, "32FC1": np.float32}[encoding])
