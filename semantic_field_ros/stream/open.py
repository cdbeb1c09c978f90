"""From what a person types to a source of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from semantic_field_ros.stream import replica, scannet
from semantic_field_ros.stream.base import FrameSource
from semantic_field_ros.stream.colmap import Colmap
from semantic_field_ros.stream.colmap_model import find_model
from semantic_field_ros.stream.frames import narrowed
from semantic_field_ros.stream.llff import POSES, Llff
from semantic_field_ros.stream.nerfstudio import Nerfstudio
from semantic_field_ros.stream.rosbag import BagOptions, RosBag, is_bag
from semantic_field_ros.stream.seven_scenes import SevenScenes
from semantic_field_ros.stream.synthetic.scene import Kind
from semantic_field_ros.stream.synthetic.source import SensorNoise, SyntheticSource
from semantic_field_ros.types import PosedFrame

FORMS = (
    "a source is world:table:SEED, world:room:SEED, a folder of frame-N.color.jpg, .depth.png and "
    ".pose.txt (7-Scenes), a folder of Replica as rendered for Semantic-NeRF, of ScanNet as "
    "exported, of COLMAP or of LLFF, photos with a transforms.json, or a bag (rosbag2 folder, "
    ".mcap, .db3)"
)


@dataclass(frozen=True)
class SourceOptions:
    """How a source is to be opened; what does not concern it is ignored."""

    #: built-in world: whether the sensor is a noisy one.
    noise: bool = True
    #: built-in world: number of frames; None = as many as its path has. Replica and ScanNet: take
    #: so many, evenly spread; None = all.
    frames: int | None = None
    #: wider images are reduced to this width, pixels; 0 = as they are.
    max_width_px: int = 0
    #: photos: metres per unit of their poses; None = 1 for a transforms.json, else guessed.
    scale: float | None = None
    #: leave the depth out.
    rgb_only: bool = False
    #: bags: topics, frames and pairing.
    bag: BagOptions = field(default_factory=BagOptions)

    def __post_init__(self) -> None:
        """Checks.

        Raises:
            ValueError: the width is negative.
        """
        if self.max_width_px < 0:
            raise ValueError(f"width must be ≥ 0 pixels, got {self.max_width_px}")


def open_source(spec: str, options: SourceOptions | None = None) -> FrameSource:
    """Opens what `spec` names.

    Args:
        spec: one of `FORMS`.
        options: see there.

    Raises:
        ValueError: nothing of that kind is there; says what a source may be.
    """
    options = options or SourceOptions()
    source = _world(spec, options) if spec.startswith("world:") else _recording(spec, options)
    if options.max_width_px or options.rgb_only:
        return Adapted(source, options.max_width_px, options.rgb_only)
    return source


class Adapted(FrameSource):
    """Another source's frames, smaller or without depth.

    Attributes:
        source: the other one.
    """

    def __init__(self, source: FrameSource, max_width_px: int = 0, rgb_only: bool = False) -> None:
        """Args: as in `SourceOptions`."""
        self.source, self.name, self.rate_hz = source, source.name, source.rate_hz
        self.held_out, self.cameras = source.held_out, source.cameras
        self._max_width_px, self._rgb_only = max_width_px, rgb_only

    def __iter__(self) -> Iterator[PosedFrame]:
        """The other source's frames, each one changed."""
        for frame in self.source:
            smaller = narrowed(frame, self._max_width_px)
            yield replace(smaller, depth_m=None) if self._rgb_only else smaller

    @property
    def length(self) -> int | None:
        """As the other source says."""
        return self.source.length


def _world(spec: str, options: SourceOptions) -> FrameSource:
    kind, _, seed = spec.removeprefix("world:").partition(":")
    if kind not in get_args(Kind) or not seed.isdigit():
        raise ValueError(f"unknown world {spec!r}; {FORMS}")
    noise = SensorNoise() if options.noise else None
    return SyntheticSource(kind, int(seed), options.frames, noise=noise)  # type: ignore[arg-type]


def _recording(spec: str, options: SourceOptions) -> FrameSource:
    path = Path(spec).expanduser()
    if not path.exists():
        raise ValueError(f"there is no {spec!r}; {FORMS}")
    if path.suffix == ".json" or (path / "transforms.json").is_file():
        scale = 1.0 if options.scale is None else options.scale
        return Nerfstudio(path, scale, options.max_width_px)
    if is_bag(path):
        return RosBag(path, options.bag)
    if path.is_dir() and next(path.glob("frame-*.color.*"), None) is not None:
        return SevenScenes(path)
    return _data_set(path, options)


def _data_set(path: Path, options: SourceOptions) -> FrameSource:
    if (path / replica.TRAJECTORY).is_file():
        return replica.Replica(path, options.frames)
    if (path / scannet.COLOUR_INTRINSICS).is_file():
        return scannet.ScanNet(path, options.frames)
    if find_model(path) is not None:
        return Colmap(path, options.scale)
    if (path / POSES).is_file():
        return Llff(path, options.scale)
    raise ValueError(f"{str(path)!r} holds nothing that can be read as frames; {FORMS}")
