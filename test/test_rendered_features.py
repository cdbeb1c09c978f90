"""Answers from features that the map renders, without the segmenter's encoder."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from table_map import CAMERA, CONFIG, iou

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.clicks import interior_pixel
from semantic_field_ros.evaluation.ground_truth import WorldTruth
from semantic_field_ros.geometry import project
from semantic_field_ros.queries.base import ClickQuery, TextQuery
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PosedFrame

THING = "orange box"


def shows_thing(table: SyntheticSource, frame: PosedFrame) -> NDArray[np.bool_]:
    """(H, W) where the thing really is."""
    truth = WorldTruth(table)
    return truth.of(frame).mask([i for i, thing in truth.things.items() if thing.phrase == THING])


def test_a_view_is_segmented_by_words(
    table: SyntheticSource, table_field: SemanticField, table_frames: list[PosedFrame]
) -> None:
    """After so little training the mask lacks up to half of the thing, and adds nothing to it."""
    frame, camera = table_frames[3], CAMERA.scaled_to(160, 120)
    shown = table_field.segment_view(camera, frame.world_from_camera, TextQuery(THING))
    assert shown.found, shown.reason
    there = shows_thing(table, frame)[::2, ::2]
    both = int((shown.mask & there).sum())
    assert both > 0.8 * shown.mask.sum() and both > 0.25 * there.sum()
    assert shown.prompts is not None and shown.prompts.box_px is not None
    (point,) = np.rint(shown.prompts.points_px).astype(int)
    assert there[point[1], point[0]] and shown.prompts.positive.tolist() == [True]
    assert shown.on_surface is not None and shown.on_surface.label == THING


def test_words_for_nothing_segment_nothing(
    table_field: SemanticField, table_frames: list[PosedFrame]
) -> None:
    camera, pose = CAMERA.scaled_to(160, 120), table_frames[3].world_from_camera
    nowhere = table_field.segment_view(camera, pose, TextQuery(THING, threshold=1.0))
    assert not nowhere.found and nowhere.reason and nowhere.prompts is None
    assert not nowhere.mask.any()


def test_a_click_is_answered_from_rendered_features_where_that_is_asked_for(
    table: SyntheticSource,
    table_field: SemanticField,
    table_frames: list[PosedFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame, segmenter = table_frames[7], table_field._segmenter
    there, decode, decoded = shows_thing(table, frame), segmenter.decode, []

    def noted(embedding: NDArray[np.floating], *how: object) -> object:
        decoded.append(embedding)
        return decode(embedding, *how)

    monkeypatch.setattr(segmenter, "decode", noted)
    pixels = np.array([interior_pixel(there)], np.float32)
    query = ClickQuery(pixels=pixels, camera_name=frame.camera_name, stamp_ns=frame.stamp_ns)
    cached = table_field.query_click(query)
    of_cached, decoded[:] = decoded[:], []
    table_field.retune(replace(CONFIG.queries, click_features="rendered"))
    try:
        rendered = table_field.query_click(query)
    finally:
        table_field.retune(CONFIG.queries)
    of_views = [
        table_field.render_embedding(view.camera, view.world_from_camera)
        for view in table_field.keyframes()
    ]
    assert decoded and all(_among(each, of_views) for each in decoded)
    assert of_cached and not any(_among(each, of_views) for each in of_cached)
    assert rendered.found, rendered.reason
    pixel, _ = project(frame.camera, frame.world_from_camera, rendered.masks[0].points)
    u, v = np.rint(pixel).astype(int).clip(0, (CAMERA.width - 1, CAMERA.height - 1)).T
    assert there[v, u].mean() > 0.9
    assert iou(cached, rendered) > 0.4


def _among(one: NDArray[np.floating], others: list[NDArray[np.float16]]) -> bool:
    return any(np.array_equal(one, other) for other in others)
