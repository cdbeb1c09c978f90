"""Where prompts are worth it: what masks do not explain."""

import numpy as np
import pytest
from numpy.typing import NDArray

from semantic_field_ros.models.details import unexplained_spots

Bools = NDArray[np.bool_]


def picture() -> NDArray[np.uint8]:
    """A blue cabinet before a wall, with a red hat around (205.5, 105.5) on it."""
    image = np.full((240, 320, 3), 200, np.uint8)
    image[40:200, 60:300] = (60, 60, 180)
    image[100:112, 200:212] = (200, 40, 40)
    return image


def cabinet() -> Bools:
    mask = np.zeros((240, 320), np.bool_)
    mask[40:200, 60:300] = True
    return mask


NOTHING = np.zeros((240, 320), np.bool_)


def test_a_small_thing_inside_of_a_mask_is_the_first_spot() -> None:
    spots = unexplained_spots(picture(), [cabinet()], NOTHING, 5)
    assert np.abs(spots[0] - (205.5, 105.5)).max() <= 2
    assert spots.dtype == np.float32


def test_outlines_of_what_was_found_are_no_spots() -> None:
    hat = np.zeros((240, 320), np.bool_)
    hat[100:112, 200:212] = True
    assert unexplained_spots(picture(), [cabinet(), hat], NOTHING, 5).shape == (0, 2)
    # Without masks the cabinet's corners differ from what surrounds them.
    assert len(unexplained_spots(picture(), [], NOTHING, 50)) >= 4


def test_nothing_is_asked_twice() -> None:
    assert unexplained_spots(picture(), [cabinet()], ~NOTHING, 5).shape == (0, 2)


def test_no_more_spots_than_are_wanted() -> None:
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (15, 20, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    assert len(unexplained_spots(image, [], NOTHING, 7)) == 7


@pytest.mark.parametrize("times", [2, 3])
def test_larger_pictures_have_the_same_spots(times: int) -> None:
    small = unexplained_spots(picture(), [cabinet()], NOTHING, 1)[0]
    large = unexplained_spots(
        picture().repeat(times, axis=0).repeat(times, axis=1),
        [cabinet().repeat(times, axis=0).repeat(times, axis=1)],
        NOTHING.repeat(times, axis=0).repeat(times, axis=1),
        1,
    )[0]
    assert np.abs(large / times - small).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (121, 161)])
def test_spots_lie_in_pictures_of_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    whole = np.ones(size, np.bool_)
    spots = unexplained_spots(image, [whole], ~whole, 100)
    assert ((spots >= 0) & (spots <= np.array([size[1] - 1, size[0] - 1]))).all()
