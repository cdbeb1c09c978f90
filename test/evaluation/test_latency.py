import numpy as np
import pytest

from semantic_field_ros.evaluation.latency import resampled
from semantic_field_ros.types import SurfaceCloud


def grid(side):
    x, y = (part.ravel() for part in np.meshgrid(np.arange(side), np.arange(side)))
    points = np.stack([x * 0.01, y * 0.01, np.zeros(side**2)], 1).astype(np.float32)
    up = np.tile(np.array([[0, 0, 1]], np.float32), (side**2, 1))
    spacing_m, number = np.full(side**2, 0.01, np.float32), np.arange(side**2)[:, None]
    return SurfaceCloud(points, up, np.zeros(up.shape, np.uint8), spacing_m, {"id": number}, 3)


@pytest.mark.parametrize("count", [40, 100, 250])
def test_the_size_is_exact_and_features_stay_with_their_points(count):
    surface = resampled(grid(10), count)
    assert len(surface.points) == len(surface.rgb) == len(surface.normals) == count
    assert surface.map_version == 3
    original = grid(10).points[surface.features["id"][:, 0]]
    assert np.abs(surface.points - original).max() <= 0.005 + 1e-6  # half the spacing


def test_more_points_are_a_finer_sampling_of_the_same_plane():
    surface = resampled(grid(10), 1000)
    assert set(surface.features["id"][:, 0]) == set(range(100))
    assert (surface.points[:, 2] == 0).all()
    assert len(np.unique(surface.points, axis=0)) == 1000


def test_an_empty_surface_is_refused():
    with pytest.raises(ValueError, match="empty surface"):
        resampled(grid(0), 10)
