"""The bar of imitation on a table that is small in every way."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from semantic_field_ros.config import Config
from semantic_field_ros.evaluation import imitation_bar
from semantic_field_ros.evaluation.comparison import config_for
from semantic_field_ros.evaluation.imitation_bar import Exam, learnt, views_between
from semantic_field_ros.evaluation.run import EvalOptions, Mapped, mapped, open_recording
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)


@pytest.fixture(scope="module")
def built() -> Iterator[Mapped]:
    recording = open_recording(SyntheticSource("table", 5, frames=20, camera=CAMERA))
    config = config_for("sam_features", Config())
    config = replace(config, training=replace(config.training, threads=1))
    how = EvalOptions(steps=150, holdout=5, latency=False)
    with mapped(recording, config, how, lambda *told: None) as built:
        yield built


def test_views_lie_between_keyframes_and_show_the_map(built: Mapped) -> None:
    keyframes = built.field.keyframes()
    views = views_between(built.field, keyframes)
    assert imitation_bar.BETWEEN / 2 < len(views) <= imitation_bar.BETWEEN
    places = np.stack([view.world_from_camera[:3, 3] for view in keyframes])
    for view in views:
        place = view.world_from_camera[:3, 3]
        assert (places.min(axis=0) <= place).all() and (place <= places.max(axis=0)).all()
        assert view.rgb.shape == (120, 160, 3) and view.rgb.std() > 10


def test_an_imitation_learns_from_keyframes_and_from_views_between_them(
    built: Mapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = Exam.of(built.field, built.run.held_out)
    few = built.field.keyframes()[::2]
    between = views_between(built.field, few)
    monkeypatch.setattr(imitation_bar, "LEARNING_STEPS", 2)
    at_first = exam.marks(learnt(built.field, few))
    monkeypatch.setattr(imitation_bar, "LEARNING_STEPS", 100)
    alone, augmented = (exam.marks(learnt(built.field, few, views)) for views in ([], between))
    assert set(alone) == {"captured", "picture", "without"}
    assert alone["captured"] > at_first["captured"] and alone["picture"] > at_first["picture"]
    assert augmented["picture"] != alone["picture"]
    assert alone["without"] == augmented["without"] == at_first["without"]
