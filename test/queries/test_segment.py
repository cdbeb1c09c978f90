"""From 3D answers to prompts in a view."""

import numpy as np
import pytest

from semantic_field_ros.models.base import Prompts
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.queries.segment import lift_mask, pointed_at, prompts_of_masks
from semantic_field_ros.types import Mask3D, PinholeCamera, SurfaceCloud

CAMERA = PinholeCamera(100, 80, 100.0, 100.0, 49.5, 39.5)


def wall() -> SurfaceCloud:
    """Points a centimetre apart on a wall one metre away: one pixel each."""
    x, y = np.meshgrid(np.arange(-45, 46) / 100, np.arange(-35, 36) / 100)
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1).astype(np.float32)
    normals = np.tile(np.array([[0, 0, -1]], np.float32), (len(points), 1))
    rgb, spacing_m = np.zeros((len(points), 3), np.uint8), np.full(len(points), 0.01, np.float32)
    return SurfaceCloud(points, normals, rgb, spacing_m)


def square(surface: SurfaceCloud, x_m: float, half_m: float) -> Mask3D:
    near = np.abs(surface.points[:, :2] - [x_m, 0]).max(axis=1) <= half_m + 1e-6
    indices = np.flatnonzero(near)
    return make_mask(surface, indices, np.ones(len(indices), np.float32), "square", 0.9)


def test_a_square_is_pointed_at_in_its_middle_and_boxed() -> None:
    surface = wall()
    prompts = prompts_of_masks([square(surface, 0.1, 0.08)], surface, CAMERA, np.eye(4))
    # Its 17 x 17 points fill 17 pixels around u = 49.5 + 10, v = 39.5; box corners leave out the
    # outermost 2 % of the points.
    np.testing.assert_allclose(prompts.points_px, [[59.5, 39.5]], atol=1e-3)
    np.testing.assert_allclose(prompts.box_px, [51.5, 31.5, 67.5, 47.5], atol=1.01)
    assert prompts.positive.tolist() == [True]


def test_a_mask_is_lifted_to_the_points_that_it_shows() -> None:
    surface = wall()
    mask = np.zeros((80, 100), bool)
    mask[39:42, 59:62] = True
    lifted = lift_mask(mask, surface, CAMERA, np.eye(4))
    # Points lie on half pixels, u = 49.5 + k: rounding gives each whole pixel one of them.
    assert 4 <= len(lifted) <= 16
    assert np.abs(surface.points[lifted, :2] - [0.105, 0.005]).max() <= 0.021
    assert len(lift_mask(np.zeros((80, 100), bool), surface, CAMERA, np.eye(4))) == 0


def test_the_best_mask_that_the_view_shows_is_pointed_at() -> None:
    surface = wall()
    masks = [square(surface, -0.3, 0.05), square(surface, 0.2, 0.05)]
    aside = np.eye(4)
    aside[0, 3] = 0.6  # the left square is out of the image
    prompts = prompts_of_masks(masks, surface, CAMERA, aside)
    np.testing.assert_allclose(prompts.points_px, [[49.5 - 40, 39.5]], atol=1e-3)


def test_a_view_that_shows_none_of_them_has_no_prompt() -> None:
    surface = wall()
    away = np.eye(4)
    away[0, 3] = 5.0
    assert prompts_of_masks([square(surface, 0, 0.1)], surface, CAMERA, away) is None
    assert prompts_of_masks([], surface, CAMERA, np.eye(4)) is None


def test_a_view_full_of_the_mask_is_pointed_at_away_from_its_border() -> None:
    surface = wall()
    everything = make_mask(
        surface, np.arange(len(surface.points)), np.ones(len(surface.points)), "wall", 0.9
    )
    prompts = prompts_of_masks([everything], surface, CAMERA, np.eye(4))
    # Of all pixels of an image of 100 x 80, those of the middle row are farthest from the border.
    np.testing.assert_allclose(prompts.points_px[0, 1], 39.5, atol=1e-3)
    assert 39 < prompts.points_px[0, 0] < 60


def box(*corners: float) -> Prompts:
    return Prompts(np.zeros((0, 2), np.float32), np.zeros(0, np.bool_), np.array(corners))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (Prompts.click(-3000, 20), "a click must lie inside 100x80 pixels, got"),
        (Prompts.click(np.nan, 20), "a click must lie inside 100x80 pixels, got"),
        (Prompts.click(99.6, 20), "a click must lie inside 100x80 pixels, got"),
        (
            Prompts(np.array([[3, 4]], np.float32), np.array([False])),
            "a click needs a positive point, got 0 of 1",
        ),
        (box(120, 10, 150, 40), "a box must hold some of 100x80 pixels, got"),
        (box(10, np.nan, 50, 40), "a box must hold some of 100x80 pixels, got"),
    ],
)
def test_what_a_view_does_not_show_cannot_be_pointed_at(asked: Prompts, why: str) -> None:
    prompts, reason = pointed_at(asked, CAMERA)
    assert prompts is None and reason.startswith(why)


def test_what_a_view_shows_is_asked_with_its_box_in_order() -> None:
    for asked in (Prompts.click(99.5, -0.5), box(50, 10, 120, 40)):
        assert pointed_at(asked, CAMERA) == (asked, "")
    prompts, reason = pointed_at(box(120, 10, 50, 40), CAMERA)
    assert prompts is not None and not reason
    assert prompts.box_px is not None and prompts.box_px.tolist() == [50, 10, 120, 40]
