import numpy as np

from semantic_field_ros.geometry import look_at
from semantic_field_ros.types import PinholeCamera, PosedFrame, SurfaceCloud
from semantic_field_ros.viewer.pictures import (
    ANSWER,
    FINER,
    PANEL,
    PAPER,
    Answered,
    answer_in_3d,
    answer_in_view,
    answer_sheet,
    best_view,
    overlay,
)

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


def ground(side=0.5, step=0.02):
    """A grey floor whose points near the middle could be an answer."""
    axis = np.arange(-side, side, step, dtype=np.float32)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    points = np.stack([x, y, np.zeros_like(x)], 1)
    up = np.broadcast_to(np.array([0, 0, 1], np.float32), points.shape)
    grey = np.full(points.shape, 128, np.uint8)
    middle = np.flatnonzero(np.hypot(x, y) < 0.15)
    return SurfaceCloud(points, up, grey, np.full(len(points), step, np.float32)), middle


def asked(indices, pixel=None):
    surface, _ = ground()
    pose = look_at(np.array([0.8, 0, 0.8]), np.zeros(3))
    frame = PosedFrame(0, "camera", CAMERA, pose, np.full((48, 64, 3), 90, np.uint8))
    return Answered("a patch", "found 0.9", True, frame, surface, indices, pixel)


def test_overlay_changes_nothing_without_a_mask_and_tints_with_one():
    rgb = np.full((20, 20, 3), 100, np.uint8)
    assert (overlay(rgb, np.zeros((20, 20), bool)) == rgb).all()
    mask = np.zeros((20, 20), bool)
    mask[4:16, 4:16] = True
    drawn = overlay(rgb, mask)
    assert drawn[10, 10].tolist() == [169, 98, 55]  # 0.55 · 100 + 0.45 · (255, 96, 0)
    assert drawn[0, 0].tolist() == [60, 60, 60]


def test_the_answer_lies_in_the_view_where_the_camera_looks():
    _, middle = ground()
    drawn = answer_in_view(asked(middle)).astype(int)
    orange = drawn[..., 0] - drawn[..., 2] > 60
    assert orange[24, 32] and not orange[2, 2]


def test_a_click_is_marked():
    _, middle = ground()
    plain, marked = (answer_in_view(asked(middle, pixel)) for pixel in (None, (10, 10)))
    assert (marked[8:13, 8:13] != plain[8:13, 8:13]).any()
    assert (marked[30:] == plain[30:]).all()


def test_in_3d_the_answer_stands_out_of_a_pale_map():
    _, middle = ground()
    picture = answer_in_3d(asked(middle), asked(middle).frame.world_from_camera)
    height, width = FINER * PANEL[1], FINER * PANEL[0]
    assert picture.shape == (height, width, 3)
    assert picture[0, 0].tolist() == list(PAPER)
    centre = picture[height // 2, width // 2].astype(int)
    assert centre[0] - centre[2] > 80 and ANSWER[0] > ANSWER[2]


def test_a_sheet_holds_every_answer_and_the_empty_one():
    _, middle = ground()
    rows = [asked(middle), asked(np.zeros(0, np.int64)), asked(middle, (3, 4))]
    one = answer_sheet("Answers", "3 queries", rows[:1])
    all_three = answer_sheet("Answers", "3 queries", rows)
    assert one.dtype == np.uint8 and one.shape[1] == all_three.shape[1]
    assert all_three.shape[0] > one.shape[0]


def test_the_best_view_sees_most_of_the_points_unhidden():
    def frame(depth_m, x=0.0):
        pose = np.eye(4)
        pose[0, 3] = x
        depth = np.full((48, 64), depth_m, np.float32)
        return PosedFrame(0, "camera", CAMERA, pose, np.zeros((48, 64, 3), np.uint8), depth)

    hidden, beside, right = frame(0.5), frame(1.0, x=3.0), frame(1.0)
    points = np.array([[0, 0, 1.0], [0.1, 0, 1.0]])
    assert best_view([hidden, beside, right], points) is right
    assert best_view([hidden, beside], points) is beside  # nobody sees it: the middle one
