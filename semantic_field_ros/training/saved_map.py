"""What a map on disk holds: the field, its methods, and every keyframe with its features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from semantic_field_ros.config import Config, to_dict
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.checkpoint import SavedMap, with_prefix, without_prefix
from semantic_field_ros.training.keyframe_codec import pack_keyframes, unpack_keyframes
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.types import Keyframe


@dataclass(frozen=True)
class MapState:
    """What only the training thread can tell of a map; copies that nobody changes.

    Attributes:
        tensors: the field, its methods and its surface, and what else was given.
        meta: plain JSON values.
        generation: of the keyframes that the field has learnt from.
    """

    tensors: dict[str, torch.Tensor]
    meta: dict[str, Any]
    generation: int


def map_state(mapper: Mapper, map_version: int, generation: int, more: SavedMap) -> MapState:
    """The state of a map; call it in the training thread.

    Args:
        mapper: the field and its methods.
        map_version: of the newest snapshot.
        generation: of the keyframes in the memory.
        more: what else belongs to the map at this moment.
    """
    meta = {"box_m": list(mapper.bounds.box_m), "map_version": map_version} | more.meta
    return MapState(with_prefix("map", mapper.state()) | more.tensors, meta, generation)


def pack_map(
    config: Config,
    state: MapState,
    memory: ReplayMemory,
    image_scales: Mapping[str, float],
    frame: str = "",
) -> SavedMap:
    """Everything that answering and training on need.

    Images are encoded here, which takes a while: training may go on meanwhile, and a keyframe
    that came or went since `state` was taken is learnt or forgotten when the map is loaded.

    Args:
        config: of the map.
        state: from `map_state`.
        memory: where the keyframes are.
        image_scales: width of kept images over that of the camera's own, by camera name.
        frame: name of the frame that the map is in; empty = nobody has said.

    Raises:
        RuntimeError: another map has taken its place meanwhile.
    """
    records, images = pack_keyframes(_held(memory))
    if memory.generation != state.generation:
        raise RuntimeError("the map was replaced while it was being saved: nothing was written")
    meta = {
        "config": to_dict(config),
        "methods": list(config.semantics.methods),
        "image_scales": dict(image_scales),
        "frame": frame,
        "keyframes": records,
    }
    return SavedMap(state.meta | meta, state.tensors | with_prefix("keyframes", images))


def _held(memory: ReplayMemory) -> Iterator[Keyframe]:
    """One image at a time, but all poses of one moment: a loop closure moves them together."""
    for view in memory.views():
        keyframe = memory.get(view.keyframe_id)
        if keyframe is not None:
            frame = replace(keyframe.frame, world_from_camera=view.world_from_camera)
            yield replace(keyframe, frame=frame)


def saved_keyframes(saved: SavedMap) -> list[Keyframe]:
    """The keyframes of a map, oldest first.

    Raises:
        ValueError: one is damaged or missing.
    """
    images = without_prefix("keyframes", saved.tensors)
    return unpack_keyframes(saved.meta["keyframes"], images)
