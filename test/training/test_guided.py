import numpy as np
import pytest
import torch

from semantic_field_ros.config import Config, from_dict
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.training.guided import CHUNK_RAYS, GuidedLook

RAYS = CHUNK_RAYS + 100


@pytest.mark.parametrize("known", [slice(0, 50), slice(0, CHUNK_RAYS), slice(RAYS - 1, RAYS)])
def test_depth_may_be_known_in_a_part_of_the_rays_only(known):
    tree = {"field": {"backend": "torch", "grid": {"levels": 2, "log2_entries": 8}}}
    config = from_dict(tree)
    look = GuidedLook(SceneField(config.field, SceneBounds((-1, -1, 0, 1, 1, 2)), 0), config)
    directions = np.tile(np.array([0, 0, 1], np.float32), (RAYS, 1))
    depth_m = np.full(RAYS, np.nan, np.float32)
    depth_m[known] = 1.0
    seen = look.quadrature(np.zeros_like(directions), directions, depth_m)
    assert seen.points.shape == (RAYS, Config().field.samples_with_depth, 3)
    assert bool(seen.depth_m.isfinite().all())


def test_too_little_memory_means_smaller_chunks(monkeypatch):
    tree = {"field": {"backend": "torch", "grid": {"levels": 2, "log2_entries": 8}}}
    config = from_dict(tree)
    guided = GuidedLook(SceneField(config.field, SceneBounds((-1, -1, 0, 1, 1, 2)), 0), config)
    directions = np.random.default_rng(0).uniform(-0.4, 0.4, (1000, 3)).astype(np.float32)
    directions[:, 2] = 1.0
    rays = np.zeros_like(directions), directions, np.full(1000, 1.0, np.float32)
    whole, look, sizes = guided.quadrature(*rays), SceneField.look, []

    def scarce(self, rays, *rest):
        sizes.append(len(rays))
        if len(rays) > 300:
            raise torch.OutOfMemoryError("no room")
        return look(self, rays, *rest)

    monkeypatch.setattr(SceneField, "look", scarce)
    parts = guided.quadrature(*rays)
    assert sizes == [1000, 500, 250, 250, 250, 250]
    for name in ("points", "weights", "depth_m"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    monkeypatch.setattr(SceneField, "look", lambda *a: scarce(a[0], [0] * 301))
    with pytest.raises(torch.OutOfMemoryError):
        guided.quadrature(*rays)
