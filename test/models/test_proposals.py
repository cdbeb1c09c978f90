import numpy as np
import torch

from semantic_field_ros.models.proposals import (
    ProposalOptions,
    propose_masks,
    suppress,
    uncovered_points,
)

SIZE = (48, 64)
#: shows nothing.
GREY = np.full((*SIZE, 3), 128, np.uint8)


class Oracle:
    """Answers a click with the whole region under it, at a quarter of the resolution."""

    def __init__(self, regions, scores):
        self.regions, self.scores, self.asked = regions, scores, []

    def decode_best(self, embedding, image_size, prompts):
        ids = [int(self.regions[int(p.points_px[0, 1]), int(p.points_px[0, 0])]) for p in prompts]
        self.asked.append(len(ids))
        masks = np.stack([self.shows(self.regions[::4, ::4], i) for i in ids])
        logits = torch.from_numpy(np.where(masks, 8.0, -8.0)).float()
        return logits, torch.tensor([self.scores[i] for i in ids])

    def shows(self, regions, which):
        return regions == which

    def upscale(self, low, image_size):
        return torch.nn.functional.interpolate(low, image_size, mode="nearest")


class Holding(Oracle):
    """Of regions that lie on each other, answers with a region and all that lies on it."""

    def shows(self, regions, which):
        return regions >= which


def three_regions():
    regions = np.zeros(SIZE, int)
    regions[8:24, 8:24] = 1
    regions[28:44, 36:60] = 2
    return regions


def test_every_region_is_found_once_best_first():
    oracle = Oracle(three_regions(), {0: 0.88, 1: 0.98, 2: 0.93})
    found = propose_masks(oracle, np.zeros(1), GREY, ProposalOptions())
    assert [round(p.score, 2) for p in found] == [0.98, 0.93, 0.88]
    areas = [int(p.mask().sum()) for p in found]
    assert areas[:2] == [256, 384]


def test_search_stops_when_all_is_covered():
    oracle = Oracle(three_regions(), {0: 0.88, 1: 0.98, 2: 0.93})
    propose_masks(oracle, np.zeros(1), GREY, ProposalOptions(rounds=5))
    assert len(oracle.asked) < 5


def test_budget_is_kept():
    oracle = Oracle(np.arange(SIZE[0] * SIZE[1]).reshape(SIZE), dict.fromkeys(range(4000), 0.9))
    propose_masks(oracle, np.zeros(1), GREY, ProposalOptions(rounds=2, points=10))
    assert len(oracle.asked) == 2 and max(oracle.asked) <= 10


def test_a_small_thing_on_a_large_one_is_found_where_the_picture_shows_it():
    regions = np.zeros(SIZE, int)
    regions[20:28, 40:48] = 1
    shown = np.where(regions[..., None] == 1, (200, 40, 40), (90, 90, 200)).astype(np.uint8)
    for image, areas in ((GREY, [48 * 64]), (shown, [8 * 8, 48 * 64])):
        oracle = Holding(regions, {0: 0.9, 1: 0.93})
        found = propose_masks(oracle, np.zeros(1), image, ProposalOptions(points=1, details=2))
        assert [int(p.mask().sum()) for p in found] == areas


def test_poor_masks_are_dropped():
    oracle = Oracle(three_regions(), {0: 0.1, 1: 0.9, 2: 0.2})
    found = propose_masks(oracle, np.zeros(1), GREY, ProposalOptions())
    assert len(found) == 1


def test_points_avoid_what_is_covered():
    covered = np.zeros(SIZE, bool)
    covered[:, :32] = True
    points = uncovered_points(covered, 12, np.random.default_rng(0))
    assert 0 < len(points) <= 12
    assert (points[:, 0] >= 32).all()
    assert len(uncovered_points(np.ones(SIZE, bool), 12, np.random.default_rng(0))) == 0


def test_suppress_keeps_the_better_of_two_alike():
    one, other = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    one[:20, :20], other[:20, :19] = True, True
    far = np.zeros(SIZE, bool)
    far[30:, 40:] = True
    assert suppress([one, other, far], [0.5, 0.9, 0.3], overlap=0.8) == [1, 2]
    assert suppress([], [], overlap=0.8) == []
