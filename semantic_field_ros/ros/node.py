"""The node: declares, subscribes, converts, asks the map, publishes; all in states of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros import backends
from semantic_field_ros.config import QueriesConfig
from semantic_field_ros.keyframes.corrections import Trajectory
from semantic_field_ros.queries.composition import keep_away, parse
from semantic_field_ros.ros.clicks import Clicks
from semantic_field_ros.ros.corrections import PoseCorrections
from semantic_field_ros.ros.graph import Cancel, Graph, ParameterValue
from semantic_field_ros.ros.graph_part import GraphPart
from semantic_field_ros.ros.inputs import Inputs, read_mask
from semantic_field_ros.ros.lifecycle import Lifecycle, State
from semantic_field_ros.ros.managed_field import ManagedField
from semantic_field_ros.ros.navigation import NavigationServer
from semantic_field_ros.ros.outputs import Outputs
from semantic_field_ros.ros.overlay import frame_showing
from semantic_field_ros.ros.self_report import Listening, SelfReport
from semantic_field_ros.ros.services import Services, why
from semantic_field_ros.ros.settings import (
    NodeSettings,
    Present,
    declare_config,
    declare_settings,
)
from semantic_field_ros.ros.worker import Backlog, Worker
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PosedFrame

logger = logging.getLogger(__name__)

DEFAULT_NAME = "semantic_field"
#: asked by topics, that may wait.
MOST_QUESTIONS = 8


class SemanticFieldNode:
    """Connects a map with a graph, which is owned, and closed, by the caller.

    Unconfigured it answers for itself alone; configured it has its models and may have a map to
    ask; active it listens to the cameras and trains.

    Attributes:
        field: the map, which refuses every call while there is none.
        lifecycle: the states.
        listening: the camera's topics while active, else None.
        outputs: publishers.
        services: what others may ask.
        corrections: of poses, that come late.
        navigation: what Nav2 reads and asks.
    """

    def __init__(
        self,
        graph: Graph,
        make_field: Callable[[], Any],
        settings: NodeSettings,
        map_folder: str,
    ) -> None:
        """Announces the node's topics and services; it is unconfigured.

        Args:
            graph: the node's name and place in the ROS graph.
            make_field: makes the `SemanticField`, which loads its models; the node closes it.
            settings: from `declare_settings`.
            map_folder: where maps are saved and loaded.
        """
        self._graph, self._make_field, self._settings = graph, make_field, settings
        self._newest_version = 0  # of any map that the node has had
        self.listening: Listening | None = None
        self._queries: QueriesConfig | None = None  # as parameters have changed them
        self._lock = threading.RLock()  # of `listening`: transitions and parameters change it
        self.field = ManagedField(lambda: self.lifecycle.state)
        self.lifecycle = Lifecycle(graph, self)
        self.outputs = Outputs(graph, settings.map_frame, self._image_of)
        folder = Path(map_folder).expanduser()
        self._lenses: dict[str, Lens] = {}
        self._infos: dict[str, Any] = {}  # each may be told only once
        self._optical_frames: dict[str, str] = {}  # by camera, as last heard
        self.services = Services(
            graph, self.field, self.outputs, settings.map_frame, folder, self._lenses
        )
        self.navigation = NavigationServer(graph, self.field, self.services, settings)
        # A zone that is asked for keeps Nav2 waiting for as long as its query takes, nobody else.
        self._navigating = Worker("navigation")
        self.services.after_load = self._navigate
        self._trajectory = Trajectory()
        self.corrections = PoseCorrections(
            graph, self.field, settings.map_frame, self._trajectory, self.outputs.run
        )
        asked, self._answering = Tally("questions"), Worker("answering")
        self._questions = Backlog(self._answering.run, MOST_QUESTIONS, asked, "too many questions")
        self._clicks = Clicks(graph, self.services, lambda: self._settings, self._questions.add)
        graph.subscribe("std_msgs/msg/String", "~/text_query", self._on_text)
        tallies = (self.corrections.tally, asked)
        self._self_report = SelfReport(graph, settings, self.lifecycle, tallies)
        self._closed, self._parameters_changed = False, False
        graph.on_parameter(self._on_parameter)
        self._end_timer: Cancel = graph.timer(settings.status_period_s, self._on_timer)

    def start(self) -> None:
        """Configures and activates, if the settings say so; what fails is told by the status."""
        if self._settings.autostart and self.lifecycle.change("configure"):
            self.lifecycle.change("activate")

    def close(self) -> None:
        """Finishes what is being answered and published, and lets go of the map; questions that
        wait are dropped."""
        self._closed = True
        self._end_timer()
        self._clicks.close()
        self.services.book.close()
        self._answering.close(finish=False)
        self._navigating.close()
        self.outputs.close()
        self.release()

    def configure(self) -> None:
        """See `Managed`: loads and warms up the models, and the map to start from."""
        field = self._make_field()
        field.map_frame = self._settings.map_frame
        # A client must not take a map of this field for one of the field before.
        field.versions.reach(self._newest_version)
        # The node keeps them while it has no field; those of the map to start from replace them.
        field.navigation.zones = self.navigation.zones
        try:
            field.pause(features=True)
            field.start()
        except BaseException:
            field.close()
            raise
        self.field.present = field
        if self._queries is not None:
            field.retune(self._queries)
        self._navigate()

    def activate(self) -> None:
        """See `Managed`: listens and trains."""
        self._listen()
        field = self.field.present
        assert field is not None
        field.resume()
        logger.info("%s maps in frame %s", self._graph.name, self._settings.map_frame)

    def deactivate(self) -> None:
        """See `Managed`: listens, trains and looks at keyframes no more; the map can be asked."""
        field = self.field.present
        assert field is not None
        try:
            field.pause(features=True)
        except BaseException:
            field.resume()
            raise
        self._stop_listening()

    def release(self) -> None:
        """See `Managed`: frees the map, the models and their memory."""
        self._stop_listening()
        field, self.field.present = self.field.present, None
        self.services.book.cancel_all()
        if field is not None:
            field.close()
            self._newest_version = field.versions.newest
            del field
            backends.release_memory()

    def _listen(self) -> None:
        """Listens as the settings say, and no more as before; if it fails, as before all the same.

        Raises:
            ValueError: what the settings say cannot be listened to.
        """
        part = GraphPart(self._graph)
        try:
            inputs = Inputs(
                part,
                self._settings,
                self.field.ingest,
                self._trajectory,
                self._lenses,
                self._infos,
            )
        except BaseException:
            part.close()
            raise
        before = self.listening
        counts = () if before is None else (before.accepted(), before.drops())
        self._listen_to(Listening(part, inputs, *counts))

    def _stop_listening(self) -> None:
        self._listen_to(None)

    def _listen_to(self, wanted: Listening | None) -> None:
        with self._lock:
            before, self.listening = self.listening, wanted
            if before is not None:
                before.part.close()
                heard = {camera.name: camera.frame_id for camera in before.inputs.cameras}
                self._optical_frames |= heard

    def _listen_anew(self) -> None:
        """Subscribes as the settings now say, if the node is active."""
        with self._lock:
            if self.lifecycle.state is not State.ACTIVE:
                return
            try:
                self._listen()
                self.lifecycle.reason = ""
            except Exception as error:  # the node must go on, and say what it is
                self.lifecycle.reason = f"listening failed: {why(error)}"

    def _image_of(self, points: NDArray[np.float32]) -> tuple[PosedFrame, str] | None:
        """A keyframe that shows (N, 3) map points, else the newest image, and its frame."""
        listening, field = self.listening, self.field.present
        frame = None if field is None or not len(points) else frame_showing(field, points)
        if frame is not None:
            return frame, self._optical_frame(frame.camera_name)
        return None if listening is None else listening.inputs.newest()

    def _optical_frame(self, camera_name: str) -> str:
        """Of a camera; while the node does not listen, as it was; empty if it is not known."""
        listening = self.listening
        if listening is None:
            return self._optical_frames.get(camera_name, "")
        return listening.inputs.optical_frame(camera_name)

    def _on_parameter(self, values: Mapping[str, ParameterValue]) -> None:
        """Refuses, by a ValueError or TypeError, what makes no sense; the timer does the rest."""
        wanted = Present(self._graph, values)
        in_force = {"", *(camera.mask for camera in self._settings.cameras)}
        for camera in declare_settings(wanted).cameras:
            if camera.mask not in in_force:
                read_mask(camera.mask)
        declare_config(wanted)
        self._parameters_changed = True

    def _follow_parameters(self) -> None:
        """Brings what has changed into force; topics are subscribed to anew."""
        self._parameters_changed = False
        present, before = Present(self._graph), self._settings
        self._settings = self._self_report.settings = declare_settings(present)
        self._queries = declare_config(present).queries
        if self._settings.status_period_s != before.status_period_s:
            self._end_timer()
            self._end_timer = self._graph.timer(self._settings.status_period_s, self._on_timer)
        field = self.field.present
        if field is not None:
            field.retune(self._queries)
        if replace(self._settings, status_period_s=before.status_period_s) != before:
            self._listen_anew()

    def _on_text(self, message: Any) -> None:
        self._questions.add(partial(self._text, message))

    def _text(self, message: Any) -> None:
        wish = keep_away(message.data)
        if wish is not None:
            logger.info("asked to %s: %s", message.data, self.navigation.keep_away(wish))
            return
        answer = self.services.ask_text(parse(message.data))
        logger.info("asked for %r: %s", message.data, answer.reason or "found")

    def _on_timer(self) -> None:
        """Reports from the publishing thread."""
        if not self._closed:
            self.outputs.run(self._report)

    def _report(self) -> None:
        if self._parameters_changed:
            self._follow_parameters()
        self.field.why_idle = self._self_report.send(self.field.present, self.listening)
        self.corrections.announce(self.field.keyframes())
        self.outputs.surface(self.field.surface())
        self._navigate()

    def _navigate(self) -> None:
        self._navigating.run(self.navigation.publish)
