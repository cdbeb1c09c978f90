"""What a map on disk holds: the field, its methods, and every keyframe with its features."""

from __future__ import annotations

from collections.abc import Mapping

from semantic_field_ros.config import Config, to_dict
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.training.checkpoint import SavedMap, with_prefix, without_prefix
from semantic_field_ros.training.keyframe_codec import pack_keyframes, unpack_keyframes
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.types import Keyframe


def pack_map(
    config: Config,
    mapper: Mapper,
    memory: ReplayMemory,
    map_version: int,
    image_scales: Mapping[str, float],
) -> SavedMap:
    """Everything that answering and training on need.

    Args:
        config: of the map.
        mapper: the field and its methods; must not be trained meanwhile.
        memory: where the keyframes are.
        map_version: of the newest snapshot.
        image_scales: width of kept images over that of the camera's own, by camera name.
    """
    held = [memory.get(view.keyframe_id) for view in memory.views()]
    records, images = pack_keyframes([keyframe for keyframe in held if keyframe is not None])
    meta = {
        "config": to_dict(config),
        "box_m": list(mapper.bounds.box_m),
        "methods": list(config.semantics.methods),
        "map_version": map_version,
        "image_scales": dict(image_scales),
        "keyframes": records,
    }
    tensors = with_prefix("map", mapper.state()) | with_prefix("keyframes", images)
    return SavedMap(meta, tensors)


def saved_keyframes(saved: SavedMap) -> list[Keyframe]:
    """The keyframes of a map, oldest first.

    Raises:
        ValueError: one is damaged or missing.
    """
    images = without_prefix("keyframes", saved.tensors)
    return unpack_keyframes(saved.meta["keyframes"], images)
