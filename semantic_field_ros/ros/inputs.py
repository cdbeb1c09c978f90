"""Camera topics in, posed frames out.

Callbacks pair, convert and hand over; they never wait. Whatever does not become a frame is counted
by reason, and each reason is said once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.keyframes.corrections import Trajectory
from semantic_field_ros.ros.camera_info import InfoTopic
from semantic_field_ros.ros.camera_settings import CameraSettings
from semantic_field_ros.ros.graph import Graph, Qos, Subscription, TransformError
from semantic_field_ros.ros.graph_part import Meter
from semantic_field_ros.ros.poses import Poses, make_poses, named
from semantic_field_ros.ros.self_check import SILENT_S
from semantic_field_ros.ros.settings import NodeSettings
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.messages import (
    CameraSetup,
    frame_from_messages,
    is_rectified_topic,
    stamp_ns,
)
from semantic_field_ros.stream.pairing import Dropped, Pair, PairingSettings, StampPairer
from semantic_field_ros.stream.registration import register_depth
from semantic_field_ros.stream.skew import StampSkew
from semantic_field_ros.stream.tally import Tally, total_counts
from semantic_field_ros.types import PinholeCamera, PosedFrame

OnFrame = Callable[[PosedFrame], object]
Float = NDArray[np.float64]
logger = logging.getLogger(__name__)

#: Every camera must stay free to hand over its next image, so waiting ones are retried by a timer.
_RETRY_PERIOD_S = 0.02


class CameraInput:
    """The topics of one camera, from `listen` on.

    Attributes:
        tally: frames dropped, by reason.
        refused: messages that say nothing about a frame, by reason.
        skew: of depth against images.
        received: images that came in.
        accepted: frames that were handed over.
        newest: the last frame that was handed over, or None.
        frame_id: optical frame of the camera, empty before the first image.
        pose_error: when a frame was last dropped for want of a pose, monotonic seconds, and why.
    """

    def __init__(
        self,
        graph: Graph,
        camera: CameraSettings,
        settings: NodeSettings,
        poses: Poses,
        on_frame: OnFrame,
        lenses: dict[str, Lens],
        infos: dict[str, Any],
    ) -> None:
        """`lenses` and `infos` are told of: see `Inputs`.

        Raises:
            ValueError: the camera's mask cannot be read, or a topic has no valid name.
        """
        self.name = camera.name
        self.tally = Tally(f"camera {camera.name}")
        self.refused = Tally(f"camera {camera.name}")
        self.skew = StampSkew()
        self.received, self.accepted, self._poseless = 0, 0, 0
        self.pose_error = (0.0, "")
        self._fed = Meter()
        self.newest: PosedFrame | None = None
        self._graph, self._camera, self._poses = graph, camera, poses
        self._on_frame, self._lenses, self._infos = on_frame, lenses, infos
        self.frame_id = camera.camera_frame
        self._image_frame, self._depth_frame = "", camera.depth_frame
        self._mask = read_mask(camera.mask) if camera.mask else None
        pairing = PairingSettings(
            with_depth=camera.with_depth,
            with_ignored=bool(camera.ignore_topic),
            slop_s=camera.slop_s,
            tf_timeout_s=settings.tf_timeout_s,
            capacity=settings.queue,
            max_rate_hz=camera.max_rate_hz,
        )
        self._pairer = StampPairer(pairing, self._pose_at, self.tally, poses.clear)
        # Registered depth is bent as the images are, unless it has been rectified alone.
        self._depth_has_lens = self._reprojects or (
            camera.with_depth
            and self._is_rectified(camera.depth_topic)
            and not self._is_rectified(camera.image_topic)
        )
        if self._depth_has_lens:
            _warm_up()
        self._qos = Qos(reliable=camera.reliable, depth=settings.queue)
        # Registered depth has the intrinsics of the images.
        topics = (camera.camera_info_topic, camera.depth_info_topic or camera.camera_info_topic)
        self._info, self._depth_info = (
            InfoTopic(graph.resolve(topic), infos, self.refused) for topic in topics
        )
        self._topics: dict[str, str] = {}
        self._subscriptions: dict[str, Subscription] = {}

    def listen(self) -> None:
        """Subscribes; the first frame may be handed over before this returns."""
        for name, transport, callback in self._wanted():
            kind = {"info": "CameraInfo", "raw": "Image"}.get(transport, "CompressedImage")
            # As image_transport does: who remaps `image` need not know how images travel.
            packed = kind == "CompressedImage"
            topic = f"{self._graph.resolve(name)}/{transport}" if packed else name
            self._topics[name] = self._graph.resolve(topic)
            kind = f"sensor_msgs/msg/{kind}"
            self._subscriptions[name] = self._graph.subscribe(kind, topic, callback, self._qos)

    def retry(self) -> None:
        """Tries again what waits for a pose."""
        self._emit(self._pairer.retry())

    def clear(self) -> None:
        """Forgets what waits, after a jump of time."""
        self._pairer.clear()

    def advice(self) -> str:
        """What to look at while nothing comes out, else empty."""
        if self.accepted:
            return self._refusal() if self.starves else ""
        lone = [s.topic for s in self._subscriptions.values() if not s.publishers()]
        silent = [topic for topic in lone if topic not in self._infos]
        if silent:
            return f"camera {self.name}: nobody publishes {', '.join(silent)} with a matching QoS"
        return self._refusal() or f"camera {self.name}: no image came yet"

    @property
    def starves(self) -> bool:
        """Whether no frame was accepted for a while."""
        age_s = self._fed.age_s()
        return age_s is None or age_s > SILENT_S

    def _refusal(self) -> str:
        """Why frames were dropped since one was accepted, else empty."""
        reason = self.tally.prevailing()
        return f"camera {self.name}: {reason}: {self.tally.last[reason]}" if reason else ""

    @property
    def depth_topic(self) -> str:
        """Absolute name, empty without depth."""
        camera = self._camera
        return self._topics[camera.depth_topic] if camera.with_depth else ""

    @property
    def _reprojects(self) -> bool:
        """Whether depth comes from a camera of its own."""
        return self._camera.with_depth and bool(self._camera.depth_info_topic)

    def _wanted(self) -> list[tuple[str, str, Callable[[Any], None]]]:
        """Topic, transport and callback; what describes images comes before them."""
        camera = self._camera
        wanted: list[tuple[str, str, Callable[[Any], None]]] = [
            (camera.camera_info_topic, "info", self._info.take)
        ]
        if self._reprojects:
            wanted.append((camera.depth_info_topic, "info", self._depth_info.take))
        if camera.ignore_topic:
            wanted.append((camera.ignore_topic, "raw", self._on_ignored))
        wanted.append((camera.image_topic, camera.image_transport, self._on_image))
        if camera.with_depth:
            wanted.append((camera.depth_topic, camera.depth_transport, self._on_depth))
        return wanted

    def _is_rectified(self, images: str) -> bool:
        """Whether the images of a topic, which may have been remapped, are undistorted already."""
        said = self._camera.rectified
        named = said == "auto" and is_rectified_topic(self._graph.resolve(images))
        return named or said == "always"

    def _lens(self, info: InfoTopic, images: str) -> Lens | None:
        """The lens of the images of a topic."""
        return info.lens(self._is_rectified(images))

    def _on_image(self, message: Any) -> None:
        self.received += 1
        at_ns = stamp_ns(message.header.stamp)
        self.skew.image(at_ns)
        self._image_frame = message.header.frame_id
        self.frame_id = self._camera.camera_frame or self._image_frame
        self._emit(self._pairer.add_image(at_ns, message))

    def _on_depth(self, message: Any) -> None:
        self.skew.depth(stamp_ns(message.header.stamp))
        self._depth_frame = self._camera.depth_frame or message.header.frame_id
        self._emit(self._pairer.add_depth(stamp_ns(message.header.stamp), message))

    def _on_ignored(self, message: Any) -> None:
        self._emit(self._pairer.add_ignored(stamp_ns(message.header.stamp), message))

    def _pose_at(self, at_ns: int) -> Float:
        """map_from_camera; a frame also waits for where the depth camera sits."""
        self._colour_from_depth(at_ns)
        return self._poses.at(self.frame_id, at_ns)

    def _colour_from_depth(self, at_ns: int) -> Float:
        """(4, 4) between the optical frames, or a TransformError."""
        if not self._reprojects:
            return np.eye(4)
        colour_frame = named(self.frame_id, "images", "camera_frame")
        depth_frame = named(self._depth_frame, "depth images", "depth_frame")
        if depth_frame == colour_frame:
            return np.eye(4)
        return self._graph.lookup(colour_frame, depth_frame, at_ns)

    def _emit(self, pairs: list[Pair]) -> None:
        """Hands frames over; those that were dropped meanwhile are in the tally."""
        poseless, self._poseless = self._poseless, self.tally.counts[Dropped.NO_POSE]
        if self._poseless > poseless:
            self.pose_error = time.monotonic(), self.tally.last[Dropped.NO_POSE]
        for pair in pairs:
            try:
                setup = self._setup(pair.stamp_ns)
                frame = frame_from_messages(pair, self.name, setup)
                self._on_frame(frame)
            except (ValueError, TransformError) as error:
                self.tally.count("bad frame", str(error))
            except Exception as error:  # a fault of our own, which must cost no other frame
                if not self.tally.counts["internal error"]:
                    logger.exception("a frame of camera %s failed", self.name)
                self.tally.count("internal error", f"{type(error).__name__}: {error}")
            else:
                self.newest, self._lenses[self.name] = frame, setup.lens
                self.accepted += 1
                self._fed.tick()
                self.tally.settle()

    def _setup(self, at_ns: int) -> CameraSetup:
        """Raises ValueError: no usable CameraInfo, or depth of which nobody knows where it is."""
        lens, depth_lens = self._lens(self._info, self._camera.image_topic), None
        if lens is None:
            raise ValueError(f"images need a valid CameraInfo: {self._info.problem}")
        if self._depth_has_lens:
            depth_lens = self._lens(self._depth_info, self._camera.depth_topic)
            if depth_lens is None:
                raise ValueError(f"depth needs a valid CameraInfo: {self._depth_info.problem}")
        known = ("", self.frame_id, self._image_frame)
        if self._camera.with_depth and not self._reprojects and self._depth_frame not in known:
            raise ValueError(
                f"depth must be in the frame of the images, {self.frame_id!r}, got "
                f"{self._depth_frame!r}: set depth_info_topic to have it reprojected, or "
                "depth_frame if it is registered all the same"
            )
        return CameraSetup(
            lens,
            depth_lens,
            self._colour_from_depth(at_ns),
            self._camera.depth_range_m or (0.0, float("inf")),  # type: ignore[arg-type]
            self._mask,
        )


def read_mask(path: str) -> NDArray[np.bool_]:
    """(H, W) bool of an image file, True where it is not black.

    Raises:
        ValueError: no image there.
    """
    is_there = Path(path).exists()  # else OpenCV prints a warning of its own
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE) if is_there else None
    if image is None:
        why = "cannot be read" if is_there else "is not there"
        raise ValueError(f"mask must be an image file, got {path!r}, which {why}")
    return np.asarray(image > 0)


def _warm_up() -> None:
    """Compiles what the first depth image would wait for."""
    camera = PinholeCamera(1, 1, 1.0, 1.0, 0.0, 0.0)
    register_depth(np.ones((1, 1), np.float32), camera, camera, np.eye(4))


class Inputs:
    """All cameras.

    Attributes:
        cameras: one input per camera.
        trajectory: where the frame whose poses a SLAM node may correct was taken to be.
        lenses: of the newest frames, by name of the camera.
        infos: the newest CameraInfo of each topic that told one, by its absolute name.
    """

    def __init__(
        self,
        graph: Graph,
        settings: NodeSettings,
        on_frame: OnFrame,
        trajectory: Trajectory | None = None,
        lenses: dict[str, Lens] | None = None,
        infos: dict[str, Any] | None = None,
    ) -> None:
        """Subscribes; `on_frame` must return at once; its ValueError refuses a frame.

        What is handed in besides is what inputs before these have learnt.
        """
        self._body_frame = settings.corrected_frame or settings.pose_frame
        self._on_frame = on_frame
        self.trajectory = Trajectory() if trajectory is None else trajectory
        self.lenses = {} if lenses is None else lenses
        self.infos = {} if infos is None else infos
        self._pose_tally, self._body_tally = Tally("poses"), Tally("pose corrections")
        self._poses = make_poses(graph, settings, self._pose_tally)
        self.cameras = [
            CameraInput(graph, camera, settings, self._poses, self._take, self.lenses, self.infos)
            for camera in settings.cameras
        ]
        # Only now, for a frame of one camera asks for the others.
        for camera in self.cameras:
            camera.listen()
        graph.on_time_jump(self._clear)
        graph.timer(_RETRY_PERIOD_S, self._retry)

    def drops(self) -> dict[str, int]:
        """Frames dropped by all cameras, by reason."""
        return total_counts([camera.tally for camera in self.cameras])

    def refused(self) -> dict[str, int]:
        """Messages about cameras and poses that made no sense, by reason."""
        cameras = [camera.refused for camera in self.cameras]
        return total_counts([*cameras, self._pose_tally, self._body_tally])

    def depth_topics(self) -> set[str]:
        """Absolute names of the topics that depth is expected on."""
        return {camera.depth_topic for camera in self.cameras if camera.depth_topic}

    def advice(self) -> str:
        """What to look at while some camera delivers nothing, else empty."""
        return "; ".join(filter(None, (camera.advice() for camera in self.cameras)))

    def pose_error(self) -> str:
        """Why a frame of any camera got no pose, the last time that one did not; else empty."""
        return max(camera.pose_error for camera in self.cameras)[1]

    def newest(self) -> tuple[PosedFrame, str] | None:
        """The newest frame of any camera, with the name of its optical frame."""
        have = [(camera.newest, camera.frame_id) for camera in self.cameras if camera.newest]
        return max(have, key=lambda item: item[0].stamp_ns, default=None)

    def optical_frame(self, camera_name: str) -> str:
        """The optical frame of a camera; empty if there is none of that name, or no image yet."""
        return next((c.frame_id for c in self.cameras if c.name == camera_name), "")

    def _take(self, frame: PosedFrame) -> None:
        self._on_frame(frame)
        first = self.cameras[0]
        if not self._body_frame and frame.camera_name != first.name:
            return
        try:
            pose = self._poses.at(self._body_frame or first.frame_id, frame.stamp_ns)
        except TransformError as error:
            self._body_tally.count("no pose of corrected_frame", str(error))
        else:
            self.trajectory.add(frame.stamp_ns, pose)

    def _retry(self) -> None:
        for camera in self.cameras:
            camera.retry()

    def _clear(self) -> None:
        # Later poses of before the jump must not be taken for the next ones after it.
        self._poses.clear()
        for camera in self.cameras:
            camera.clear()
