"""The keep-out zones in force, and how a saved map holds them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.export.anchoring import Anchor
from semantic_field_ros.export.keepout import KeepOutZone, QueryZones
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.stream.frames import check_pose
from semantic_field_ros.training.checkpoint import SavedMap, with_prefix, without_prefix

logger = logging.getLogger(__name__)

Asked = tuple[QueryZones, ...]
Tensors = Mapping[str, torch.Tensor]


class Zones:
    """What must be kept away from, by the questions that asked for it; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: Asked = ()

    @property
    def asked(self) -> Asked:
        """All of them, oldest question first; another object whenever anything has changed."""
        return self._asked

    @property
    def count(self) -> int:
        """How many zones there are."""
        return len(zones_of(self._asked))

    def swap(self, before: Asked, after: Asked) -> bool:
        """Puts others in force, unless those in force are no longer the ones of `before`."""
        with self._lock:
            same = self._asked is before
            if same:
                self._asked = after
            return same

    def adopt(self, asked: Asked) -> None:
        """Those of a map that was loaded take the place of all others, and the log says so."""
        with self._lock:
            before, self._asked = self._asked, asked
        told = what_a_load_changed(len(zones_of(before)), len(zones_of(asked)))
        if told:
            logger.info("%s", told)


def zones_of(asked: Sequence[QueryZones]) -> list[KeepOutZone]:
    """The zones of some questions, in their order."""
    return [zone for question in asked for zone in question.zones]


def what_a_load_changed(before: int, after: int) -> str:
    """For people: how many zones a loaded map has brought, and lifted; "" for none at all."""
    if not before and not after:
        return ""
    return f"keep-out zones: {after} of the loaded map, in place of {before} before"


def pack_zones(asked: Sequence[QueryZones]) -> SavedMap:
    """The part of a saved map that holds keep-out zones."""
    points = {
        f"{i}.{j}": torch.tensor(np.asarray(zone.points, np.float64))
        for i, question in enumerate(asked)
        for j, zone in enumerate(question.zones)
    }
    records = [
        {"query": _query_record(question.query), "zones": [_record(z) for z in question.zones]}
        for question in asked
    ]
    return SavedMap({"zones": records}, with_prefix("zones", points))


def unpack_zones(saved: SavedMap) -> Asked:
    """The keep-out zones of a map.

    Raises:
        ValueError: they are damaged, or make no sense.
    """
    tensors = without_prefix("zones", saved.tensors)
    try:
        records = _list(saved.meta["zones"])
        return tuple(_question(record, str(i), tensors) for i, record in enumerate(records))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"the map's keep-out zones are damaged: {error!r}") from error


def _record(zone: KeepOutZone) -> dict[str, Any]:
    anchor = zone.anchor
    return {
        "label": zone.label,
        "radius_m": float(zone.radius_m),
        "anchor": anchor
        and {
            "keyframe_id": anchor.keyframe_id,
            "stamp_ns": anchor.stamp_ns,
            "world_from_camera": anchor.world_from_camera.tolist(),
        },
    }


def _query_record(query: TextQuery | ClickQuery) -> dict[str, Any]:
    """What tells whether a question is asked again, no more."""
    if isinstance(query, ClickQuery):
        return {"points_world": _plain(query.points_world)}
    return {
        "text": query.text,
        "exclude": list(query.exclude),
        "negatives": None if query.negatives is None else list(query.negatives),
        "relations": [[related.relation, related.anchor] for related in query.relations],
        "region_m": _plain(query.region_m),
        "reference_pose": _plain(query.reference_pose),
    }


def _plain(values: Any) -> Any:
    return None if values is None else np.asarray(values).tolist()


def _question(record: Mapping[str, Any], name: str, tensors: Tensors) -> QueryZones:
    zones = [_zone(told, tensors[f"{name}.{j}"]) for j, told in enumerate(_list(record["zones"]))]
    return QueryZones(_query(record["query"]), tuple(zones))


def _zone(record: Mapping[str, Any], points: torch.Tensor) -> KeepOutZone:
    array, anchor = points.numpy(), record["anchor"]
    if array.dtype != np.float64 or array.shape[1:] != (3,) or not np.isfinite(array).all():
        raise ValueError(f"points must be (N, 3) finite f64, got {array.shape} {array.dtype}")
    if anchor is not None:
        pose = np.array(anchor["world_from_camera"], np.float64)
        check_pose(pose)
        anchor = Anchor(int(anchor["keyframe_id"]), int(anchor["stamp_ns"]), pose)
    return KeepOutZone(_words([record["label"]])[0], array, float(record["radius_m"]), anchor)


def _query(record: Mapping[str, Any]) -> TextQuery | ClickQuery:
    if "text" not in record:
        return ClickQuery(points_world=_floats(record["points_world"], (-1, 3), np.float32))
    region, negatives = _floats(record["region_m"], (2, 3)), record["negatives"]
    return TextQuery(
        text=_words([record["text"]])[0],
        exclude=_words(record["exclude"]),
        negatives=None if negatives is None else _words(negatives),
        relations=tuple(Relation(*_words(pair)) for pair in _list(record["relations"])),
        region_m=None if region is None else (region[0], region[1]),
        reference_pose=_floats(record["reference_pose"], (4, 4)),
    )


def _floats(values: Any, shape: tuple[int, int], kind: type = np.float64) -> Any:
    """An array of a shape, of which -1 is any length; None of null."""
    if values is None:
        return None
    array: NDArray[Any] = np.array(_list(values), kind)
    if array.ndim != 2 or any(
        want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(f"numbers must have shape {shape}, got {array.shape}")
    return array


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"must be a list, got {values!r}")
    return values


def _words(values: Any) -> tuple[str, ...]:
    if not all(isinstance(word, str) for word in _list(values)):
        raise TypeError(f"must be a list of words, got {values!r}")
    return tuple(values)
