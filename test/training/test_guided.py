import numpy as np
import pytest

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
