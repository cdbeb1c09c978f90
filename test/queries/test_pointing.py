"""Clicks that point at nothing that counts."""

from dataclasses import replace

import numpy as np
import pytest

from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.queries.base import ClickQuery
from semantic_field_ros.queries.pointing import lift_click
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(8, 6, 7.0, 7.0, 3.5, 2.5)


@pytest.mark.parametrize("pixels", [[[2, 1]], [[0, 0], [3, 5]]])
def test_a_click_on_what_is_ignored_says_so(pixels) -> None:
    ignored = np.zeros((6, 8), np.bool_)
    ignored[:, :4] = True
    frame = PosedFrame(5, "head", CAMERA, np.eye(4), np.zeros((6, 8, 3), np.uint8))
    memory = ReplayMemory(5)
    memory.add(replace(frame, ignored=ignored))
    query = ClickQuery(pixels=np.array(pixels, np.float32))
    answer = lift_click(None, query, memory, {})  # type: ignore[arg-type]
    assert isinstance(answer, str) and "ignored" in answer
