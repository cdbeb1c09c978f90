"""Finds out which topics of a bag hold the camera and its pose."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
POSE_STAMPED = "geometry_msgs/msg/PoseStamped"
POSE_TYPES = (POSE_STAMPED, "nav_msgs/msg/Odometry")
TF_TOPICS = ("/tf", "/tf_static")
#: image_transport puts these behind the name of the raw topic.
TRANSPORTS = ("compressed", "compressedDepth")
#: in the names that drivers give to depth in the pixels of the colour image.
REGISTERED = re.compile(r"(?<![a-z])(aligned|registered|to_rgb|to_color)(?![a-z])")


@dataclass(frozen=True)
class BagTopics:
    """Topic names; "" for those that are not there.

    `depth_info` tells of depth that has a camera of its own. `pose` is "" where poses come from
    /tf, or where the camera stands still.
    """

    image: str
    info: str
    depth: str = ""
    pose: str = ""
    depth_info: str = ""


@dataclass(frozen=True)
class TopicChoice:
    """What a person may say about the topics; None = find it, "" = do without.

    Depth is reprojected by a `depth_info` that is named, and is in the pixels of the image without
    one; by default their frames decide.
    """

    image: str | None = None
    info: str | None = None
    depth: str | None = None
    pose: str | None = None
    depth_info: str | None = None


def choose_topics(types: Mapping[str, str], choice: TopicChoice) -> BagTopics:
    """Names every topic, by type and by the usual names where `choice` leaves it open.

    Poses come from /tf where there is one, else from a topic of poses: /tf_static moves nothing.

    Args:
        types: message type by topic.
        choice: what is known already.

    Raises:
        ValueError: a topic that is not there, none that fits, or several; it lists them.
    """
    for topic in (choice.image, choice.info, choice.depth, choice.pose, choice.depth_info):
        if topic and topic not in types:
            raise ValueError(f"topic {topic!r} is not in the bag; it holds {_listed(types)}")
    images = [topic for topic, kind in types.items() if kind in IMAGE_TYPES]
    image = choice.image or _only(_raw_first(images, depth=False), "image", "--image-topic", types)
    info = choice.info or _info(image, types)
    depth = _depth(_raw_first(images, depth=True)) if choice.depth is None else choice.depth
    pose = _pose(types) if choice.pose is None else choice.pose
    if not pose and not set(TF_TOPICS) & set(types):
        raise ValueError(f"bag must hold /tf or poses; it holds {_listed(types)}")
    beside = _beside(depth)
    found = beside if beside != info and beside in _of(types, INFO_TYPE) else ""
    depth_info = found if choice.depth_info is None else choice.depth_info
    return BagTopics(image, info, depth, pose, depth_info)


def pose_topics(types: Mapping[str, str]) -> list[str]:
    """Topics that tell poses, sorted, of message types by topic."""
    return _of(types, *POSE_TYPES)


def _pose(types: Mapping[str, str]) -> str:
    """The only topic of poses, one of several being anybody's guess: a goal is a PoseStamped too;
    "" where poses come from /tf, and of none."""
    topics = pose_topics(types)
    if "/tf" in types or not topics:
        return ""
    return _only(topics, "pose", "--pose-topic", types)


def _info(image: str, types: Mapping[str, str]) -> str:
    """The CameraInfo beside the image, or the only one there is."""
    infos = _of(types, INFO_TYPE)
    beside = _beside(image)
    return beside if beside in infos else _only(infos, "camera_info", "--info-topic", types)


def _beside(images: str) -> str:
    """What the CameraInfo beside a topic of images is called; "" of none."""
    return images and f"{_base(images).rsplit('/', 1)[0]}/camera_info"


def _raw_first(images: list[str], depth: bool) -> list[str]:
    """Topics with or without "depth" in their names, of each one the raw transport if there."""
    wanted = [topic for topic in images if ("depth" in topic.lower()) == depth]
    chosen: dict[str, str] = {}
    for topic in sorted(wanted, key=len):
        chosen.setdefault(_base(topic), topic)
    return list(chosen.values())


def _base(topic: str) -> str:
    """The topic without the name of a transport."""
    head, _, tail = topic.rpartition("/")
    return head if tail in TRANSPORTS else topic


def _of(types: Mapping[str, str], *kinds: str) -> list[str]:
    return sorted(topic for topic, kind in types.items() if kind in kinds)


def _depth(topics: list[str]) -> str:
    """The first that is registered to colour by its name, else the first; "" of none."""
    return _first([topic for topic in topics if REGISTERED.search(topic.lower())] or topics)


def _first(topics: list[str]) -> str:
    """The first, in the order of length and letters; "" of none."""
    return min(topics, key=lambda topic: (len(topic), topic), default="")


def _only(topics: list[str], what: str, option: str, types: Mapping[str, str]) -> str:
    if len(topics) != 1:
        count = f"{len(topics)} of them" if topics else "none"
        raise ValueError(
            f"bag must hold one {what} topic, or it must be named ({option}); "
            f"found {count} in {_listed(types)}"
        )
    return topics[0]


def _listed(types: Mapping[str, str]) -> str:
    return ", ".join(f"{topic} ({kind})" for topic, kind in sorted(types.items())) or "nothing"
