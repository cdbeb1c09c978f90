"""The measurement of a loop closure, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.evaluation.metrics import TrueSurface
from semantic_field_ros.evaluation.reposing import _errors, _with_jump
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5)


def test_the_second_half_is_off_by_30_cm() -> None:
    rgb = np.zeros((6, 8, 3), np.uint8)
    frames = [PosedFrame(i, "head", CAMERA, np.eye(4), rgb) for i in range(5)]
    off_m = [np.linalg.norm(f.world_from_camera[:3, 3]) for f in _with_jump(frames)]
    np.testing.assert_allclose(off_m, [0, 0, 0.3, 0.3, 0.3])


def test_errors_go_both_ways() -> None:
    """Of four true points a metre apart the map has two, 1 and 4 cm beside them."""
    x = np.arange(4, dtype=np.float32)
    true = np.stack([x, 0 * x, 0 * x], axis=1)
    mapped = np.array([[0, 0, 0.01], [1, 0.04, 0]], np.float32)
    field = SimpleNamespace(surface=lambda: SimpleNamespace(points=mapped))
    errors = _errors(field, TrueSurface(true, np.zeros(4, np.int64)))  # type: ignore[arg-type]
    assert errors["surface_mean_m"] == pytest.approx(0.025)
    assert errors["surface_median_m"] == pytest.approx(0.025)
    assert errors["mapped_share"] == 0.25
