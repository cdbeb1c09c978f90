"""The parameters of a camera: for all of them by bare names, for one as `camera.NAME.…`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from semantic_field_ros.ros.arguments import check_name
from semantic_field_ros.ros.graph import Graph, ParameterSpec

IMAGE_TRANSPORTS = ("raw", "compressed")
DEPTH_TRANSPORTS = ("raw", "compressedDepth", "none")
RECTIFIED = ("auto", "always", "never")
#: relative names of which go under the camera's name where there are several.
TOPICS = ("image_topic", "depth_topic", "camera_info_topic", "depth_info_topic", "ignore_topic")

CAMERA_SPECS = (
    ParameterSpec("image_topic", "image", "colour images; {camera} stands for the camera's name"),
    ParameterSpec("depth_topic", "depth", "depth images; {camera} stands for the camera's name"),
    ParameterSpec("camera_info_topic", "camera_info", "intrinsics; {camera} as above"),
    ParameterSpec(
        "depth_info_topic",
        "",
        "intrinsics of depth that is not registered to colour, which is then reprojected; "
        "empty = depth is registered",
    ),
    ParameterSpec(
        "ignore_topic",
        "",
        "mono8 images with the stamps of the colour images; what is not black is ignored "
        "(people, moving things); empty = none",
    ),
    ParameterSpec("image_transport", "raw", f"one of {', '.join(IMAGE_TRANSPORTS)}"),
    ParameterSpec("depth_transport", "raw", f"one of {', '.join(DEPTH_TRANSPORTS)}"),
    ParameterSpec(
        "rectified",
        "auto",
        f"whether images are undistorted already and P of CameraInfo holds: one of "
        f"{', '.join(RECTIFIED)}; auto = if their topic is named rect; depth without a "
        "depth_info_topic is if the images are, or by its own topic's name",
    ),
    ParameterSpec("reliable", False, "ask for images again that were lost (QoS reliable)"),
    ParameterSpec(
        "slop_s",
        0.02,
        "depth and ignore mask may be this far from their image, seconds of stamps",
        0.0,
        1.0,
    ),
    ParameterSpec("max_rate_hz", 0.0, "frames taken per second of stamps; 0 = all", 0.0, 1000.0),
    ParameterSpec("camera_frame", "", "optical frame; empty = frame_id of the images"),
    ParameterSpec("depth_frame", "", "optical frame of depth; empty = frame_id of its images"),
    ParameterSpec(
        "depth_range_m",
        (),
        "least and greatest depth that is believed, metres; empty = all",
        0.0,
        1e4,
        kind="double_array",
    ),
    ParameterSpec(
        "mask",
        "",
        "image file of the camera's size; what is not black is ignored (gripper, chassis)",
    ),
)


@dataclass(frozen=True)
class CameraSettings:
    """One camera's parameters by name, with its topics in full.

    Attributes:
        name: of the camera.
    """

    name: str
    image_topic: str
    depth_topic: str
    camera_info_topic: str
    depth_info_topic: str
    ignore_topic: str
    image_transport: str
    depth_transport: str
    rectified: str
    reliable: bool
    slop_s: float
    max_rate_hz: float
    camera_frame: str
    depth_frame: str
    depth_range_m: tuple[float, ...]
    mask: str

    def __post_init__(self) -> None:
        for value, choices, name in (
            (self.image_transport, IMAGE_TRANSPORTS, "image_transport"),
            (self.depth_transport, DEPTH_TRANSPORTS, "depth_transport"),
            (self.rectified, RECTIFIED, "rectified"),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {value!r}")
        optional = {"depth_info_topic", "ignore_topic"}
        if not self.with_depth:
            optional.add("depth_topic")
        for name in TOPICS:
            if getattr(self, name) or name not in optional:
                check_name(getattr(self, name), name)
        limits = self.depth_range_m
        if limits and not (len(limits) == 2 and limits[0] < limits[1]):
            raise ValueError(f"depth_range_m must be least and greatest or empty, got {limits}")

    @property
    def with_depth(self) -> bool:
        """Whether depth is subscribed to."""
        return self.depth_transport != "none"


def declare_cameras(graph: Graph, names: Sequence[str]) -> tuple[CameraSettings, ...]:
    """Declares what holds for all cameras and, with that as default, what holds for each.

    Raises:
        ValueError, TypeError: a value that makes no sense, cameras of the same name, or such that
            share an image topic.
    """
    if not all(names) or len(set(names)) < max(len(names), 1):
        raise ValueError(f"cameras must have different names, at least one, got {list(names)}")
    for_all = {spec.name: graph.declare(spec) for spec in CAMERA_SPECS}
    cameras = []
    for name in names:
        values: dict[str, Any] = {}
        for spec in CAMERA_SPECS:
            own = dataclasses.replace(
                spec, name=f"camera.{name}.{spec.name}", default=for_all[spec.name]
            )
            values[spec.name] = graph.declare(own)
            said = values[spec.name] != for_all[spec.name]
            if spec.name in TOPICS and values[spec.name] and not said:
                values[spec.name] = _topic(values[spec.name], name, len(names))
        cameras.append(CameraSettings(name=name, **values))
    topics = [camera.image_topic for camera in cameras]
    if len(set(topics)) < len(topics):
        raise ValueError(
            f"cameras cannot share an image topic, got {topics}; put {{camera}} into image_topic, "
            "or set camera.NAME.image_topic"
        )
    return tuple(cameras)


def _topic(template: str, camera: str, cameras: int) -> str:
    """The topic of one camera: the name put in, or in front of a relative topic of several."""
    name = template.replace("{camera}", camera)
    shared = cameras > 1 and name == template and not name.startswith("/")
    return f"{camera}/{name}" if shared else name
