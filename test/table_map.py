"""How the small table of `conftest` is mapped, and what its tests share."""

import time

import numpy as np

from semantic_field_ros.config import (
    Config,
    KeyframesConfig,
    ObjectFieldConfig,
    QueriesConfig,
    SamFeaturesConfig,
    SemanticsConfig,
    TrainingConfig,
)
from semantic_field_ros.types import PinholeCamera, QueryAnswer

CAMERA = PinholeCamera(320, 240, 280.0, 280.0, 159.5, 119.5)
CONFIG = Config(
    keyframes=KeyframesConfig(max_width_px=160),
    training=TrainingConfig(threads=1, snapshot_every_s=1.0),
    semantics=SemanticsConfig(
        sam_features=SamFeaturesConfig(imagined_views=96, pyramid=True),
        object_field=ObjectFieldConfig(steps=40, warm_up_steps=30, rays=256, pair_weight=0.5),
    ),
    queries=QueriesConfig(click_views=3, refined_views=6),
)


def wait_for(condition: object, patience_s: float = 180.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s, "the map did not come about in time"
        time.sleep(0.1)


def iou(first: QueryAnswer, second: QueryAnswer, voxel_m: float = 0.02) -> float:
    """Of the voxels in which the best masks of two answers have points."""
    one, other = (
        {tuple(voxel) for voxel in np.floor(answer.masks[0].points / voxel_m).tolist()}
        for answer in (first, second)
    )
    return len(one & other) / len(one | other)
