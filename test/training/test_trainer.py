"""Learning a small analytic scene: a coloured ball on a floor, drawn by formula."""

import numpy as np
import pytest
import torch

from semantic_field_ros.config import (
    Config,
    FieldConfig,
    GridConfig,
    KeyframesConfig,
    TrainingConfig,
)
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.pictures import render_image
from semantic_field_ros.geometry import camera_rays, look_at, pixel_grid
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.optimiser import FINAL_RATE
from semantic_field_ros.training.trainer import Trainer
from semantic_field_ros.types import PinholeCamera, PosedFrame

CAMERA = PinholeCamera(32, 24, 28.0, 28.0, 15.5, 11.5)
BALL, RADIUS = np.array([0.0, 0.0, 0.4]), 0.4
BOUNDS = SceneBounds((-2.0, -2.0, -0.2, 2.0, 2.0, 1.8))


def picture(angle, with_depth=True):
    """What a camera on a circle around the ball sees."""
    eye = np.array([1.6 * np.cos(angle), 1.6 * np.sin(angle), 1.1])
    pose = look_at(eye, np.array([0.0, 0.0, 0.2]))
    rays = camera_rays(CAMERA, pixel_grid(32, 24)).astype(np.float64) @ pose[:3, :3].T
    to_floor = np.where(rays[:, 2] < -1e-3, -eye[2] / np.minimum(rays[:, 2], -1e-3), np.nan)
    a, b = (rays**2).sum(1), ((eye - BALL) * rays).sum(1)
    under = b**2 - a * (((eye - BALL) ** 2).sum() - RADIUS**2)
    to_ball = np.where(under > 0, (-b - np.sqrt(np.maximum(under, 0))) / a, np.nan)
    on_ball = np.isfinite(to_ball)
    depth = np.where(on_ball, to_ball, to_floor).astype(np.float32)
    floor = eye + rays * np.nan_to_num(depth)[:, None]
    tiles = (np.floor(floor[:, 0] * 2) + np.floor(floor[:, 1] * 2)) % 2
    rgb = np.where(tiles[:, None] > 0, [200, 190, 170], [90, 100, 120])
    rgb = np.where(on_ball[:, None], [220, 40, 30], rgb).astype(np.uint8).reshape(24, 32, 3)
    depth = depth.reshape(24, 32)
    return PosedFrame(0, "c", CAMERA, pose, rgb, depth if with_depth else None)


def config(**training):
    return Config(
        keyframes=KeyframesConfig(capacity=16),
        field=FieldConfig(
            grid=GridConfig(levels=5, log2_entries=13, growth=1.6),
            hidden=32,
            occupancy_resolution=32,
            samples_with_depth=12,
            samples_in_free_space=4,
            samples_without_depth=24,
        ),
        training=TrainingConfig(rays=256, **training),
    )


def trainer(with_depth=True, **training):
    setup = config(**training)
    memory = ReplayMemory(setup.keyframes.capacity)
    learner = Trainer(setup, memory, BOUNDS)
    for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        added = memory.add(picture(angle, with_depth))
        learner.add_keyframe(added.keyframe_id, added.slot)
    return learner


def errors(learner):
    truth = picture(0.26)
    seen = render_image(learner.field, CAMERA, truth.world_from_camera)
    colour = float(np.mean((seen.rgb - truth.rgb / 255.0) ** 2))
    return colour, float(np.nanmedian(np.abs(seen.depth_m - truth.depth_m)))


def test_depth_and_colour_are_learned():
    learner = trainer()
    first = learner.step()
    for _ in range(150):
        last = learner.step()
    assert last["colour"] < 0.4 * first["colour"]
    assert last["surface"] < 0.1 * first["surface"]
    colour, depth_m = errors(learner)
    assert colour < 0.025
    assert depth_m < 0.03


def test_colour_alone_is_learned_without_depth():
    learner = trainer(with_depth=False)
    first = learner.step()
    assert set(first) == {"colour", "distortion", "exposure", "haze", "total", "transparency"}
    for _ in range(80):
        last = learner.step()
    assert last["colour"] < 0.8 * first["colour"]


def test_the_same_seed_learns_the_same():
    torch.set_num_threads(1)
    runs = [[learner.step() for _ in range(3)] for learner in (trainer(), trainer())]
    for one, other in zip(*runs, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_the_learning_rate_falls_and_news_lift_it():
    learner = trainer(settle_steps=10)
    assert learner.rate_share() == 1.0
    learner.steps = 10
    assert learner.rate_share() == pytest.approx(0.5)
    learner.steps = 1000
    assert learner.rate_share() == FINAL_RATE
    for keyframe_id in range(12):
        learner.forget_keyframe(keyframe_id)
    learner.add_keyframe(99, 3)
    assert learner.rate_share() == 1.0


def test_nothing_to_learn_from_is_an_error():
    setup = config()
    with pytest.raises(RuntimeError, match="no keyframe"):
        Trainer(setup, ReplayMemory(16), BOUNDS).step()


def test_methods_step_on_a_geometry_that_they_cannot_change():
    class Probe:
        every = 2

        def __init__(self):
            self.seen = []

        def step(self, quadrature):
            origins = np.zeros((3, 3), np.float32) + [[0, 0, 1.5]]
            down = np.tile(np.array([[0.0, 0.3, -1.0]], np.float32), (3, 1))
            depth = np.array([1.5, np.nan, 1.5], np.float32)
            self.seen.append(quadrature(origins.astype(np.float32), down, depth))
            return {"probe": 0.5}

    probe, setup = Probe(), config()
    memory = ReplayMemory(16)
    memory.add(picture(0.0))
    learner = Trainer(setup, memory, BOUNDS, {"probe": probe})
    assert "probe/probe" not in learner.step()
    assert learner.step()["probe/probe"] == 0.5
    (along,) = probe.seen
    assert along.points.shape == (3, 12, 3)
    assert along.weights.shape == (3, 12)
    assert along.depth_m.shape == (3,)
    assert not along.weights.requires_grad


def test_training_goes_on_at_the_rate_and_exposure_at_which_it_was_saved():
    learner = trainer(settle_steps=10)
    for _ in range(15):
        learner.step()
    twin = Trainer(learner.config, learner.memory, BOUNDS)
    twin.load_state(learner.state())
    for view in learner.memory.views():
        twin.add_keyframe(view.keyframe_id, view.slot)
    # All 12 keyframes are 15 steps old: 1 / (1 + 15 / 10).
    assert twin.rate_share() == learner.rate_share() == pytest.approx(0.4)
    assert torch.equal(twin.exposure.log_gain, learner.exposure.log_gain)
    assert learner.exposure.log_gain[:12].abs().min() > 0
    added = twin.memory.add(picture(0.1))
    twin.add_keyframe(added.keyframe_id, added.slot)
    assert twin.rate_share() > 0.4
    assert not twin.exposure.log_gain[added.slot].any()


def test_a_state_whose_parts_do_not_fit_is_refused():
    state = trainer().state()
    with pytest.raises(ValueError, match=r"log_gain must be \(12, 3\), got \(11, 3\)"):
        trainer().load_state(state | {"log_gain": state["log_gain"][1:]})
