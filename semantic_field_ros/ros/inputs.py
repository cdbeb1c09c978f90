"""Camera topics in, posed frames out.

Callbacks pair, convert and hand over; they never wait. Whatever does not become a frame is counted
by reason, and each reason is said once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.ros.graph import Graph, Qos, Subscription
from semantic_field_ros.ros.poses import Poses, make_poses
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.messages import (
    frame_from_messages,
    lens_from_message,
    stamp_ns,
)
from semantic_field_ros.stream.pairing import Pair, PairingSettings, StampPairer
from semantic_field_ros.stream.skew import StampSkew
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.types import PosedFrame

OnFrame = Callable[[PosedFrame], object]

#: Every camera must stay free to hand over its next image, so waiting ones are retried by a timer.
_RETRY_PERIOD_S = 0.02


class CameraInput:
    """The topics of one camera.

    Attributes:
        tally: frames dropped, by reason.
        skew: of depth against images.
        received: images that came in.
        accepted: frames that were handed over.
        newest: the last frame that was handed over, or None.
        frame_id: optical frame of the camera, empty before the first image.
    """

    def __init__(
        self, graph: Graph, name: str, settings: NodeSettings, poses: Poses, on_frame: OnFrame
    ) -> None:
        """Subscribes."""
        self.name = name
        self.tally = Tally(f"camera {name}")
        self.skew = StampSkew()
        self.received, self.accepted = 0, 0
        self.newest: PosedFrame | None = None
        self._settings, self._poses, self._on_frame = settings, poses, on_frame
        self.frame_id, self._last_taken_ns = settings.camera_frame, 0
        self._lens: tuple[tuple, Lens] | None = None
        pairing = PairingSettings(
            with_depth=settings.depth_transport != "none",
            slop_s=settings.slop_s,
            wait_s=settings.tf_timeout_s,
            capacity=settings.queue,
        )
        self._pairer = StampPairer(pairing, self._pose_at, self.tally, self._on_jump)
        self._subscriptions = self._subscribe(graph)

    def retry(self) -> None:
        """Tries again what waits for a pose."""
        self._emit(self._pairer.retry())

    def clear(self) -> None:
        """Forgets what waits, after a jump of time."""
        self._pairer.clear()
        self._last_taken_ns = 0

    def advice(self) -> str:
        """What to look at while nothing comes out, else empty."""
        if self.accepted:
            return ""
        silent = [s.topic for s in self._subscriptions if not s.publishers()]
        if silent:
            return f"camera {self.name}: nobody publishes {', '.join(silent)} with a matching QoS"
        if self.tally.counts:
            reason = self.tally.counts.most_common(1)[0][0]
            return f"camera {self.name}: {reason}: {self.tally.last[reason]}"
        return f"camera {self.name}: no image came yet"

    def _subscribe(self, graph: Graph) -> list[Subscription]:
        settings = self._settings
        qos = Qos(reliable=settings.reliable, depth=settings.queue)
        wanted = [
            (settings.camera_info_topic, "info", self._on_info),
            (settings.image_topic, settings.image_transport, self._on_image),
        ]
        if settings.depth_transport != "none":
            wanted.append((settings.depth_topic, settings.depth_transport, self._on_depth))
        subscriptions = []
        for template, transport, callback in wanted:
            kind = {"info": "CameraInfo", "raw": "Image"}.get(transport, "CompressedImage")
            topic = settings.topic(template, self.name)
            topic += f"/{transport}" if kind == "CompressedImage" else ""
            subscriptions.append(graph.subscribe(f"sensor_msgs/msg/{kind}", topic, callback, qos))
        return subscriptions

    def _on_info(self, message: Any) -> None:
        numbers = [float(v) for array in (message.k, message.p, message.d) for v in array]
        roi = message.roi
        crop = (roi.x_offset, roi.y_offset, roi.width, roi.height, message.binning_x)
        key = (message.width, message.height, message.distortion_model, *crop, *numbers)
        if self._lens is not None and self._lens[0] == key:
            return
        try:
            self._lens = key, lens_from_message(message, self._settings.rectified)
        except ValueError as error:
            self._lens = None
            self.tally.count("bad camera_info", str(error))

    def _on_image(self, message: Any) -> None:
        self.received += 1
        at_ns = stamp_ns(message.header.stamp)
        self.skew.image(at_ns)
        if not self._is_due(at_ns):
            return
        if not self._settings.camera_frame:
            self.frame_id = message.header.frame_id
        self._emit(self._pairer.add_image(at_ns, message))

    def _on_depth(self, message: Any) -> None:
        self.skew.depth(stamp_ns(message.header.stamp))
        self._emit(self._pairer.add_depth(stamp_ns(message.header.stamp), message))

    def _is_due(self, at_ns: int) -> bool:
        """Whether `max_rate_hz` lets an image of this stamp pass."""
        rate_hz = self._settings.max_rate_hz
        # A little early is on time: stamps of a 30 Hz camera jitter around 33.3 ms.
        if rate_hz and 0 <= at_ns - self._last_taken_ns < 0.9e9 / rate_hz:
            return False
        self._last_taken_ns = at_ns
        return True

    def _pose_at(self, at_ns: int) -> NDArray[np.float64]:
        return self._poses.at(self.frame_id, at_ns)

    def _on_jump(self) -> None:
        self._last_taken_ns = 0
        self._poses.clear()

    def _emit(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            try:
                frame = self._frame(pair)
                self._on_frame(frame)
            except ValueError as error:
                self.tally.count("bad frame", str(error))
            else:
                self.newest = frame
                self.accepted += 1

    def _frame(self, pair: Pair) -> PosedFrame:
        """Raises ValueError: no usable CameraInfo, unreadable images, sizes that do not fit."""
        if self._lens is None:
            raise ValueError("images need a valid CameraInfo, got none yet")
        return frame_from_messages(
            pair.stamp_ns,
            self.name,
            self._lens[1],
            pair.world_from_camera,
            pair.image,
            pair.depth,
        )


class Inputs:
    """All cameras.

    Attributes:
        cameras: one input per camera.
    """

    def __init__(self, graph: Graph, settings: NodeSettings, on_frame: OnFrame) -> None:
        """Subscribes; `on_frame` must return at once; its ValueError refuses a frame."""
        self._pose_tally = Tally("poses")
        self._poses = make_poses(graph, settings, self._pose_tally)
        self.cameras = [
            CameraInput(graph, name, settings, self._poses, on_frame) for name in settings.cameras
        ]
        graph.on_time_jump(self._clear)
        graph.timer(_RETRY_PERIOD_S, self._retry)

    def drops(self) -> dict[str, int]:
        """Frames dropped by all cameras, by reason."""
        total = Tally("all cameras").counts
        for tally in (self._pose_tally, *(camera.tally for camera in self.cameras)):
            total.update(tally.counts)
        return dict(total)

    def advice(self) -> str:
        """What to look at while some camera delivers nothing, else empty."""
        return "; ".join(filter(None, (camera.advice() for camera in self.cameras)))

    def newest(self) -> tuple[PosedFrame, str] | None:
        """The newest frame of any camera, with the name of its optical frame."""
        have = [(camera.newest, camera.frame_id) for camera in self.cameras if camera.newest]
        return max(have, key=lambda item: item[0].stamp_ns, default=None)

    def _retry(self) -> None:
        for camera in self.cameras:
            camera.retry()

    def _clear(self) -> None:
        for camera in self.cameras:
            camera.clear()
