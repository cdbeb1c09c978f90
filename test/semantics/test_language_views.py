import numpy as np

from semantic_field_ros.semantics.language_views import (
    imagined_view,
    language_view,
    largest_first,
    regions_at,
)
from semantic_field_ros.types import MaskProposal


def test_regions_come_largest_first():
    small, large = np.zeros((2, 4, 4), bool)
    small[0], large[:, :2] = True, True
    proposals = [MaskProposal.from_mask(mask, 0.9) for mask in (small, large)]
    assert largest_first(proposals) == [1, 0]
    covered = regions_at(proposals, np.array([[0, 0], [1, 3], [2, 0]]))
    assert covered.tolist() == [[True, False, True], [True, True, False]]
    assert regions_at([], np.zeros((3, 2), int)).shape == (0, 3)


def test_half_of_the_pixels_come_evenly_from_the_proposals(wall):
    view = language_view(wall.keyframe(0, 0.0))
    pick = view.draw(6000, np.random.default_rng(0))
    shares = view.regions[:, pick[:3000]].mean(axis=1)
    np.testing.assert_allclose(shares, 1 / 3, atol=0.04)
    anywhere = view.regions[:, pick[3000:]].mean(axis=1)
    np.testing.assert_allclose(anywhere, view.regions.mean(axis=1), atol=0.04)


def test_a_view_without_proposals_is_drawn_from_anywhere(wall):
    view = imagined_view(wall.camera, np.eye(4), ())
    pick = view.draw(500, np.random.default_rng(0))
    assert len(np.unique(pick)) > 300 and pick.max() < len(view.uv)
    assert np.isnan(view.depth_m).all() and view.dense is None


def test_language_is_sorted_like_the_regions(wall):
    keyframe = wall.keyframe(0, 0.0)
    view = language_view(keyframe)
    sizes = view.regions.sum(axis=1)
    assert (np.diff(sizes) <= 0).all()
    middle = view.regions.argmax(axis=1)
    for own, pixel in zip(view.language, middle, strict=True):
        u, v = view.uv[pixel].astype(int)
        covers = [p.mask()[v, u] for p in keyframe.features.proposals]
        np.testing.assert_array_equal(own, keyframe.features.language[covers.index(True)])
