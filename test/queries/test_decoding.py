"""What a view sees of the surface, and where it is clicked once more."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from decoder import Decoder
from numpy.typing import NDArray

from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.models.base import DecodedMasks, Prompts
from semantic_field_ros.queries.decoding import (
    ClickView,
    DecodedView,
    WorldPrompts,
    decode_again,
    decode_click,
)
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)
WALL_M = 2.0
PIXELS = pixel_grid(64, 48)
WALL = unproject(CAMERA, np.eye(4), PIXELS, np.full(len(PIXELS), WALL_M))
CLICK = WorldPrompts(np.array([[0, 0, WALL_M]], np.float32), np.array([True]))


class DiscSegmenter(Decoder):
    """A disc of five pixels around each first click, and remembers where it was clicked."""

    def __init__(self) -> None:
        self.asked: list[NDArray[np.float32]] = []

    @property
    def clicks(self) -> list[NDArray[np.float32]]:
        return [points_px[0] for points_px in self.asked]

    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        self.asked.append(prompts[0].points_px)
        distance = np.linalg.norm(PIXELS - prompts[0].points_px[0], axis=1).reshape(image_size)
        logits = np.where(distance <= 5, 20.0, -20.0)[None].astype(np.float32)
        return [DecodedMasks(logits, np.array([0.9], np.float32))]


def view(depth_m: NDArray[np.float32] | None = None) -> ClickView:
    return ClickView(0, CAMERA, np.eye(4), lambda: np.zeros((1, 1, 1)), lambda: depth_m)


def decoded(seen: ClickView, segmenter: DiscSegmenter) -> DecodedView:
    (found,) = decode_click(WALL, CLICK, [seen], segmenter, 1)
    return found


def test_without_a_sensor_the_surface_alone_says_what_is_seen() -> None:
    assert len(decoded(view(), DiscSegmenter()).candidates.seen) == len(WALL)


def test_points_are_seen_where_the_sensor_measured_them() -> None:
    depth_m = np.full((48, 64), WALL_M, np.float32)
    # 1 cm and one percent of 2 m are allowed.
    depth_m[0, :4] = [WALL_M + 0.029, WALL_M + 0.031, WALL_M - 0.031, np.nan]
    seen = decoded(view(depth_m), DiscSegmenter()).candidates.seen
    np.testing.assert_array_equal(seen, [0, *range(4, len(WALL))])


def test_the_surface_alone_says_what_is_seen_amid_an_area_that_the_sensor_cannot_measure() -> None:
    depth_m = np.full((48, 64), WALL_M + 1, np.float32)
    depth_m[10:30, 20:40] = np.nan  # a glossy packet
    depth_m[40, :] = depth_m[:, 50:52] = np.nan  # outlines
    seen = decoded(view(depth_m), DiscSegmenter()).candidates.seen
    u, v = PIXELS[seen].astype(int).T
    assert u.min() == 20 and u.max() == 39 and v.min() == 10 and v.max() == 29
    # 8 pixels at each corner have depth around most of them, as outlines have.
    assert len(seen) == 20 * 20 - 4 * 8


def without(u: slice) -> ClickView:
    """The view, some columns of which are ignored."""
    ignored = np.zeros((48, 64), np.bool_)
    ignored[:, u] = True
    return replace(view(), ignored=lambda: ignored)


def test_ignored_pixels_of_a_view_see_nothing() -> None:
    seen = decoded(without(slice(40, None)), DiscSegmenter()).candidates.seen
    np.testing.assert_array_equal(seen, np.flatnonzero(PIXELS[:, 0] < 40))


def test_a_click_that_falls_on_ignored_pixels_of_a_view_is_not_decoded_there() -> None:
    segmenter = DiscSegmenter()
    assert decode_click(WALL, CLICK, [without(slice(20, 40))], segmenter, 1) == []
    assert segmenter.clicks == []


def test_a_point_that_is_not_on_the_surface_is_decoded_nowhere_but_where_it_was_clicked() -> None:
    segmenter, far = DiscSegmenter(), np.full((1, 3), np.nan, np.float32)
    pixels = np.array([[31.5, 23.5], [60, 40]], np.float32)
    both = np.concatenate([CLICK.points, far])
    prompts = WorldPrompts(both, np.array([True, True]), 0, pixels)
    elsewhere = replace(view(), keyframe_id=1)
    assert len(decode_click(WALL, prompts, [view(), elsewhere], segmenter, 2)) == 2
    assert [len(asked) for asked in segmenter.asked] == [2, 1]
    np.testing.assert_array_equal(segmenter.asked[0], pixels)


def test_a_second_click_falls_in_the_middle_of_what_is_seen_of_the_answer() -> None:
    segmenter = DiscSegmenter()
    first = decoded(view(), segmenter)
    u, v = PIXELS.T
    members = (u >= 40) & (u <= 50) & (v >= 10) & (v <= 20)
    (second,) = decode_again(WALL, members, [first], segmenter)
    np.testing.assert_allclose(segmenter.clicks, [[31.5, 23.5], [45, 15]], atol=1e-3)
    assert second.logits.shape == (2, 48, 64)
    np.testing.assert_array_equal(second.candidates.inside[0], first.candidates.inside[0])
    inside = WALL[second.candidates.seen[second.candidates.inside[1] > 0.5]]
    assert np.linalg.norm(inside - WALL[15 * 64 + 45], axis=1).max() <= 5 / 50 * WALL_M + 1e-4


def test_a_view_that_sees_nothing_of_the_answer_is_left_as_it_is() -> None:
    segmenter = DiscSegmenter()
    first = decoded(view(), segmenter)
    candidates = replace(first.candidates, seen=first.candidates.seen[:100])
    partly = replace(first, candidates=candidates)
    members = np.zeros(len(WALL), np.bool_)
    members[1000:1100] = True
    assert decode_again(WALL, members, [partly], segmenter) == [partly]
