"""Where cameras go: robot-like paths, and random viewpoints for training models."""

from __future__ import annotations

import numpy as np

from semantic_field_ros.geometry import look_at
from semantic_field_ros.stream.synthetic.mesh import Float
from semantic_field_ros.stream.synthetic.scene import Kind, Stage
from semantic_field_ros.stream.synthetic.shape import Rng


def _sway(rng: Rng, phase: Float, low: float, high: float) -> Float:
    """A slow random oscillation between two values over phases in [0, 1]."""
    waves = rng.uniform(1.5, 3.5), rng.uniform(3.5, 6.5)
    start = rng.uniform(0, 2 * np.pi, 2)
    wave = 0.65 * np.sin(2 * np.pi * waves[0] * phase + start[0])
    wave += 0.35 * np.sin(2 * np.pi * waves[1] * phase + start[1])
    return (low + high) / 2 + wave * (high - low) / 2


def table_path(stage: Stage, frames: int, rng: Rng) -> list[Float]:
    """Around the table, most of a circle or all of it, at varying height and distance."""
    phase = np.linspace(0, 1, frames)
    angle = rng.uniform(0, 2 * np.pi) + rng.choice([-1, 1]) * phase * rng.uniform(4.4, 6.6)
    reach = _sway(rng, phase, 0.62, 0.95)
    stretch = stage.focus_half / stage.focus_half.mean()
    height = stage.focus[2] + _sway(rng, phase, 0.38, 0.8)
    eyes = np.stack(
        [reach * np.cos(angle) * stretch[0], reach * np.sin(angle) * stretch[1], height]
    )
    aim = np.stack(
        [
            _sway(rng, phase, -0.3, 0.3) * stage.focus_half[0],
            _sway(rng, phase, -0.3, 0.3) * stage.focus_half[1],
            stage.focus[2] + _sway(rng, phase, -0.02, 0.1),
        ]
    )
    return [look_at(eye, target) for eye, target in zip(eyes.T, aim.T, strict=True)]


def room_path(stage: Stage, frames: int, rng: Rng) -> list[Float]:
    """Two laps inside the room: one looking at the walls nearby, one across the room."""
    phase = np.linspace(0, 1, frames)
    lap = rng.uniform(0, 2 * np.pi) + rng.choice([-1, 1]) * phase * 4 * np.pi
    radius = stage.room_half - _sway(rng, phase, 1.15, 1.35)[:, None]
    eyes = np.stack([np.cos(lap) * radius[:, 0], np.sin(lap) * radius[:, 1]], axis=1)
    eyes = np.column_stack([eyes, _sway(rng, phase, 1.3, 1.55)])
    across = 1 / (1 + np.exp(-(phase - 0.5) * 40))  # turns round between the laps
    heading = lap + np.pi * across + _sway(rng, phase, -0.55, 0.55)
    drop = np.tan(np.radians(_sway(rng, phase, 17, 34)))
    ahead = np.stack([np.cos(heading), np.sin(heading), -drop], axis=1)
    return [look_at(eye, eye + way) for eye, way in zip(eyes, ahead, strict=True)]


def random_eye(stage: Stage, kind: Kind, target: Float, size_m: float, rng: Rng) -> Float:
    """(3,) a place inside the room from which to look at a target of some size."""
    farthest, steepest = (1.25, 70) if kind == "table" else (3.3, 50)
    distance = np.clip(size_m * rng.uniform(2.2, 8), 0.35, farthest)
    rise, turn = np.radians(rng.uniform(8, steepest)), rng.uniform(0, 2 * np.pi)
    level = distance * np.cos(rise)
    eye = target + [level * np.cos(turn), level * np.sin(turn), distance * np.sin(rise)]
    limit = stage.room_half - 0.25
    return np.clip(eye, [*-limit, 0.45], [*limit, 1.9])
