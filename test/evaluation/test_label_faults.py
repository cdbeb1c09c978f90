import numpy as np
import pytest

from semantic_field_ros.evaluation.label_faults import (
    NO_FAULTS,
    Faults,
    regions_of,
    signed_distance,
    wobble,
)


def scene():
    """Two objects 4 px apart and a third far away on a 60x80 image; id 9 is not named."""
    instance = np.zeros((60, 80), np.int32)
    instance[10:30, 10:30], instance[10:30, 34:50] = 1, 2
    instance[40:55, 60:75], instance[50:55, 0:5] = 3, 9
    return instance


NAMED = {1, 2, 3}


def objects(faults, seed=0):
    regions = regions_of(scene(), NAMED, faults, np.random.default_rng(seed))
    return [region for region in regions if region.id != 0]


def test_the_defaults_are_frozen():
    assert Faults() == Faults(2.0, 0.10, 0.10, 0.05, 0.75)


def test_without_faults_the_masks_are_the_truth_and_the_rest_is_background():
    regions = regions_of(scene(), NAMED, NO_FAULTS, np.random.default_rng(0))
    assert [region.id for region in regions] == [1, 2, 3, 0]
    assert all((r.mask == (scene() == r.id)).all() for r in regions[:3])
    assert (regions[3].mask == ~np.isin(scene(), [1, 2, 3])).all()


def test_dropped_objects_become_background():
    regions = regions_of(scene(), NAMED, Faults(0, 1, 0, 0), np.random.default_rng(0))
    assert [region.id for region in regions] == [0]
    assert regions[0].mask.all()


def test_split_masks_are_two_pieces_of_one_object():
    found = objects(Faults(0, 0, 1, 0))
    assert [region.id for region in found] == [1, 1, 2, 2, 3, 3]
    first, second = found[0].mask, found[1].mask
    assert not (first & second).any() and ((first | second) == (scene() == 1)).all()
    assert min(first.sum(), second.sum()) > 100


def test_a_merged_mask_swallows_the_nearest_object():
    found = objects(Faults(0, 0, 0, 1))
    assert (found[0].mask >= np.isin(scene(), [1, 2])).all()
    assert 2 not in [region.id for region in found]


@pytest.mark.parametrize("seed", range(5))
def test_boundaries_wobble_by_at_most_two_pixels(seed):
    mask = scene() == 1
    moved = wobble(mask, 2.0, np.random.default_rng(seed))
    assert (moved != mask).any()
    assert np.abs(signed_distance(mask)[moved != mask]).max() <= 2.0


def test_signed_distance_by_hand():
    row = np.array([[False, True, True, True, False, False]])
    assert signed_distance(row)[0, 0] == -0.5
    assert signed_distance(row)[0, 5] == -1.5


def test_shares_are_met_over_many_views():
    counts = [len(objects(Faults(0, 0.1, 0, 0), seed)) for seed in range(400)]
    assert np.mean(counts) / 3 == pytest.approx(0.9, abs=0.03)
