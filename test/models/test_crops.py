import numpy as np
import pytest

from semantic_field_ros.models.crops import GREY, segment_crop, square_around


def disk(height, width, v, u, radius):
    rows, columns = np.mgrid[:height, :width]
    return (rows - v) ** 2 + (columns - u) ** 2 <= radius**2


def test_square_is_centred_and_padded():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:34] = True
    assert square_around(mask, padding=0.1) == (26, 9, 12)


def test_square_may_leave_the_image():
    mask = np.zeros((20, 20), bool)
    mask[0:10, 0:2] = True
    left, top, side = square_around(mask, padding=0.0)
    assert (left, top, side) == (-4, 0, 10)


def test_outside_of_the_mask_is_grey_and_inside_is_kept():
    rgb = np.full((60, 80, 3), (200, 10, 10), np.uint8)
    crop = segment_crop(rgb, disk(60, 80, 30, 40, 10), 64)
    assert crop.shape == (64, 64, 3) and crop.dtype == np.uint8
    assert crop[32, 32].tolist() == [200, 10, 10]
    assert crop[0, 0].tolist() == [GREY] * 3


def test_background_can_be_kept_but_not_invented():
    rgb = np.full((60, 80, 3), (200, 10, 10), np.uint8)
    crop = segment_crop(rgb, disk(60, 80, 0, 40, 10), 64, keep_background=True)
    assert crop[60, 2].tolist() == [200, 10, 10]
    assert crop[0, 32].tolist() == [GREY] * 3


def test_one_pixel_is_enough():
    mask = np.zeros((5, 5), bool)
    mask[4, 4] = True
    assert segment_crop(np.zeros((5, 5, 3), np.uint8), mask, 16).shape == (16, 16, 3)


def test_empty_or_misfitting_masks_are_refused():
    rgb = np.zeros((5, 5, 3), np.uint8)
    with pytest.raises(ValueError, match="not empty"):
        segment_crop(rgb, np.zeros((5, 5), bool), 16)
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        segment_crop(rgb, np.ones((4, 5), bool), 16)
