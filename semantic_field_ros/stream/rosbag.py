"""Posed frames from a rosbag2 recording (mcap or sqlite3), without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.typesys import Stores, get_typestore

from semantic_field_ros.stream.bag_topics import (
    POSE_STAMPED,
    TF_TOPICS,
    BagTopics,
    TopicChoice,
    choose_topics,
    pose_topics,
)
from semantic_field_ros.stream.base import FrameSource
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.stream.messages import (
    CameraSetup,
    add_pose,
    add_transforms,
    frame_from_messages,
    is_rectified_topic,
    lens_from_message,
    stamp_ns,
)
from semantic_field_ros.stream.pairing import Pair, PairingSettings, StampPairer
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.stream.tf_tree import TfTree, TransformError
from semantic_field_ros.types import PosedFrame

#: names under which maps are published, best first.
MAP_FRAMES = ("map", "world", "odom")
#: stands in the tree for what a PoseStamped moves; that frame itself stays where tf has it, so
#: that its neighbours on the same device can still be found from it.
_POSED = "what the pose topic moves"
#: so many transforms are looked at to find the map frame.
TRANSFORMS_READ_AHEAD = 2000


@dataclass(frozen=True)
class BagOptions:
    """What a bag does not say by itself."""

    #: topics, where they are not to be found by type and name.
    topics: TopicChoice = field(default_factory=TopicChoice)
    #: the world's frame; None = map, world, odom or the root of the tree.
    map_frame: str | None = None
    #: what a PoseStamped topic poses; None = the camera itself.
    posed_frame: str | None = None
    #: images and depth are free of distortion already; None = as the names of their topics say,
    #: and depth in the pixels of such images is in any case.
    rectified: bool | None = None
    #: how image, depth and pose come together; depth is left out where there is none.
    pairing: PairingSettings = field(default_factory=PairingSettings)


class RosBag(FrameSource):
    """One camera of a bag, with depth where a depth topic is.

    The bag is read once from front to back, as if it were played: what would be dropped on a robot
    is dropped here, and counted.

    Args:
        path: folder with metadata.yaml, or a single .mcap file.
        options: see there.

    Attributes:
        tally: drops by reason.
        topics: what is read.

    Raises:
        ValueError: not a bag, or topics that are missing or ambiguous.
    """

    def __init__(self, path: str | Path, options: BagOptions | None = None) -> None:
        self.path = bag_path(Path(path))
        self.name = str(path)
        self.tally = Tally(f"bag {self.path.name}")
        self._options = options or BagOptions()
        try:
            with Reader(self.path) as reader:
                types = {link.topic: link.msgtype for link in reader.connections}
                self.topics: BagTopics = choose_topics(types, self._options.topics)
                self._images = reader.topics[self.topics.image].msgcount
                self.rate_hz = max(self._images - 1, 1) / max(reader.duration / 1e9, 1e-3)
        except (ReaderError, OSError) as error:
            raise ValueError(f"{self.path} must be a rosbag2 recording: {error}") from None

    @property
    def length(self) -> int | None:
        """Number of images, whether they will find depth and pose or not."""
        return self._images

    def __iter__(self) -> Iterator[PosedFrame]:
        """Frames in order of their stamps; a new pass starts with an empty tree.

        Raises:
            ValueError: the camera would stand still though the bag has a topic of poses.
        """
        with Reader(self.path) as reader:
            yield from _Playback(reader, self.topics, self._options, self.tally)


class _Playback:
    """One pass over the messages."""

    def __init__(
        self, reader: Reader, topics: BagTopics, options: BagOptions, tally: Tally
    ) -> None:
        self._reader, self._topics, self._options, self._tally = reader, topics, options, tally
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._tree = TfTree()
        self._lenses: dict[str, Lens] = {}  # by topic of the images
        self._camera_frame, self._depth_frame = "camera", ""
        self._map_frame = options.map_frame or ""
        kinds = {link.topic: link.msgtype for link in reader.connections}
        self._is_posed_apart = kinds.get(topics.pose) == POSE_STAMPED
        self._pose_topics = [] if options.topics.pose == "" else pose_topics(kinds)
        settings = replace(options.pairing, with_depth=bool(topics.depth))
        self._pairer = StampPairer(settings, self._pose_at, tally, self._tree.clear)

    def __iter__(self) -> Iterator[PosedFrame]:
        self._read_ahead()
        for link, message in self._messages({*asdict(self._topics).values(), *TF_TOPICS}):
            yield from self._frames(self._take(link.topic, message))
        yield from self._frames(self._pairer.flush())

    def _messages(self, topics: set[str]) -> Iterator[tuple[Connection, Any]]:
        """Readable messages in the order of recording."""
        links = [link for link in self._reader.connections if link.topic in topics]
        for link, _, data in self._reader.messages(links) if links else ():
            try:
                message = self._types.deserialize_cdr(data, link.msgtype)
            except Exception as error:  # whatever damaged bytes do to the decoder
                self._tally.count("message not readable", f"{link.topic}: {error}")
                continue
            yield link, message

    def _read_ahead(self) -> None:
        """What holds for the whole bag and may stand late in it."""
        topics = self._topics
        for topic in (topics.image, topics.depth, topics.info, topics.depth_info):
            for _, message in self._messages({topic}):
                self._take_header(topic, message)
                break
        for _, message in self._messages({"/tf_static"}):
            self._add_transforms(self._tree, message, static=True)
        self._map_frame = self._map_frame or self._find_map_frame()
        self._check_that_poses_count()

    def _find_map_frame(self) -> str:
        """The best known name among the first transforms; without any, the root of the tree."""
        scratch = TfTree()
        topics = {*TF_TOPICS, self._topics.pose}
        for link, message in islice(self._messages(topics), TRANSFORMS_READ_AHEAD):
            self._take_pose(scratch, link.topic, message)
        known = scratch.frames()
        named = next((name for name in MAP_FRAMES if name in known), None)
        root = scratch.root_of(_POSED) or scratch.root_of(self._camera_frame)
        return named or root or MAP_FRAMES[0]

    def _check_that_poses_count(self) -> None:
        """Raises ValueError if the bag has poses, and a camera that stands still all the same."""
        if not self._pose_topics:
            return
        try:
            self._world_from_camera(0)  # the tree holds what is static, and nothing else yet
        except TransformError:
            return
        raise ValueError(
            f"camera {self._camera_frame!r} would stand still: /tf_static alone joins it to the "
            f"map frame {self._map_frame!r}; name another (--map-frame) or the topic of its poses "
            f"(--pose-topic, one of {', '.join(self._pose_topics)}; '' if it does stand still)"
        )

    def _take_header(self, topic: str, message: Any) -> None:
        """What a message says about its camera."""
        if topic == self._topics.image:
            self._camera_frame = message.header.frame_id or "camera"
        elif topic == self._topics.depth:
            self._depth_frame = message.header.frame_id
        if topic == self._topics.info:
            self._take_info(message, self._topics.image)
        if topic == self._depth_info:
            self._take_info(message, self._topics.depth)

    def _take(self, topic: str, message: Any) -> list[Pair]:
        """Puts a message where it belongs; returns what became complete."""
        topics = self._topics
        if topic in (topics.pose, *TF_TOPICS):
            self._take_pose(self._tree, topic, message)
            return self._pairer.retry()
        self._take_header(topic, message)
        if topic == topics.image:
            return self._pairer.add_image(stamp_ns(message.header.stamp), message)
        if topic == topics.depth:
            return self._pairer.add_depth(stamp_ns(message.header.stamp), message)
        return self._pairer.retry()

    def _take_info(self, message: Any, images: str) -> None:
        try:
            self._lenses[images] = lens_from_message(message, self._is_rectified(images))
        except ValueError as error:
            self._tally.count("camera_info refused", str(error))

    def _take_pose(self, tree: TfTree, topic: str, message: Any) -> None:
        if topic in TF_TOPICS:
            self._add_transforms(tree, message, static=topic == "/tf_static")
            return
        try:
            add_pose(tree, message, _POSED if self._is_posed_apart else self._posed_frame)
        except ValueError as error:
            self._tally.count("pose refused", str(error))

    def _add_transforms(self, tree: TfTree, message: Any, static: bool) -> None:
        try:
            add_transforms(tree, message, static)
        except ValueError as error:
            self._tally.count("transform refused", str(error))

    def _pose_at(self, stamp: int) -> NDArray[np.float64]:
        """world_from_camera; a frame also waits for where the depth camera sits."""
        self._colour_from_depth(stamp)
        return self._world_from_camera(stamp)

    def _world_from_camera(self, stamp: int) -> NDArray[np.float64]:
        if not self._is_posed_apart:
            return self._tree.lookup(self._map_frame, self._camera_frame, stamp)
        camera = self._tree.lookup(self._posed_frame, self._camera_frame, stamp)
        return self._tree.lookup(self._map_frame, _POSED, stamp) @ camera

    @property
    def _posed_frame(self) -> str:
        return self._options.posed_frame or self._camera_frame

    @property
    def _is_depth_apart(self) -> bool:
        """Whether depth is of another camera than the images."""
        said, known = self._options.topics.depth_info, ("", self._camera_frame)
        return self._depth_frame not in known if said is None else bool(said)

    @property
    def _depth_info(self) -> str:
        """The CameraInfo of depth with a lens of its own; "" of depth that is bent as the images.

        In their frame it is, unless it has been rectified alone.
        """
        if self._is_depth_apart:
            return self._topics.depth_info
        image, depth = (self._is_rectified(t) for t in (self._topics.image, self._topics.depth))
        return self._topics.info if depth and not image else ""

    def _is_rectified(self, images: str) -> bool:
        said = self._options.rectified
        return is_rectified_topic(images) if said is None else said

    def _colour_from_depth(self, stamp: int) -> NDArray[np.float64]:
        """(4, 4) between the optical frames, or a TransformError."""
        if not self._topics.depth_info or self._depth_frame in ("", self._camera_frame):
            return np.eye(4)
        return self._tree.lookup(self._camera_frame, self._depth_frame, stamp)

    def _setup(self, lens: Lens, stamp: int) -> CameraSetup:
        """Raises ValueError: depth of another lens, of which nothing is known."""
        depth_lens = self._lenses.get(self._topics.depth)
        if depth_lens is None and self._is_depth_apart:
            raise ValueError(
                f"depth must be in the frame of the images, {self._camera_frame!r}, got "
                f"{self._depth_frame!r}: --depth-info-topic names the CameraInfo by which it is "
                "reprojected ('' if it is registered all the same), --depth-topic '' drops it"
            )
        if depth_lens is None and self._depth_info:
            raise ValueError("rectified depth needs a CameraInfo with intrinsics in P")
        return CameraSetup(lens, depth_lens, self._colour_from_depth(stamp))

    def _frames(self, pairs: list[Pair]) -> Iterator[PosedFrame]:
        for pair in pairs:
            lens = self._lenses.get(self._topics.image)
            if lens is None:
                self._tally.count("no camera_info", f"image at {pair.stamp_ns} ns")
                continue
            try:
                setup = self._setup(lens, pair.stamp_ns)
                yield frame_from_messages(pair, self._camera_frame, setup)
            except ValueError as error:
                self._tally.count("frame refused", f"at {pair.stamp_ns} ns: {error}")


def bag_path(path: Path) -> Path:
    """The folder of a bag that was named by its file; mcap files stand for themselves."""
    if path.name == "metadata.yaml" or (path.suffix == ".db3" and _has_metadata(path.parent)):
        return path.parent
    return path


def is_bag(path: Path) -> bool:
    """Whether a path looks like a rosbag2 recording."""
    return _has_metadata(path) or path.suffix in (".mcap", ".db3") or path.name == "metadata.yaml"


def _has_metadata(path: Path) -> bool:
    return (path / "metadata.yaml").is_file()
