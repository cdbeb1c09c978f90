"""Outlines of answers settle where the surface changes its colour."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from semantic_field_ros.semantics.base import MEMBER, Region
from semantic_field_ros.semantics.outlines import (
    UNKNOWN,
    member_scores,
    members_along_edges,
    outlined,
)
from semantic_field_ros.types import SurfaceCloud

SIDE = 30
SPACING_M = 0.01
RED, GREY, DARK_RED = (200, 20, 20), (120, 120, 120), (180, 20, 20)


def sheet() -> tuple[SurfaceCloud, NDArray[np.bool_]]:
    """A grey square of 30 x 30 points with a red one of 10 x 10 in the middle; who is red."""
    column, row = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    flat = np.stack([column.ravel(), row.ravel(), np.zeros(SIDE**2)], 1) * SPACING_M
    red = (abs(column - 14.5) < 5).ravel() & (abs(row - 14.5) < 5).ravel()
    rgb = np.where(red[:, None], RED, GREY).astype(np.uint8)
    return surface(flat.astype(np.float32), rgb), red


def surface(points: NDArray[np.float32], rgb: NDArray[np.uint8]) -> SurfaceCloud:
    upwards = np.tile(np.float32([0, 0, 1]), (len(points), 1))
    return SurfaceCloud(points, upwards, rgb, np.full(len(points), SPACING_M, np.float32))


def around(red: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The red ones and the ring of points around them."""
    square = np.pad(red.reshape(SIDE, SIDE), 1)
    grown = [np.roll(square, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return np.any(grown, axis=0)[1:-1, 1:-1].ravel()


def test_votes_that_end_a_point_too_late_are_brought_back_to_the_edge() -> None:
    cloud, red = sheet()
    late = around(red) & ~red
    scores = np.where(red, 0.9, np.where(late, 0.6, 0.02)).astype(np.float32)
    np.testing.assert_array_equal(members_along_edges(cloud, scores), np.flatnonzero(red))


def test_votes_that_end_a_point_too_early_are_carried_to_the_edge() -> None:
    cloud, red = sheet()
    early = red & around(~red)
    scores = np.where(early, 0.3, np.where(red, 0.9, 0.02)).astype(np.float32)
    np.testing.assert_array_equal(members_along_edges(cloud, scores), np.flatnonzero(red))


def test_a_point_that_nobody_saw_follows_its_neighbours() -> None:
    cloud, red = sheet()
    scores = np.where(red, 0.9, 0.02).astype(np.float32)
    middle, corner = 14 * SIDE + 14, 2 * SIDE + 2
    scores[[middle, corner]] = UNKNOWN
    np.testing.assert_array_equal(members_along_edges(cloud, scores), np.flatnonzero(red))


def test_votes_that_are_sure_part_what_has_one_colour() -> None:
    cloud, red = sheet()
    cloud.rgb[:] = DARK_RED
    scores = np.where(red, 0.95, 0.02).astype(np.float32)
    found = np.zeros(SIDE**2, np.bool_)
    found[members_along_edges(cloud, scores)] = True
    assert (found & red).sum() >= 88  # four corners of three are outvoted by those around them
    assert not (found & ~red).any()


def test_what_lies_apart_has_no_say() -> None:
    points = np.float32([[0, 0, 0], [0.01, 0, 0], [1.0, 0, 0], [1.01, 0, 0]])
    cloud = surface(points, np.full((4, 3), 100, np.uint8))
    scores = np.float32([0.9, 0.44, 0.44, 0.02])
    assert members_along_edges(cloud, scores).tolist() == [0, 1]


def test_nothing_and_a_single_point_have_outlines_too() -> None:
    cloud, _ = sheet()
    assert len(members_along_edges(cloud, np.zeros(SIDE**2, np.float32))) == 0
    alone = surface(np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8))
    assert members_along_edges(alone, np.float32([0.9])).tolist() == [0]
    assert len(members_along_edges(alone, np.float32([0.4]))) == 0


def test_a_region_keeps_what_its_members_had_and_newcomers_are_just_members() -> None:
    cloud, red = sheet()
    hole = 14 * SIDE + 14
    members = np.flatnonzero(red & (np.arange(SIDE**2) != hole))
    region = Region(members, np.full(len(members), 0.8, np.float32), 0.7)
    whole = outlined(cloud, region)
    np.testing.assert_array_equal(whole.indices, np.flatnonzero(red))
    assert whole.score == 0.7
    expected = np.where(whole.indices == hole, np.float32(MEMBER), np.float32(0.8))
    np.testing.assert_array_equal(whole.point_scores, expected)


def test_scattered_points_that_nothing_bears_out_stay_a_region() -> None:
    cloud, red = sheet()
    scattered = np.flatnonzero(~red)[::37]
    region = Region(scattered, np.full(len(scattered), 0.5, np.float32), 0.2)
    assert len(members_along_edges(cloud, scores_of(region))) == 0
    assert outlined(cloud, region) is region


def scores_of(region: Region) -> NDArray[np.float32]:
    scores = np.full(SIDE**2, UNKNOWN, np.float32)
    scores[region.indices] = region.point_scores
    return scores


def test_scores_of_members_are_not_below_the_least() -> None:
    scores = np.float32([0.1, 0.9, 0.5])
    np.testing.assert_array_equal(
        member_scores(scores, np.array([0, 1])), np.float32([MEMBER, 0.9])
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_members_are_points_ascending_and_the_order_of_points_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 0.1, (200, 3)).astype(np.float32)
    rgb = rng.integers(0, 255, (200, 3)).astype(np.uint8)
    scores = rng.uniform(0, 1, 200).astype(np.float32)
    found = members_along_edges(surface(points, rgb), scores)
    assert (np.diff(found) > 0).all()
    order = rng.permutation(200)
    again = members_along_edges(surface(points[order], rgb[order]), scores[order])
    np.testing.assert_array_equal(np.sort(order[again]), found)


def test_a_wall_in_the_colour_of_what_stands_before_it_needs_better_votes() -> None:
    cloud, red = sheet()
    leaked = around(red) & ~red
    grey = replace(cloud, rgb=np.full_like(cloud.rgb, 120))
    scores = np.where(red, 0.9, np.where(leaked, 0.6, 0.02)).astype(np.float32)
    assert np.isin(np.flatnonzero(leaked), members_along_edges(grey, scores)).mean() > 0.5
    found = members_along_edges(replace(grey, enclosing=~red), scores)
    assert not leaked[found].any()
    assert red[found].sum() >= red.sum() - 4  # its corners are rounded


def test_what_the_votes_are_sure_of_is_found_on_a_wall_too() -> None:
    cloud, red = sheet()
    scores = np.where(red, 0.9, 0.02).astype(np.float32)
    poster = replace(cloud, enclosing=np.ones(SIDE**2, np.bool_))
    np.testing.assert_array_equal(members_along_edges(poster, scores), np.flatnonzero(red))
