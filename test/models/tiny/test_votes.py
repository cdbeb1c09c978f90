"""Votes for the middle of things, against small numbers worked by hand."""

import math

import pytest
import torch

from semantic_field_ros.models.tiny.sam import TinySamConfig, build_tiny_sam
from semantic_field_ros.models.tiny.votes import CentreVotes, positions, vote_loss


def test_positions_are_the_middles_of_two_pixel_squares() -> None:
    where = positions(2, 3, torch.device("cpu"))
    # In units of 32 pixels: the first square's middle lies at pixel corner distance 1.
    torch.testing.assert_close(where[0, 0], torch.tensor([1 / 32, 1 / 32]))
    torch.testing.assert_close(where[1, 2], torch.tensor([5 / 32, 3 / 32]))


def test_agreement_is_a_gaussian_per_radius_and_a_constant() -> None:
    votes = torch.tensor([[[0.0, 0.0], [0.25, 0.0]]])  # 0 and 8 pixels away
    near = CentreVotes(4).agreement(votes, torch.zeros(1, 2))
    assert near.shape == (1, 4, 1, 2)
    torch.testing.assert_close(near[0, :, 0, 0], torch.ones(4))
    expected = [math.exp(-0.5 * (8 / radius) ** 2) for radius in (4, 8, 20)]
    torch.testing.assert_close(near[0, :3, 0, 1], torch.tensor(expected))
    assert near[0, 3, 0, 1] == 1


def test_votes_for_the_right_middle_cost_nothing_and_objects_count_alike() -> None:
    instance = torch.zeros(8, 16, dtype=torch.int32)
    instance[:, :8], instance[:4, 8:] = 1, 2
    where = positions(4, 8, torch.device("cpu"))
    right = where.clone()
    right[:, :4] = torch.tensor([4.0, 4.0]) / 32
    right[:2, 4:] = torch.tensor([12.0, 2.0]) / 32
    objects = torch.tensor([1, 2])
    assert vote_loss(right, instance, objects) == pytest.approx(0, abs=1e-7)
    wrong = right.clone()
    wrong[:2, 4:, 0] += 1.0  # the smaller object, one unit too far: Huber 1 - 0.1 / 2
    # Weights 16 · 1/√16 = 4 and 8 · 1/√8 = √8.
    expected = math.sqrt(8) * 0.95 / (4 + math.sqrt(8))
    assert vote_loss(wrong, instance, objects) == pytest.approx(expected, rel=1e-5)


def test_what_is_no_object_counts_a_tenth_and_the_unknown_not_at_all() -> None:
    instance = torch.zeros(4, 8, dtype=torch.int32)
    instance[:, :4] = 3
    votes = positions(2, 4, torch.device("cpu"))
    votes[:, 2:] += 5.0
    everything = vote_loss(votes, instance, torch.tensor([3]))
    scenery = vote_loss(votes, instance, torch.tensor([9]))
    # Only id 3 is supervised, and a mean over one thing does not depend on its weight.
    assert everything == pytest.approx(float(scenery), rel=1e-5)
    assert everything < 0.1


@pytest.mark.parametrize("pixel", [(100.5, 60.5), (12.0, 200.0), (250.0, 130.0)])
def test_a_prompt_reads_the_vote_under_it(pixel: tuple[float, float]) -> None:
    model = build_tiny_sam(TinySamConfig())
    prompts, decoder = model.prompt_encoder, model.mask_decoder
    for embedding in prompts.point_embeddings:
        torch.nn.init.zeros_(embedding.weight)
    with torch.no_grad():
        sparse, _ = prompts(
            points=(torch.tensor([[pixel]]), torch.ones(1, 1)), boxes=None, masks=None
        )
        cells = prompts.get_dense_pe()[0]
        votes = positions(160, 160, torch.device("cpu"))  # everything votes for itself
        at = decoder.votes.at_prompts(votes, sparse, cells)[0] * 32
    assert math.dist(at.tolist(), pixel) < 8
