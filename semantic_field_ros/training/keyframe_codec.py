"""Keyframes and their features to named tensors and back, for maps on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.stream.frames import check_frame
from semantic_field_ros.types import (
    FrameFeatures,
    Keyframe,
    MaskProposal,
    PinholeCamera,
    PosedFrame,
    TileLevel,
    TilePyramid,
)

JPEG_QUALITY = 95
#: depth is kept as whole steps in 16 bits, 0 is unknown; this many metres where that is exact (a
#: sensor that counts millimetres), else as much finer as the frame's farthest depth allows.
DEPTH_STEP_M = 1e-3
#: depths of this many steps or more are kept as they are, row by row beside the image: one far
#: pixel must not make the steps of all the near ones coarse.
MAX_STEPS = 65535

Tensors = dict[str, torch.Tensor]


def pack_keyframes(keyframes: Iterable[Keyframe]) -> tuple[list[dict[str, Any]], Tensors]:
    """JSON-able records and tensors named `ID.part` (images as JPEG, depth as PNG bytes).

    Depth up to 65 m is kept to half a millimetre or better, and beyond that as it is.
    """
    records, tensors = [], Tensors()
    for keyframe in keyframes:
        record = _record(keyframe)
        records.append(record)
        images = _images(keyframe.frame, record["depth_step_m"])
        parts = {**images, **_features(keyframe.features)}
        tensors |= {f"{keyframe.id}.{part}": torch.from_numpy(a) for part, a in parts.items()}
    return records, tensors


def unpack_keyframes(
    records: Sequence[Mapping[str, Any]], tensors: Mapping[str, torch.Tensor]
) -> list[Keyframe]:
    """The inverse of `pack_keyframes`, up to JPEG and half a step of depth.

    Raises:
        ValueError: a record or tensor is missing or does not fit, or a frame is not sound.
    """
    try:
        return [_unpack(record, tensors) for record in records]
    except (KeyError, TypeError, cv2.error) as error:
        raise ValueError(f"the map's keyframes are damaged: {error!r}") from error


def _record(keyframe: Keyframe) -> dict[str, Any]:
    frame, features = keyframe.frame, keyframe.features
    record = {
        "id": keyframe.id,
        "stamp_ns": frame.stamp_ns,
        "camera_name": frame.camera_name,
        "camera": asdict(frame.camera),
        "world_from_camera": frame.world_from_camera.tolist(),
        "depth_step_m": None if frame.depth_m is None else _depth_step_m(frame.depth_m),
        "has_ignored": frame.ignored is not None,
        "proposals": None,
    }
    if features is not None:
        record["proposals"] = [
            {"shape": p.shape, "box_px": p.box_px, "score": p.score} for p in features.proposals
        ]
        record["has_dense"] = features.dense is not None
        record["depths"] = len(features.depths)
        record["pyramid"] = _pyramid_record(features.pyramid)
    return record


def _pyramid_record(pyramid: TilePyramid | None) -> dict[str, Any] | None:
    if pyramid is None:
        return None
    levels = [
        {"side_px": v.side_px, "first_px": v.first_px, "stride_px": v.stride_px}
        for v in pyramid.levels
    ]
    return {"left_out": pyramid.left_out, "levels": levels}


def _images(frame: PosedFrame, depth_step_m: float | None) -> dict[str, NDArray[Any]]:
    bgr = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
    jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    parts: dict[str, NDArray[Any]] = {"rgb": jpeg}
    if frame.depth_m is not None and depth_step_m is not None:
        steps = np.where(_is_known(frame.depth_m), frame.depth_m / depth_step_m, 0.0).round()
        parts["depth"] = cv2.imencode(".png", steps.clip(0, MAX_STEPS).astype(np.uint16))[1]
        parts["far_m"] = frame.depth_m[steps >= MAX_STEPS]
    if frame.ignored is not None:
        parts["ignored"] = cv2.imencode(".png", frame.ignored.astype(np.uint8))[1]
    return {name: np.ascontiguousarray(data).ravel() for name, data in parts.items()}


def _is_known(depth_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.isfinite(depth_m) & (depth_m > 0)


def _depth_step_m(depth_m: NDArray[np.float32]) -> float:
    known_m = depth_m[_is_known(depth_m)].astype(np.float64)
    steps = known_m / DEPTH_STEP_M
    counted = np.abs(steps - steps.round()).max(initial=0.0) < 0.01
    return DEPTH_STEP_M if counted else min(DEPTH_STEP_M, float(known_m.max() / MAX_STEPS))


def _features(features: FrameFeatures | None) -> dict[str, NDArray[Any]]:
    if features is None:
        return {}
    runs = [proposal.rle.astype(np.int64) for proposal in features.proposals]
    levels = () if features.pyramid is None else features.pyramid.levels
    tiles = {f"tiles_{i}": np.ascontiguousarray(v.vectors) for i, v in enumerate(levels)}
    dense = {} if features.dense is None else {"dense": np.ascontiguousarray(features.dense)}
    depths = {f"depth_{i}": np.ascontiguousarray(v) for i, v in enumerate(features.depths)}
    return {
        **tiles,
        **dense,
        **depths,
        "embedding": np.ascontiguousarray(features.embedding),
        "language": np.ascontiguousarray(features.language),
        "runs": np.concatenate(runs) if runs else np.zeros(0, np.int64),
        "run_counts": np.array([len(r) for r in runs], np.int64),
    }


def _unpack(record: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Keyframe:
    number = int(record["id"])

    def part(name: str) -> NDArray[Any]:
        return tensors[f"{number}.{name}"].numpy()

    rgb = _decoded(part("rgb"), cv2.IMREAD_COLOR)[:, :, ::-1]
    depth_m = None
    if record["depth_step_m"] is not None:
        steps = _decoded(part("depth"), cv2.IMREAD_UNCHANGED)
        metres = (steps * float(record["depth_step_m"])).astype(np.float32)
        depth_m = np.where(steps > 0, metres, np.float32(np.nan))
        if f"{number}.far_m" in tensors:  # older maps have none
            depth_m[steps == MAX_STEPS] = part("far_m")
    ignored = None
    if record.get("has_ignored"):
        ignored = _decoded(part("ignored"), cv2.IMREAD_UNCHANGED) > 0
    frame = check_frame(
        PosedFrame(
            int(record["stamp_ns"]),
            str(record["camera_name"]),
            PinholeCamera(**record["camera"]),
            np.array(record["world_from_camera"], np.float64),
            np.ascontiguousarray(rgb),
            depth_m,
            ignored,
        )
    )
    if record["proposals"] is None:
        return Keyframe(number, frame)
    features = FrameFeatures(
        part("embedding"),
        _proposals(record["proposals"], part("runs"), part("run_counts")),
        part("language"),
        _pyramid(record.get("pyramid"), part),
        part("dense") if record["has_dense"] else None,
        tuple(part(f"depth_{i}") for i in range(record["depths"])),
    )
    return Keyframe(number, frame, features)


def _pyramid(
    record: Mapping[str, Any] | None, part: Callable[[str], NDArray[Any]]
) -> TilePyramid | None:
    if record is None:
        return None
    levels = []
    for i, level in enumerate(record["levels"]):
        (u, v), (du, dv) = level["first_px"], level["stride_px"]
        first, stride = (float(u), float(v)), (float(du), float(dv))
        levels.append(TileLevel(float(level["side_px"]), first, stride, part(f"tiles_{i}")))
    return TilePyramid(tuple(levels), int(record["left_out"]))


def _decoded(data: NDArray[Any], mode: int) -> NDArray[Any]:
    image = cv2.imdecode(data, mode)
    if image is None:
        raise ValueError("the map's keyframes are damaged: an image cannot be decoded")
    return image


def _proposals(
    records: Sequence[Mapping[str, Any]], runs: NDArray[Any], counts: NDArray[Any]
) -> tuple[MaskProposal, ...]:
    if len(records) != len(counts) or counts.sum() != len(runs):
        raise ValueError(f"{len(records)} proposals need as many run lengths, got {len(counts)}")
    proposals = []
    for record, part in zip(records, np.split(runs, np.cumsum(counts))[:-1], strict=True):
        height, width = record["shape"]
        if part.sum() != height * width or (part < 0).any():
            raise ValueError(f"run lengths must fill {height}x{width}, got {part.sum()}")
        u_min, v_min, u_max, v_max = record["box_px"]
        box = (int(u_min), int(v_min), int(u_max), int(v_max))
        proposals.append(
            MaskProposal(part.astype(np.uint32), (height, width), box, float(record["score"]))
        )
    return tuple(proposals)
