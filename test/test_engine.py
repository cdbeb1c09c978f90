"""The façade end to end on a small table: map, ask, save, load, ask again."""

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from table_map import CAMERA, CONFIG, iou, wait_for

from semantic_field_ros.config import MapConfig, overlaid
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.export.grasping import GraspQuery
from semantic_field_ros.geometry import interpolate_pose, project
from semantic_field_ros.models.base import Prompts
from semantic_field_ros.queries.base import CancelledError, ClickQuery, Refinement, TextQuery
from semantic_field_ros.stream.nerfstudio import Nerfstudio
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.training.checkpoint import list_maps, load_map, save_map
from semantic_field_ros.types import PosedFrame, QueryAnswer


@pytest.fixture(scope="module")
def frames(table_frames: list[PosedFrame]) -> list[PosedFrame]:
    return table_frames


@pytest.fixture(scope="module")
def field(table_field: SemanticField) -> SemanticField:
    return table_field


def middle_click(frame: PosedFrame, **how: object) -> ClickQuery:
    """The pixel in the middle of the frame whose surroundings are nearest to the camera, something
    on the table; in the camera's own pixels."""
    assert frame.depth_m is not None
    known_m = np.where(np.isfinite(frame.depth_m), frame.depth_m, 100.0)
    depth_m = cv2.dilate(known_m, np.ones((11, 11)))[60:180, 80:240]
    v, u = np.unravel_index(int(depth_m.argmin()), depth_m.shape)
    pixels = np.array([[u + 80, v + 60]], np.float32)
    return ClickQuery(pixels=pixels, camera_name=frame.camera_name, stamp_ns=frame.stamp_ns, **how)


def lifted(frame: PosedFrame, query: ClickQuery) -> NDArray[np.float64]:
    """Where the sensor saw what was clicked, world frame."""
    assert query.pixels is not None and frame.depth_m is not None
    u, v = query.pixels[0].astype(int)
    ray = np.array([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, 1.0])
    return (
        frame.world_from_camera[:3, :3] @ (ray * frame.depth_m[v, u])
        + (frame.world_from_camera[:3, 3])
    )


def test_all_depths_of_the_segmenters_encoder_are_imitated(field: SemanticField) -> None:
    """Features vary by 4.6 or so (mean squared deviation), similarities by less than one."""
    assert 0 < losses(field)["sam_features/feature_mse"] < 4
    assert 0 < losses(field)["sam_features/cross_scale"] < 0.5


def test_a_click_is_in_the_pixels_of_the_image_not_of_the_smaller_keyframe(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    query = middle_click(frames[0])
    answer = field.query_click(query)
    assert answer.found, answer.reason
    distance_m = np.linalg.norm(answer.masks[0].points - lifted(frames[0], query), axis=1)
    assert distance_m.min() < 0.05


def test_a_box_around_a_click_finds_the_same_thing(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    clicked = field.query_click(middle_click(frames[0]))
    camera, pose = frames[0].camera, frames[0].world_from_camera
    pixel, _ = project(camera, pose, clicked.masks[0].points)
    box_px = np.concatenate([pixel.min(axis=0), pixel.max(axis=0)]).clip(0, 239)
    boxed = field.query_click(replace(middle_click(frames[0]), pixels=None, box_px=box_px))
    assert boxed.found, boxed.reason
    assert iou(clicked, boxed) > 0.3


def test_a_view_is_segmented_by_points_and_boxes(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    """On features rendered at a pose where no camera was."""
    camera = CAMERA.scaled_to(160, 120)
    pose = interpolate_pose(frames[2].world_from_camera, frames[3].world_from_camera, 0.5)
    point = Prompts.click(80, 60)
    box = Prompts(np.zeros((0, 2), np.float32), np.zeros(0, bool), np.float32([50, 40, 110, 90]))
    for asked in (point, box):
        shown = field.segment_view(camera, pose, asked)
        assert shown.found, shown.reason
        assert shown.mask.shape == (120, 160) and shown.mask.any() and shown.prompts is asked
        assert shown.on_surface is not None and len(shown.on_surface.points) > 10
    embedding = field.render_embedding(camera, pose)
    assert embedding.dtype == np.float16 and embedding.ndim == 3


def test_a_click_outside_the_image_says_so(field: SemanticField, frames: list[PosedFrame]) -> None:
    outside = replace(middle_click(frames[0]), pixels=np.array([[400.0, 10.0]], np.float32))
    answer = field.query_click(outside)
    assert not answer.found and "must lie inside" in answer.reason


def test_a_click_on_nothing_says_so(field: SemanticField) -> None:
    answer = field.query_click(ClickQuery(points_world=np.full((1, 3), 50.0, np.float32)))
    assert not answer.found and "nothing within" in answer.reason


def test_refined_answers_use_more_views_and_stay_on_the_thing(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    fast = field.query_click(middle_click(frames[0]))
    refined = field.query_click(middle_click(frames[0], refine=True))
    assert refined.found
    assert iou(fast, refined) > 0.2


def test_everything_that_was_told_apart_is_listed_with_a_label(field: SemanticField) -> None:
    listed = field.instances(("red mug", "blue bowl"))
    assert listed.found and len(listed.masks) >= 3
    assert {mask.label for mask in listed.masks} <= {"red mug", "blue bowl"}


def test_every_point_of_the_surface_has_a_class_and_a_relevancy(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    label = field.instances(("red mug", "blue bowl")).masks[0].label
    surface = field.surface()
    assert surface is not None
    classes = field.classify((f" {label} ", "wall"))
    assert classes.phrases == (label, "wall")
    assert len(classes.class_of_point) == len(classes.score) == len(surface.points)
    assert set(np.unique(classes.class_of_point)) <= {-1, 0, 1}
    assert np.array_equal(classes.score > 0, classes.class_of_point >= 0)
    relevancy = field.relevancy(label)
    assert len(relevancy) == len(surface.points) and 0 < relevancy.max() <= 1
    frame = frames[3]
    layer = field.render(frame.camera, frame.world_from_camera, "relevancy", label)
    assert layer.shape == (240, 320) and set(np.unique(layer)) <= {0.0, *relevancy.tolist()}
    assert field.status()["method_ms"]["maskfield"] > 0


def test_phrases_must_not_be_empty(field: SemanticField, frames: list[PosedFrame]) -> None:
    for phrases in ((), ("mug", " ")):
        with pytest.raises(ValueError, match="expected phrases that are not empty"):
            field.classify(phrases)
    with pytest.raises(ValueError, match="expected phrases that are not empty"):
        field.render(frames[0].camera, np.eye(4), "relevancy", "")


def test_a_refinement_tells_how_far_it_is_and_can_be_stopped(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    shares: list[float] = []
    field.query_click(middle_click(frames[0], refine=True), shares.append)
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == pytest.approx(1)
    unwanted = Refinement()
    unwanted.cancel()
    with pytest.raises(CancelledError):
        field.query_click(middle_click(frames[0], refine=True), unwanted.reached)


def test_everything_can_be_told_apart_anew(field: SemanticField) -> None:
    fast, refined = field.instances(()), field.instances((), refine=True)
    assert len(fast.masks) == len(refined.masks)
    same = [
        iou(replace(fast, masks=[one]), replace(refined, masks=[other]))
        for one, other in zip(fast.masks, refined.masks, strict=True)
    ]
    assert np.median(same) > 0.3


def test_a_refined_text_answer_comes_from_the_same_place(field: SemanticField) -> None:
    anything = TextQuery("object", threshold=0.0, max_results=1)
    fast, refined = field.query_text(anything), field.query_text(replace(anything, refine=True))
    assert fast.found and refined.found
    assert refined.masks[0].score == pytest.approx(fast.masks[0].score)
    went_m = refined.masks[0].box.centre - fast.masks[0].box.centre
    assert np.linalg.norm(went_m) < 0.03 and iou(fast, refined) > 0.6


def test_a_loaded_map_answers_as_the_saved_one_and_learns_on(
    field: SemanticField, frames: list[PosedFrame], tmp_path: Path
) -> None:
    """Without any camera at first."""
    field.save(tmp_path / "table")
    anything = TextQuery("object", threshold=0.0, max_results=1)
    maps = MapConfig(folder=str(tmp_path), load="table", autosave_s=1e6)
    other = SemanticField(replace(CONFIG, map=maps))
    other.pause()
    with other:  # it starts from the map that the config names
        assert other.status()["steps"] == field.status()["steps"] > 0
        for refine in (False, True):
            click = middle_click(frames[0], refine=refine)
            before, after = field.query_click(click), other.query_click(click)
            assert after.found, after.reason
            assert iou(before, after) > (0.5 if refine else 0.98)
        assert iou(field.query_text(anything), other.query_text(anything)) > 0.98
        known = other.status()["keyframes"]
        other.resume()
        wait_for(lambda: {"maskfield/mask", "sam_features/feature_mse"} <= set(losses(other)))
        later = replace(frames[5], stamp_ns=frames[-1].stamp_ns + 10**9)
        assert other.ingest(later).keep
        wait_for(lambda: other.status()["features_done"] == 1)
        assert other.status()["keyframes"] == known + 1
    assert list_maps(tmp_path) == ["autosave", "table"]  # saved when it was closed


def test_a_map_whose_keyframes_moved_while_it_was_written_is_where_they_are(
    field: SemanticField, tmp_path: Path
) -> None:
    field.save(tmp_path / "table")
    saved = load_map(tmp_path, "table")
    shift = np.eye(4)
    shift[:3, 3] = 0.3, 0.0, 0.1
    for record in saved.meta["keyframes"]:
        record["world_from_camera"] = (shift @ record["world_from_camera"]).tolist()
    save_map(tmp_path, "table", saved)
    other = SemanticField(CONFIG)
    other.load(tmp_path / "table")
    before, after = field.surface(), other.surface()
    went_m = np.median(after.points, axis=0) - np.median(before.points, axis=0)
    np.testing.assert_allclose(went_m, shift[:3, 3], atol=0.01)


def test_a_map_answers_in_the_same_place_under_coarser_voxels(
    field: SemanticField, tmp_path: Path
) -> None:
    field.save(tmp_path / "table")
    other = SemanticField(overlaid(CONFIG, {"surface": {"voxel_m": 0.01}}))
    other.load(tmp_path / "table")
    before, after = field.instances(()), other.instances(())
    same = [
        max(iou(replace(before, masks=[one]), replace(after, masks=[two])) for two in after.masks)
        for one in before.masks
    ]
    assert np.median(same) > 0.9


def losses(field: SemanticField) -> dict[str, float]:
    return dict(field.status()["losses"])


@pytest.mark.parametrize(
    ("name", "tree"),
    [
        ("field.grid", {"field": {"grid": {"levels": 4}}}),
        # As many entries as with the default, of other cells.
        (
            "semantics.sam_features.grid",
            {"semantics": {"sam_features": {"grid": {"growth": 2.0}}}},
        ),
    ],
)
def test_a_map_of_another_grid_is_refused_and_changes_nothing(
    field: SemanticField, frames: list[PosedFrame], tmp_path: Path, name: str, tree: dict
) -> None:
    field.save(tmp_path / "table")
    other = SemanticField(overlaid(CONFIG, tree))
    assert other.ingest(frames[0]).keep
    with pytest.raises(ValueError, match=f"must have {name} "):
        other.load(tmp_path / "table")
    assert (other.status()["keyframes"], other.status()["feature_backlog"]) == (1, 1)


def test_export_writes_what_it_is_asked_for_and_refuses_the_rest(
    field: SemanticField, tmp_path: Path
) -> None:
    field.export(tmp_path / "surface.ply")
    field.export(tmp_path / "instances.ply", "instances")
    assert (tmp_path / "surface.ply").read_bytes().startswith(b"ply")
    assert (tmp_path / "instances.ply").read_bytes().startswith(b"ply")
    named = field.query_text(TextQuery("object", threshold=0.0, max_results=1))
    field.export(tmp_path / "frames", "transforms")
    assert Nerfstudio(tmp_path / "frames").length == field.status()["keyframes"]
    field.export(tmp_path / "thing.glb", "mesh", named.masks)
    assert (tmp_path / "thing.glb").read_bytes().startswith(b"glTF")
    with pytest.raises(ValueError, match="export must be one of"):
        field.export(tmp_path / "x.ply", "everything")


def test_grasps_come_with_a_model_or_a_reason(
    field: SemanticField, frames: list[PosedFrame]
) -> None:
    plan = field.grasps(GraspQuery(middle_click(frames[5])))
    assert plan.mask is not None and plan.model is not None
    assert plan.found == bool(plan.grasps) and plan.found == (plan.reason == "")
    assert len(plan.model.vertices) > 50 and plan.model.support.seen
    again = field.grasps(GraspQuery(plan.mask))
    assert [g.score for g in again.grasps] == [g.score for g in plan.grasps]
    missing = field.grasps(GraspQuery(TextQuery("")))
    assert not missing.found and "empty" in missing.reason
    with pytest.raises(ValueError, match="map version"):
        field.grasps(GraspQuery(replace(plan.mask, map_version=0)))


def test_asked_before_there_is_a_map(frames: list[PosedFrame]) -> None:
    empty = SemanticField(CONFIG)
    assert not empty.query_text(TextQuery("mug")).found
    assert not empty.query_click(middle_click(frames[0])).found
    assert "no map" in empty.instances(()).reason
    assert "no map" in empty.grasps(GraspQuery(TextQuery("mug"))).reason
    with pytest.raises(RuntimeError, match="no map to ask yet"):
        empty.classify(("mug", "wall"))


@pytest.mark.parametrize("classes", [[], ["mug"]])
def test_a_method_without_its_classes_is_refused_before_anything_is_mapped(classes: list) -> None:
    tree = {"semantics": {"methods": ["ovnerf"], "ovnerf": {"classes": classes}}}
    said = re.escape("semantics.ovnerf.classes must list at least two phrases")
    with pytest.raises(ValueError, match=f"^{said}.* got {re.escape(str(classes))}$"):
        SemanticField(overlaid(CONFIG, tree))


def test_ignored_pixels_never_reach_the_map(frames: list[PosedFrame]) -> None:
    """A frame at full size, half of it ignored, is kept at half its width."""
    ignored = np.zeros((CAMERA.height, CAMERA.width), np.bool_)
    ignored[:, 201:] = True
    built = SemanticField(CONFIG)
    assert built.ingest(replace(frames[0], ignored=ignored)).keep
    (view,) = built.keyframes()
    kept = built._memory.get(view.keyframe_id).frame
    np.testing.assert_array_equal(kept.ignored.any(axis=0), np.arange(160) >= 100)
    assert np.isnan(kept.depth_m[:, 100:]).all() and np.isfinite(kept.depth_m[:, :100]).any()


def best_phrase(field: SemanticField, table: SyntheticSource) -> TextQuery:
    """For what the map finds with the best score."""
    asked = [TextQuery(thing.phrase) for thing in table.world.objects if thing.is_object]
    return max(asked, key=lambda query: field.query_text(query).score)


def centre(answer: QueryAnswer) -> np.ndarray:
    return np.asarray(answer.masks[0].box.centre)


def test_a_loop_closure_moves_surface_and_answers_at_once(
    field: SemanticField, frames: list[PosedFrame], table: SyntheticSource
) -> None:
    """All poses shift by 30 cm, and back again; training is paused all the while."""
    asked = middle_click(frames[7])
    before, clicked = field.surface(), field.query_click(asked)
    named = best_phrase(field, table)
    found = centre(field.query_text(named))
    right = {view.keyframe_id: view.world_from_camera for view in field.keyframes()}
    shift = np.eye(4)
    shift[:3, 3] = 0.3, 0.0, 0.1
    for poses in ({i: shift @ pose for i, pose in right.items()}, right):
        version = field.status()["map_version"]
        assert field.update_poses(poses) == len(right)
        wait_for(lambda version=version: field.surface().map_version > version)
        moved_m = 0.0 if poses is right else shift[:3, 3]
        went_m = np.median(field.surface().points, axis=0) - np.median(before.points, axis=0)
        np.testing.assert_allclose(went_m, moved_m, atol=0.01)
        answer = field.query_click(asked)
        went_m = answer.masks[0].box.centre - clicked.masks[0].box.centre
        np.testing.assert_allclose(went_m, moved_m, atol=0.03)
        # Phrases follow when all keyframes have voted anew, in a version of its own.
        wait_for(lambda version=version: field.status()["map_version"] > version + 1)
        went_m = centre(field.query_text(named)) - found
        np.testing.assert_allclose(went_m, moved_m, atol=0.05)
