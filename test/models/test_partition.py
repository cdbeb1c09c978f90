import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_field_ros.models.partition import partition
from semantic_field_ros.types import MaskProposal


def box(size, top, left, bottom, right):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return MaskProposal.from_mask(mask, 0.9)


def test_small_proposals_lie_on_large_ones_and_the_rest_falls_into_pieces():
    size = (6, 7)
    segments = partition([box(size, 2, 3, 4, 5), box(size, 0, 2, 6, 6)], size)
    assert segments.label.tolist() == [
        [2, 2, 0, 0, 0, 0, 3],
        [2, 2, 0, 0, 0, 0, 3],
        [2, 2, 0, 1, 1, 0, 3],
        [2, 2, 0, 1, 1, 0, 3],
        [2, 2, 0, 0, 0, 0, 3],
        [2, 2, 0, 0, 0, 0, 3],
    ]
    assert segments.boxes.tolist() == [[2, 0, 4, 6], [3, 2, 2, 2], [0, 0, 2, 6], [6, 0, 1, 6]]
    assert segments.sides_px().tolist() == [6, 2, 6, 6]
    assert segments.middles_px()[1].tolist() == [3.5, 2.5]


def test_an_image_without_proposals_is_one_segment():
    segments = partition([], (4, 5))
    assert not segments.label.any()
    assert segments.boxes.tolist() == [[0, 0, 5, 4]]


def test_a_proposal_that_others_cover_is_no_segment():
    size = (4, 4)
    halves = [box(size, 0, 0, 4, 2), box(size, 0, 2, 4, 4)]
    segments = partition([box(size, 0, 0, 4, 4), *halves], size)
    assert segments.label.tolist() == [[0, 0, 1, 1]] * 4


def test_proposals_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 5\).*got \(4, 4\)"):
        partition([box((4, 4), 0, 0, 2, 2)], (4, 5))


@given(
    st.lists(
        st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(9, 16)] * 2), min_size=0, max_size=5
    )
)
def test_every_pixel_has_one_segment_that_its_box_holds(boxes):
    segments = partition([box((16, 16), *corners) for corners in boxes], (16, 16))
    assert segments.label.min() == 0 and segments.label.max() == len(segments.boxes) - 1
    for number, (left, top, width, height) in enumerate(segments.boxes):
        v, u = np.nonzero(segments.label == number)
        assert (u.min(), v.min()) == (left, top)
        assert (u.max(), v.max()) == (left + width - 1, top + height - 1)
