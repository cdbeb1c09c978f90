"""Masks painted into a camera image."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from semantic_field_ros.geometry import look_at, pixel_grid, unproject
from semantic_field_ros.ros.answers import PALETTE
from semantic_field_ros.ros.overlay import frame_showing, paint_masks, visible_pixels
from semantic_field_ros.types import Mask3D, OrientedBox, PinholeCamera, PosedFrame

CAMERA = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
POSE = look_at(np.array([0.0, -2.0, 1.0]), np.array([0.0, 0.0, 0.5]))


def frame(depth_m: np.ndarray | None) -> PosedFrame:
    return PosedFrame(0, "camera", CAMERA, POSE, np.zeros((24, 32, 3), np.uint8), depth_m)


def points_behind(columns: slice, depth_m: float) -> np.ndarray:
    pixels = pixel_grid(32, 24).reshape(24, 32, 2)[4:20, columns].reshape(-1, 2)
    return unproject(CAMERA, POSE, pixels, np.full(len(pixels), depth_m, np.float32))


def test_points_cover_their_pixels() -> None:
    covered = visible_pixels(frame(None), points_behind(slice(8, 16), 1.5))
    expected = np.zeros((24, 32), bool)
    expected[4:20, 8:16] = True
    np.testing.assert_array_equal(covered, expected)


def test_what_is_behind_a_surface_is_hidden() -> None:
    depth_m = np.full((24, 32), 1.0, np.float32)
    assert not visible_pixels(frame(depth_m), points_behind(slice(8, 16), 1.5)).any()
    depth_m[:, 12:] = np.nan
    covered = visible_pixels(frame(depth_m), points_behind(slice(8, 16), 1.5))
    assert not covered[:, :12].any()
    assert covered[4:20, 12:16].all()


def test_points_outside_the_view_are_ignored() -> None:
    behind = np.array([[0.0, -5.0, 1.0]], np.float32)
    assert not visible_pixels(frame(None), behind).any()
    assert not visible_pixels(frame(None), np.zeros((0, 3), np.float32)).any()


def mask_of(points: np.ndarray) -> Mask3D:
    box = OrientedBox(np.zeros(3), np.array([0, 0, 0, 1.0]), np.ones(3))
    count = len(points)
    return Mask3D(
        np.arange(count), points, np.zeros((count, 3), np.uint8), np.ones(count, "f4"),
        "mug", 0.9, box, 1,
    )  # fmt: skip


def test_masks_get_the_colour_of_their_rank() -> None:
    painted = paint_masks(frame(None), [mask_of(points_behind(slice(8, 16), 1.5))])
    np.testing.assert_array_equal(painted[10, 11], (0.55 * PALETTE[0]).astype(np.uint8))
    assert not painted[0, 0].any()


def test_a_mask_of_the_colour_of_the_thing_is_told_by_a_dark_line_around_a_light_one() -> None:
    alike = replace(frame(None), rgb=np.broadcast_to(PALETTE[0], (24, 32, 3)).copy())
    painted = paint_masks(alike, [mask_of(points_behind(slice(8, 16), 1.5))])
    thing, light, dark = PALETTE[0].tolist(), [255] * 3, [0] * 3
    across = [thing, dark, light, *[thing] * 6, light, dark, thing]
    np.testing.assert_allclose(painted[10, 6:18].tolist(), across, atol=1)
    np.testing.assert_array_equal(painted[3, 8:16], 0)
    np.testing.assert_array_equal(painted[4, 8:16], 255)


def test_where_the_image_ends_a_mask_has_no_edge() -> None:
    painted = paint_masks(frame(None), [mask_of(points_behind(slice(0, 8), 1.5))])
    assert not (painted[10, 0] == 255).all() and (painted[10, 7] == 255).all()


def test_holes_of_a_mask_are_outlined_too() -> None:
    points = points_behind(slice(2, 30), 1.5).reshape(16, 28, 3)
    ring = np.concatenate([points[:, :9], points[:, 19:]], axis=1).reshape(-1, 3)
    ends = np.concatenate([points[:4], points[-4:]]).reshape(-1, 3)
    painted = paint_masks(frame(None), [mask_of(np.concatenate([ring, ends]))])
    assert not painted[12, 15].any()
    assert (painted[12] == 255).all(axis=1).sum() == 4  # out to in, and in to out


class Kept:
    """A field that holds keyframes, oldest first; one in the list that is None has just gone."""

    def __init__(self, frames: list[PosedFrame | None]) -> None:
        self.frames = frames

    def keyframes(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(keyframe_id=i) for i in range(len(self.frames))]

    def keyframe(self, keyframe_id: int) -> PosedFrame | None:
        return self.frames[keyframe_id]


def test_the_newest_keyframe_that_shows_a_thing_well_is_taken() -> None:
    points = points_behind(slice(6, 26), 1.5)  # 20 columns of 16 points
    whole, hidden = frame(None), frame(np.full((24, 32), 1.0, np.float32))
    away = replace(
        whole, world_from_camera=look_at(np.array([0, -2.0, 1]), np.array([0, -4.0, 1]))
    )
    nearly, half = frame(np.full((24, 32), 2.0, "f4")), frame(np.full((24, 32), 2.0, "f4"))
    nearly.depth_m[4, 6:16] = half.depth_m[:, 6:16] = 1.0
    frames = [whole, nearly, half, hidden, away, None]
    assert frame_showing(Kept(frames), points) is nearly
    assert frame_showing(Kept([whole, half, hidden]), points) is whole
    assert frame_showing(Kept([hidden, half, away]), points) is half
    assert frame_showing(Kept([hidden, away, None]), points) is None
    assert frame_showing(Kept([]), points) is None
