"""A bare room of 4 m by 4 m with one box in it, and a can on a table, as a map would show them."""

import sys
from pathlib import Path

import numpy as np
import pytest

from semantic_field_ros.geometry import look_at
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.types import PinholeCamera, SurfaceCloud

# `tabletop` beside this file is shared by tests; with importlib mode folders are not on the path.
sys.path.insert(0, str(Path(__file__).parent))

import tabletop

SPACING_M = 0.04
CAMERA = PinholeCamera(64, 48, 40.0, 40.0, 31.5, 23.5)


def sheet(x, y, z):
    """Points of a sheet whose coordinates are numbers or (from, to) pairs."""
    axes = [np.arange(*c, SPACING_M) if isinstance(c, tuple) else np.array([c]) for c in (x, y, z)]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes)], axis=1)


def block(x, y, z):
    """The outside of a block without its underside, and its normals."""
    parts = [
        (sheet(x, y, z[1]), (0, 0, 1)),
        (sheet(x[0], y, z), (-1, 0, 0)),
        (sheet(x[1], y, z), (1, 0, 0)),
        (sheet(x, y[0], z), (0, -1, 0)),
        (sheet(x, y[1], z), (0, 1, 0)),
    ]
    return _joined(parts)


def _joined(parts):
    points = np.concatenate([part for part, _ in parts])
    return points, np.concatenate([np.tile(normal, (len(p), 1)) for p, normal in parts])


class Room:
    """Floor from -2 to 2, of which y > 1.5 was never seen; a box around (1, 0); a wall at x = 0
    from y = -2 to -1 that is 1 m high."""

    sheet = staticmethod(sheet)

    def __init__(self):
        floor = sheet((-2.0, 2.0), (-2.0, 1.5), 0.0)
        floor = floor[(np.abs(floor[:, :2] - [1.0, 0.0]) > 0.2).any(axis=1)]
        box = block((0.8, 1.2), (-0.2, 0.2), (0.0, 0.5))
        wall = block((-0.05, 0.05), (-2.0, -1.0), (0.0, 1.0))
        parts = [(floor, np.tile((0, 0, 1), (len(floor), 1))), box, wall]
        points = np.concatenate([p for p, _ in parts]).astype(np.float32)
        normals = np.concatenate([n for _, n in parts]).astype(np.float32)
        spacing_m = np.full(len(points), SPACING_M, np.float32)
        rgb = np.zeros(points.shape, np.uint8)
        self.surface = SurfaceCloud(points, normals, rgb, spacing_m, map_version=7)
        ends = np.cumsum([len(p) for p, _ in parts])
        self.box = make_mask(
            self.surface, np.arange(ends[0], ends[1]), np.ones(len(box[0])), "box", 1.0
        )

    @staticmethod
    def view(eye, target):
        """A keyframe."""
        return KeyframeView(
            0, 0, 1, "camera", CAMERA, look_at(np.array(eye), np.array(target)), True
        )


@pytest.fixture(scope="package")
def room():
    return Room()


@pytest.fixture(scope="package")
def can():
    """6 cm wide, 12 cm high."""
    return tabletop.scene(tabletop.cylinder(0.03, 0.12))
