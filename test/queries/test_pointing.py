"""Clicks in images, by stamp or by keyframe, as points on the surface."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.queries.decoding import WorldPrompts
from semantic_field_ros.queries.pointing import lift_click
from semantic_field_ros.types import PinholeCamera, PosedFrame, SurfaceCloud

CAMERA = PinholeCamera(40, 30, 40.0, 40.0, 19.5, 14.5)
#: keyframes are kept at half the size of the camera's images.
SCALES = {"camera": 0.5}
PIXEL = np.array([[10, 10]], np.float32)


@pytest.fixture
def memory() -> ReplayMemory:
    """Two keyframes that look at a wall 2 m away, the second from 10 cm to the right."""
    held = ReplayMemory(6)
    for number in range(2):
        pose = np.eye(4)
        pose[0, 3] = 0.1 * number
        depth_m = np.full((30, 40), 2.0, np.float32)
        rgb = np.zeros((30, 40, 3), np.uint8)
        held.add(PosedFrame(100 + number, "camera", CAMERA, pose, rgb, depth_m))
    return held


@pytest.fixture
def snapshot() -> SimpleNamespace:
    pixel = pixel_grid(CAMERA.width, CAMERA.height)
    points = unproject(CAMERA, np.eye(4), pixel, np.full(len(pixel), 2.0))
    spacing_m = np.full(len(points), 0.05, np.float32)
    surface = SurfaceCloud(points, -points, np.zeros((len(points), 3), np.uint8), spacing_m)
    return SimpleNamespace(
        surface=surface, depth_at=lambda camera, pose, px: np.full(len(px), 2.0, np.float32)
    )


def test_pixels_of_a_camera_are_those_of_its_images(memory, snapshot):
    query = ClickQuery(pixels=PIXEL, camera_name="camera", stamp_ns=101)
    prompts = lift_click(snapshot, query, memory, SCALES)
    assert isinstance(prompts, WorldPrompts)
    # (10 + 0.5) / 2 - 0.5: pixel centres are at integers.
    np.testing.assert_allclose(prompts.pixels, [[4.75, 4.75]])
    # x = (4.75 - 19.5) / 40 · 2 m + 0.1 m, on the surface's grid of 5 cm.
    np.testing.assert_allclose(prompts.points[0], [-0.6375, -0.4875, 2], atol=0.026)


def test_pixels_of_a_keyframe_are_those_that_are_kept(memory, snapshot):
    box_px = np.array([5, 5, 15, 15], np.float32)
    query = ClickQuery(pixels=PIXEL, box_px=box_px, positive=np.array([True]), keyframe_id=0)
    prompts = lift_click(snapshot, query, memory, SCALES)
    assert isinstance(prompts, WorldPrompts)
    np.testing.assert_array_equal(prompts.pixels[0], PIXEL[0])
    np.testing.assert_array_equal(prompts.box_px, box_px)
    assert prompts.boxed == len(prompts.pixels) - 1 == 9
    np.testing.assert_allclose(prompts.points[0], [-0.475, -0.225, 2], atol=1e-5)


@pytest.mark.parametrize("corners", [[5, 6, 15, 16], [15, 16, 5, 6], [15, 6, 5, 16]])
def test_a_box_is_drawn_from_any_of_its_corners(memory, snapshot, corners):
    query = ClickQuery(box_px=np.array(corners, np.float32), keyframe_id=0)
    prompts = lift_click(snapshot, query, memory, SCALES)
    np.testing.assert_array_equal(prompts.box_px, [5, 6, 15, 16])


def test_without_a_stamp_the_keyframe_that_came_last_is_meant(memory, snapshot):
    """Its stamp is older than the others': time has jumped back."""
    last = memory.add(replace(memory.get(0).frame, stamp_ns=5))
    memory.add(replace(memory.get(0).frame, stamp_ns=900, camera_name="other"))
    query = ClickQuery(pixels=PIXEL, camera_name="camera")
    assert lift_click(snapshot, query, memory, SCALES).keyframe_id == last.keyframe_id


def test_a_keyframe_that_is_gone_is_the_reason(memory, snapshot):
    query = ClickQuery(pixels=PIXEL, keyframe_id=7)
    assert lift_click(snapshot, query, memory, SCALES) == "keyframe 7 is no longer held"
    elsewhere = ClickQuery(pixels=PIXEL, camera_name="other")
    assert lift_click(snapshot, elsewhere, memory, SCALES) == "no keyframe of camera 'other'"


@pytest.mark.parametrize("pixels", [[[10, 11]], [[2, 3], [17, 25]]])
def test_a_click_on_what_is_ignored_says_so(memory, snapshot, pixels):
    ignored = np.zeros((30, 40), np.bool_)
    ignored[:, :20] = True
    frame = PosedFrame(5, "head", CAMERA, np.eye(4), np.zeros((30, 40, 3), np.uint8))
    memory.add(replace(frame, ignored=ignored))
    query = ClickQuery(pixels=np.array(pixels, np.float32), camera_name="head")
    answer = lift_click(snapshot, query, memory, {})
    assert isinstance(answer, str) and "ignored" in answer


def test_points_far_from_the_surface_say_nothing_beside_others(memory, snapshot):
    """They would become points of whatever is nearest, here of the thing that is meant."""
    points = np.array([[0, 0, 2], [0, 0, 0.5], [0, 0.4, 2.9], [0, 0.5, 2.1]], np.float32)
    query = ClickQuery(points, positive=np.array([True, False, True, False]))
    prompts = lift_click(snapshot, query, memory, SCALES)
    # 20 spacings of 5 cm are 1 m: only the second, at 1.5 m, is out of reach.
    assert np.isfinite(prompts.points).all(axis=1).tolist() == [True, False, True, True]
    near = [[0, 0, 2], [0, 0.4, 2], [0, 0.5, 2]]
    np.testing.assert_allclose(prompts.points[[0, 2, 3]], near, atol=0.026)
    assert len(prompts.targets) == 2
    alone = ClickQuery(points[1:2])
    assert lift_click(snapshot, alone, memory, SCALES) == "nothing within 1.00 m of the click"


def one_beside_another(memory, beside_m):
    """Two pixels of a keyframe, the second negative, where the sensor measured `beside_m`."""
    held = memory.get(1).frame
    held.depth_m[20:] = beside_m
    added = memory.add(replace(held, stamp_ns=102))
    return ClickQuery(
        pixels=np.array([[10, 10], [10, 25]], np.float32),
        positive=np.array([True, False]),
        keyframe_id=added.keyframe_id,
    )


def test_a_pixel_that_shows_what_is_far_from_the_surface_counts_in_its_own_image(memory, snapshot):
    query = one_beside_another(memory, 3.5)
    prompts = lift_click(snapshot, query, memory, {})
    np.testing.assert_array_equal(prompts.pixels, query.pixels)
    assert np.isfinite(prompts.points).all(axis=1).tolist() == [True, False]


def test_a_pixel_that_shows_nothing_of_the_map_counts_in_its_own_image(memory, snapshot):
    """At the depth of the others it would lie on the edge of the thing that they show."""
    query = one_beside_another(memory, np.nan)
    empty = SimpleNamespace(
        surface=snapshot.surface,
        depth_at=lambda camera, pose, px: np.full(len(px), np.nan, np.float32),
    )
    prompts = lift_click(empty, query, memory, {})
    np.testing.assert_array_equal(prompts.pixels, query.pixels)
    assert np.isfinite(prompts.points).all(axis=1).tolist() == [True, False]
    nothing = replace(query, positive=np.array([False, True]))
    assert lift_click(empty, nothing, memory, {}) == "the map is empty where the click points"


@pytest.mark.parametrize("beside", [[40.0, 10.0], [-1.0, 10.0], [np.nan, 10.0]])
def test_a_pixel_that_is_not_in_the_image_is_refused(memory, snapshot, beside):
    query = ClickQuery(pixels=np.array([[10, 10], beside], np.float32), keyframe_id=0)
    answer = lift_click(snapshot, query, memory, SCALES)
    assert isinstance(answer, str) and answer.startswith("a click must lie inside 40x30 pixels")


def turned(memory, stamp_ns, **other):
    """A frame of the first camera, half as far to the right as the second keyframe."""
    pose = np.eye(4)
    pose[0, 3] = 0.05
    native = CAMERA.scaled_to(80, 60)
    rgb = np.zeros((60, 80, 3), np.uint8)
    frame = PosedFrame(stamp_ns, "camera", native, pose, rgb)
    memory.passing.saw(replace(frame, **other))


def test_an_image_that_is_no_keyframe_is_clicked_from_where_it_was_taken(memory, snapshot):
    turned(memory, 50_000_000_000)
    turned(memory, 50_100_000_000, camera_name="other")
    query = ClickQuery(pixels=2 * PIXEL, camera_name="camera", stamp_ns=50_000_000_000)
    prompts = lift_click(snapshot, query, memory, SCALES)
    # x = (20 - 39.5) / 80 · 2 m + 0.05 m, in pixels of the image as it came.
    np.testing.assert_allclose(prompts.points, [[-0.4375, -0.2375, 2]], atol=0.026)
    assert prompts.keyframe_id is None


def test_a_keyframe_is_preferred_to_itself_passing_by(memory, snapshot):
    turned(memory, 100)
    query = ClickQuery(pixels=PIXEL, camera_name="camera", stamp_ns=100)
    assert lift_click(snapshot, query, memory, SCALES).keyframe_id == 0


def test_an_image_of_another_time_is_not_taken_for_the_nearest_one(memory, snapshot):
    """An evicted keyframe, or one that the robot saw before the node was there."""
    turned(memory, 2_000_000_000)
    query = ClickQuery(pixels=PIXEL, camera_name="camera", stamp_ns=5_000_000_000)
    assert lift_click(snapshot, query, memory, SCALES) == (
        "where the clicked image was taken is not known: the nearest image of camera 'camera' is "
        "3.00 s away"
    )


def test_a_box_is_drawn_in_keyframes_alone(memory, snapshot):
    turned(memory, 5_000_000_000)
    query = ClickQuery(box_px=np.array([5, 5, 15, 15], np.float32), stamp_ns=5_000_000_000)
    answer = lift_click(snapshot, query, memory, SCALES)
    assert answer == (
        "where the clicked image was taken is not known: the nearest keyframe is 5.00 s away"
    )


def test_corrected_poses_forget_where_frames_were_taken(memory, snapshot):
    turned(memory, 5_000_000_000)
    memory.update_poses({0: np.eye(4)})
    assert memory.passing.of("camera") == []
