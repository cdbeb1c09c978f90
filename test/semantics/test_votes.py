import numpy as np
import pytest
import torch

from semantic_field_ros.semantics.votes import LEVELS, SLOTS, VoteMemory
from semantic_field_ros.semantics.voxels import voxel_keys


def _memory(voxels: int) -> tuple[VoteMemory, np.ndarray]:
    votes = VoteMemory(voxel_m=0.1)
    points = np.stack([np.arange(voxels) * 0.1 + 0.05, *[np.full(voxels, 0.05)] * 2], axis=1)
    rows = votes.rows(points.astype(np.float32), np.full(voxels, 0.05, np.float32))
    return votes, rows[:, 0]


def _view(votes: VoteMemory, query: int, seen: np.ndarray, inside: np.ndarray, rate: float = 1.0):
    votes.vote(query, seen, inside, rate)
    votes.saw(seen)


def test_membership_is_hits_out_of_the_views_in_which_the_query_was_matched():
    votes, rows = _memory(4)
    _view(votes, 0, rows, rows[:2])
    _view(votes, 0, rows, rows[:1])
    votes.saw(rows)  # the segmenter missed it: lowers nothing
    np.testing.assert_allclose(votes.membership(rows, 2)[0], [1.0, 0.5, 0.0, 0.0])
    assert (votes.membership(rows, 2)[1] == 0).all()


def test_a_voxel_that_joins_late_owes_the_earlier_views():
    votes, rows = _memory(2)
    _view(votes, 0, rows, rows[:1])
    _view(votes, 0, rows, rows, rate=1.0)
    np.testing.assert_allclose(votes.membership(rows, 1)[0], [1.0, 0.5])


def test_merging_adds_hits_and_trials():
    votes, rows = _memory(3)
    _view(votes, 0, rows, rows[:2])
    _view(votes, 1, rows, rows[1:])
    votes.merge(0, 1)
    table = votes.membership(rows, 2)
    assert table[1].tolist() == [0, 0, 0]
    assert table[0, 0] == 1.0 and table[0, 2] > 0.4 and table[0, 1] > 0.6


def test_the_weakest_claim_gives_way_when_all_slots_are_taken():
    votes, rows = _memory(1)
    _view(votes, 0, rows, rows)
    _view(votes, 0, rows, rows)
    for query in range(1, SLOTS + 2):
        _view(votes, query, rows, rows, rate=0.0)
    assert votes.membership(rows, SLOTS + 2)[0, 0] == 1.0
    assert (votes.query[rows[0]] >= 0).all()


def test_overlap_counts_solid_voxels_shared():
    votes, rows = _memory(4)
    _view(votes, 0, rows, rows[:3])
    _view(votes, 1, rows, rows[2:], rate=0.0)
    shared, size = votes.overlaps(2)
    np.testing.assert_array_equal(shared, [[3, 1], [1, 2]])
    np.testing.assert_array_equal(size, [3, 2])


def test_points_never_seen_belong_to_nothing():
    votes, rows = _memory(2)
    _view(votes, 0, rows, rows)
    far = votes.find(np.array([[9.0, 9.0, 9.0]], np.float32))
    assert far.tolist() == [-1] and votes.membership(far, 1)[0, 0] == 0


def test_a_sample_counts_in_voxels_no_smaller_than_its_spacing():
    votes = VoteMemory(voxel_m=0.1)
    rows = votes.rows(np.zeros((3, 3), np.float32), np.array([0.09, 0.15, 9.0], np.float32))
    assert (rows[0] >= 0).all() and len(set(rows[0])) == LEVELS
    assert rows[1].tolist() == [-1, *rows[0, 1:]]
    assert rows[2].tolist() == [-1] * (LEVELS - 1) + [rows[0, -1]]


def test_a_place_is_read_at_the_smallest_voxel_that_was_seen():
    votes = VoteMemory(voxel_m=0.1)
    here, near, nowhere = np.array([[0.05] * 3, [0.15, 0.05, 0.05], [7, 7, 7]], np.float32)
    spacing_m = np.array([0.19], np.float32)
    _view(votes, 0, (far := votes.rows(here[None], spacing_m))[0, 1:], far[0, 1:])
    both = np.array([here, near, nowhere])
    assert votes.find(both).tolist() == [far[0, 1], far[0, 1], -1]
    rows = votes.rows(both, np.full(3, 0.05, np.float32))
    assert votes.finest_seen(rows).tolist() == [far[0, 1], far[0, 1], -1]
    votes.saw(rows[0])
    assert votes.finest_seen(rows).tolist() == [rows[0, 0], far[0, 1], -1]


def test_beyond_the_bound_what_was_seen_least_is_forgotten():
    votes, rows = _memory(8)
    _view(votes, 0, rows, rows[:4])
    often = rows[2:6]
    _view(votes, 0, often, often[:2])
    known = len(votes.index)
    votes.forget_rare(known)
    assert len(votes.index) == known
    votes.forget_rare(8)
    points = np.stack([np.arange(8) * 0.1 + 0.05, *[np.full(8, 0.05)] * 2], axis=1)
    assert len(votes.index) == len(votes.seen) == len(votes.query) == 6
    found = votes.index.find(voxel_keys(points.astype(np.float32), 0.1))
    assert (found[2:6] >= 0).all()
    np.testing.assert_allclose(votes.membership(found[2:6], 1)[0], [1, 1, 0, 0])


def test_votes_stay_in_the_voxels_in_which_they_were_counted():
    """The first two of a row of 10 cm voxels are claimed; a map of coarser ones takes them."""
    votes, rows = _memory(4)
    _view(votes, 0, rows, rows[:2])
    coarser = VoteMemory(voxel_m=0.2)
    coarser.load_state(votes.state())
    points = np.array([[0.05, 0.05, 0.05], [0.15, 0.05, 0.05], [0.35, 0.05, 0.05]], np.float32)
    assert coarser.voxel_m == 0.1
    assert coarser.membership(coarser.find(points), 1)[0].tolist() == [1.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="voxel_m must be positive, got 0.0"):
        coarser.load_state(votes.state() | {"voxel_m": torch.tensor(0.0)})


def test_state_comes_back_and_a_damaged_one_is_refused():
    votes, rows = _memory(3)
    _view(votes, 2, rows, rows[:2])
    twin = VoteMemory(0.1)
    twin.load_state(votes.state())
    np.testing.assert_array_equal(twin.membership(rows, 3), votes.membership(rows, 3))
    broken = votes.state() | {"hits": votes.state()["hits"][:1]}
    with pytest.raises(ValueError, match="votes/hits"):
        twin.load_state(broken)
