from dataclasses import replace

import numpy as np
import torch

from semantic_field_ros.config import GridConfig, SamFeaturesConfig
from semantic_field_ros.semantics.base import RayQuadrature
from semantic_field_ros.semantics.feature_head import FeatureHead, cross_scale_loss
from semantic_field_ros.semantics.feature_maps import RayMap

CONFIG = SamFeaturesConfig(GridConfig(levels=2, log2_entries=8), hidden=8)


def test_cross_scale_loss_by_hand():
    # Two cells of the first scale, one of the second. True cosines: (1, 0) with (1, 0) is 1 and
    # (0, 2) with (1, 0) is 0; predicted: (3, 0) with (0, 1) is 0 and (1, 1) with (0, 1) is √½.
    true = [torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0]])]
    predicted = [torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 1.0]])]
    assert torch.isclose(cross_scale_loss(predicted, true), torch.tensor((1 + 0.5) / 2))
    assert cross_scale_loss(true, true) == 0


def test_every_pair_of_scales_counts_once_and_scales_of_other_widths_do_not():
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    # (one, one), (one, other) and (one, other): the last two are off by 1 each.
    assert cross_scale_loss([one, one, other], [one, one, one]) == 2
    assert cross_scale_loss([one, torch.ones(1, 3)], [one, torch.ones(1, 3)]) == 0


def rays(count: int) -> RayMap:
    zeros = np.zeros((count, 3), np.float32)
    return RayMap(
        (1, count),
        1,
        zeros,
        zeros,
        place=zeros[:, :2],
        rotation=np.eye(3, dtype=np.float32),
        cell_share=0.1,
        depth_m=zeros[:, 0],
        counts=np.ones(count, np.bool_),
    )


def test_vectors_of_the_world_are_turned_into_the_camera_and_measured_in_cells():
    head = FeatureHead(CONFIG, lambda points: points, "torch", (3,), 0)
    with torch.no_grad():
        head.vectors.weight.zero_()
        head.vectors.weight[0, 0] = head.vectors.weight[5, 1] = 1.0
    # The first vector is (seen 0, 0, 0) and the second (0, 0, seen 1), in lengths of 0.2 m. The
    # camera's x is the world's y, its y the world's z and its z the world's x.
    world_from_camera = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    seen = torch.zeros((2, head.encoder.output_dim))
    seen[:, 0], seen[:, 1] = 3.0, 0.5
    near, far = head.vectors_in_cells(seen, world_from_camera, torch.tensor([[0.02], [0.04]]))
    torch.testing.assert_close(near[:6].tolist(), [0.0, 0.0, 30.0, 0.0, 5.0, 0.0])
    torch.testing.assert_close(far, near / 2)


def test_light_samples_are_left_out_and_heavy_ones_are_not():
    head = FeatureHead(CONFIG, lambda points: points, "torch", (3,), 0)
    torch.nn.init.normal_(head.encoder.table)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand((4, 9, 3), generator=generator)
    weights = torch.zeros((4, 9))
    weights[:, [1, 4]] = torch.tensor([0.7, 0.3])
    depth_m = torch.ones(4)
    whole = head(rays(4), RayQuadrature(points, weights, depth_m), 0)
    only = RayQuadrature(points[:, [1, 4]], weights[:, [1, 4]], depth_m)
    assert whole.shape == (3, 1, 4)
    torch.testing.assert_close(head(rays(4), only, 0), whole)


def test_several_rays_of_a_cell_become_its_features():
    head = FeatureHead(replace(CONFIG, rays_per_cell=2), lambda points: points, "torch", (3,), 0)
    fine = replace(rays(8), size=(1, 2), per_cell=2)
    along = RayQuadrature(torch.rand((8, 1, 3)), torch.ones((8, 1)), torch.ones(8))
    assert head(fine, along, 0).shape == (3, 1, 2)


def test_a_ray_is_stopped_where_half_of_its_weight_is_reached():
    points = torch.arange(12.0).reshape(1, 4, 3).expand(5, -1, -1)
    weights = torch.tensor(
        [
            [0.1, 0.2, 0.3, 0.4],  # 0.6 of 1 after the third, though the fourth is the heaviest
            [0.5, 0.1, 0.1, 0.3],
            [0.0, 0.1, 0.3, 0.0],  # lets most of the light through
            [0.0, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],
        ]
    )
    stopped = RayQuadrature(points, weights, torch.arange(5.0)).stopped()
    assert stopped.points[:, :, 0].tolist() == [[6.0], [0.0], [6.0], [9.0], [0.0]]
    assert stopped.points.shape == (5, 1, 3) and stopped.weights.tolist() == [[1.0]] * 5
    assert stopped.depth_m.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_on_a_surface_a_ray_has_the_features_of_one_point():
    """Eq. 7, with the same weights as eq. 6."""
    light = FeatureHead(CONFIG, lambda points: points, "torch", (3,), 0)
    torch.nn.init.normal_(light.encoder.table)
    surface = FeatureHead(replace(CONFIG, surface=True), lambda points: points, "torch", (3,), 0)
    surface.load_state_dict(light.state_dict())
    points = torch.rand((4, 3, 3), generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[0.2, 0.5, 0.2]]).expand(4, -1)
    along = RayQuadrature(points, weights, torch.ones(4))
    one = RayQuadrature(points[:, 1:2], torch.ones((4, 1)), torch.ones(4))
    torch.testing.assert_close(surface(rays(4), along, 0), light(rays(4), one, 0))
    assert not torch.allclose(surface(rays(4), along, 0), light(rays(4), along, 0), atol=1e-2)


def test_a_surface_point_per_ray_is_rendered_like_light_around_it():
    """Where all light comes from one place, eqs. 6 and 7 agree."""
    head = FeatureHead(CONFIG, lambda points: points, "torch", (3,), 0)
    torch.nn.init.normal_(head.encoder.table)
    surface = torch.rand((4, 1, 3), generator=torch.Generator().manual_seed(0))
    near = surface + 1e-5 * torch.arange(-1, 2)[:, None]
    weights = torch.tensor([[0.2, 0.5, 0.3]]).expand(4, -1)
    by_point = head(rays(4), RayQuadrature(surface, torch.ones((4, 1)), torch.ones(4)), 0)
    by_light = head(rays(4), RayQuadrature(near, weights, torch.ones(4)), 0)
    torch.testing.assert_close(by_point, by_light, atol=1e-3, rtol=1e-3)
