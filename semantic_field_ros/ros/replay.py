"""Publishes any stream of posed frames as the topics of a robot's camera."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.graph import Graph, Publisher, Qos
from semantic_field_ros.ros.messages import (
    camera_info_message,
    header_message,
    image_message,
    time_message,
    transform_message,
)
from semantic_field_ros.types import PosedFrame

logger = logging.getLogger(__name__)

_OUT = Qos(depth=10)
_MATCH_TIMEOUT_S, _DEPTH_TIMEOUT_S = 10.0, 1.0
#: 16 bits reach no farther, and some drivers mean "unknown" by the last value.
_FARTHEST_MM = 65534
#: from one round of a stream of a single stamp to the next, nanoseconds.
_ALONE_NS = 1_000_000_000


@dataclass(frozen=True)
class ReplayOptions:
    """How a stream is published.

    Attributes:
        rate: multiple of the recording's own speed, by its stamps.
        rate_hz: frames per second regardless of stamps; 0 follows the stamps.
        map_frame: parent of the cameras.
        depth_encoding: 16UC1 (millimetres) or 32FC1 (metres).
        clock: publish the stamps on `/clock` too, for `use_sim_time`.
        wait_for_node: wait (10 s at most) until someone listens, so that no frame is lost.
        loop: start again at the end, for ever, with stamps that go on.
    """

    rate: float = 1.0
    rate_hz: float = 0.0
    map_frame: str = "map"
    depth_encoding: str = "16UC1"
    clock: bool = False
    wait_for_node: bool = True
    loop: bool = False

    def __post_init__(self) -> None:
        if self.depth_encoding not in ("16UC1", "32FC1"):
            raise ValueError(f"depth_encoding must be 16UC1 or 32FC1, got {self.depth_encoding!r}")
        if not self.rate > 0 or not self.rate_hz >= 0:
            raise ValueError(f"rate must be > 0 and rate_hz >= 0, got {self.rate}, {self.rate_hz}")


DEFAULTS = ReplayOptions()


class _Camera:
    """The topics of one camera; with several cameras they are under its name."""

    def __init__(self, graph: Graph, name: str, prefix: str) -> None:
        self.frame_id = f"{name}_optical_frame"
        self.image = graph.publisher("sensor_msgs/msg/Image", f"{prefix}image", _OUT)
        self.depth = graph.publisher("sensor_msgs/msg/Image", f"{prefix}depth", _OUT)
        self.info = graph.publisher("sensor_msgs/msg/CameraInfo", f"{prefix}camera_info", _OUT)


class Replayer:
    """Publishers for the cameras of a stream.

    Args:
        graph: the replaying node.
        cameras: their names; one camera gets bare topic names, whatever its frames call it.
        options: how.
    """

    def __init__(self, graph: Graph, cameras: tuple[str, ...], options: ReplayOptions) -> None:
        self._graph, self._options = graph, options
        many = len(cameras) > 1
        self._cameras = {c: _Camera(graph, c, f"{c}/" if many else "") for c in cameras}
        self._only = None if many else self._cameras[cameras[0]]
        self._tf = graph.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos(depth=100))
        self._clock = (
            graph.publisher("rosgraph_msgs/msg/Clock", "/clock") if options.clock else None
        )

    def wait_for_listener(self) -> bool:
        """Waits until images and transforms have a subscriber; False if nobody came.

        For one of depth, which not everybody wants, it waits a moment longer: without it the first
        frame would lack its depth.
        """
        wanted: list[Publisher] = [self._tf]
        for camera in self._cameras.values():
            wanted += [camera.image, camera.info]
        if not _all_heard(wanted, _MATCH_TIMEOUT_S):
            logger.warning("nobody listens to %s", ", ".join(self._cameras))
            return False
        _all_heard([camera.depth for camera in self._cameras.values()], _DEPTH_TIMEOUT_S)
        return True

    def publish(self, frame: PosedFrame) -> None:
        """Publishes one frame: transform, camera_info, depth, image."""
        camera = self._only or self._cameras.get(frame.camera_name)
        if camera is None:
            raise ValueError(
                f"camera must be one of {list(self._cameras)}, got {frame.camera_name!r}"
            )
        make, options = self._graph.message, self._options
        if self._clock is not None:
            clock = time_message(make, frame.stamp_ns)
            self._clock.publish(make("rosgraph_msgs/msg/Clock", clock=clock))
        world = header_message(make, options.map_frame, frame.stamp_ns)
        transform = transform_message(make, world, camera.frame_id, frame.world_from_camera)
        self._tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[transform]))
        header = header_message(make, camera.frame_id, frame.stamp_ns)
        camera.info.publish(camera_info_message(make, header, frame.camera))
        if frame.depth_m is not None:
            camera.depth.publish(self._depth(header, frame.depth_m))
        camera.image.publish(image_message(make, header, frame.rgb, "rgb8"))

    def _depth(self, header: Any, depth_m: NDArray[np.float32]) -> Any:
        if self._options.depth_encoding == "32FC1":
            return image_message(self._graph.message, header, depth_m, "32FC1")
        millimetres = np.rint(depth_m * 1000)
        fits = (millimetres > 0) & (millimetres <= _FARTHEST_MM)  # NaN compares false
        pixels = np.where(fits, millimetres, 0).astype(np.uint16)
        return image_message(self._graph.message, header, pixels, "16UC1")


def _all_heard(publishers: Sequence[Publisher], timeout_s: float) -> bool:
    """Waits until each has a subscriber; whether they came in time."""
    deadline = time.monotonic() + timeout_s
    while not all(publisher.subscribers() for publisher in publishers):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def replay(
    source: Iterable[PosedFrame],
    graph: Graph,
    options: ReplayOptions = DEFAULTS,
    cameras: tuple[str, ...] = ("camera",),
    on_frame: Callable[[PosedFrame], None] | None = None,
) -> int:
    """Publishes a stream in real time.

    Args:
        source: frames in order of their stamps.
        graph: the replaying node.
        options: how.
        cameras: names of the cameras in the stream.
        on_frame: called after each frame.

    Returns:
        How many frames were published.
    """
    replayer = Replayer(graph, cameras, options)
    if options.wait_for_node:
        replayer.wait_for_listener()
    count, pace = 0, _Pace(options)
    for frame in _looped(source) if options.loop else source:
        pace.wait(frame.stamp_ns)
        replayer.publish(frame)
        count += 1
        if on_frame is not None:
            on_frame(frame)
    return count


def _looped(source: Iterable[PosedFrame]) -> Iterator[PosedFrame]:
    """The stream round after round; a round follows the last as a frame follows a frame.

    Stamps never jump back, or every tf2 buffer that listens would drop transforms as old data
    until its time has come round again.
    """
    later_ns = 0
    while True:
        count, first_ns, last_ns = 0, 0, 0
        for count, frame in enumerate(source, 1):
            first_ns = frame.stamp_ns if count == 1 else first_ns
            last_ns = frame.stamp_ns
            yield replace(frame, stamp_ns=frame.stamp_ns + later_ns)
        if count == 0:
            return
        length_ns = last_ns - first_ns
        later_ns += length_ns + (length_ns // max(count - 1, 1) or _ALONE_NS)


class _Pace:
    """Sleeps until a frame is due; a late one is published at once and moves nothing."""

    def __init__(self, options: ReplayOptions) -> None:
        self._options = options
        self._start_s = time.monotonic()
        self._first_ns: int | None = None
        self._count = 0

    def wait(self, stamp_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns, self._start_s = stamp_ns, time.monotonic()
        if self._options.rate_hz:
            due_s = self._count / self._options.rate_hz
        else:
            due_s = (stamp_ns - self._first_ns) / 1e9 / self._options.rate
        self._count += 1
        time.sleep(max(self._start_s + due_s - time.monotonic(), 0.0))
