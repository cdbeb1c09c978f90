"""A procedural world: what is in it, what a camera sees of it, and where its surfaces are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.geometry import look_at
from semantic_field_ros.stream.synthetic import paths
from semantic_field_ros.stream.synthetic.mesh import Float, Mesh
from semantic_field_ros.stream.synthetic.raycast import Light, Lighting, RayCaster, Shapes, View
from semantic_field_ros.stream.synthetic.scene import Kind, Stage, build_stage
from semantic_field_ros.stream.synthetic.shape import Rng
from semantic_field_ros.types import PinholeCamera

_COARSE = PinholeCamera(32, 24, 28.0, 28.0, 15.5, 11.5)


@dataclass(frozen=True)
class WorldObject:
    """One instance and what it is called.

    Attributes:
        id: instance id in rendered views, from 1.
        category: what it is, e.g. "mug".
        colour: its base colour's name; empty for surfaces and clutter.
        phrase: what a person would ask for, e.g. "red mug".
        is_object: False for floor, walls, ceiling, the table of a table world, and clutter.
    """

    id: int
    category: str
    colour: str
    phrase: str
    is_object: bool


class World:
    """A built world; everything about it is a function of its kind and seed.

    Attributes:
        kind: "table" or "room".
        seed: see `split_of`.
        objects: all instances, objects before surfaces.
    """

    def __init__(self, kind: Kind, seed: int) -> None:
        self.kind: Kind = kind
        self.seed = seed
        self._stage = build_stage(kind, seed)
        lighting = _lighting(self._stage, np.random.default_rng([seed, 1]))
        self._caster = RayCaster(self._stage.items, lighting)
        self.objects: tuple[WorldObject, ...] = tuple(
            WorldObject(index + 1, item.category, item.colour, item.phrase, item.is_object)
            for index, item in enumerate(self._stage.items)
        )

    @property
    def meshes(self) -> dict[int, Mesh]:
        """Meshes in the world frame by instance id."""
        return self._caster.meshes

    def render(self, camera: PinholeCamera, world_from_camera: Float) -> View:
        """What an ideal camera sees from a (4, 4) pose."""
        return self._caster.render(camera, world_from_camera)

    def shapes(self, camera: PinholeCamera, world_from_camera: Float) -> Shapes:
        """What there is before an ideal camera; quicker than what it sees."""
        return self._caster.shapes(camera, world_from_camera)

    def camera_path(self, frames: int, seed_offset: int = 0) -> list[Float]:
        """A robot-like path of (4, 4) world_from_camera poses.

        Args:
            frames: how many poses, at least 1.
            seed_offset: another path through the same world for each value.

        Raises:
            ValueError: there are no frames.
        """
        if frames < 1:
            raise ValueError(f"a path needs at least 1 frame, got {frames}")
        rng = np.random.default_rng([self.seed, 2, seed_offset])
        walk = paths.table_path if self.kind == "table" else paths.room_path
        return walk(self._stage, frames, rng)

    def random_view(self, rng: Rng) -> Float:
        """(4, 4) world_from_camera of a random free viewpoint from which some object is seen.

        Any object is as likely as any other to be looked at, near or far, more or less in the
        middle.
        """
        named = [o.id for o in self.objects if o.is_object]
        for _ in range(50):
            wanted = int(rng.choice(named))
            vertices = self.meshes[wanted].vertices
            low, high = vertices.min(0), vertices.max(0)
            middle, size_m = (low + high) / 2, float(np.linalg.norm(high - low))
            eye = paths.random_eye(self._stage, self.kind, middle, size_m, rng)
            pose = look_at(eye, middle + rng.normal(0, 0.15, 3) * size_m)
            free = self._caster.distance_m(eye[None])[0] > 0.2
            if free and self._share_seen(wanted, pose) > 0.01:
                return pose
        return self.camera_path(16)[rng.integers(16)]

    def _share_seen(self, wanted: int, pose: Float) -> float:
        """The share of a coarse picture that an instance fills."""
        return float((self.shapes(_COARSE, pose).instance == wanted).mean())

    def sample_surface(
        self, count: int, rng: Rng
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Points spread evenly by area over the surfaces of the objects, hidden ones included.

        Args:
            count: how many points.
            rng: source of chance.

        Returns:
            (N, 3) f32 world points and (N,) i32 ids; surfaces with `is_object=False` are left
            out.
        """
        named = [o.id for o in self.objects if o.is_object]
        corners = np.concatenate(
            [self.meshes[i].vertices[self.meshes[i].triangles] for i in named]
        )
        areas = [self.meshes[i].areas() for i in named]
        owner = np.repeat(np.array(named, np.int32), [len(area) for area in areas])
        weight = np.concatenate(areas)
        pick = rng.choice(len(weight), count, p=weight / weight.sum())
        u, v = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
        a, b, c = corners[pick, 0], corners[pick, 1], corners[pick, 2]
        points = (1 - u) * a + u * (1 - v) * b + u * v * c
        return points.astype(np.float32), owner[pick]


def make_world(kind: Kind, seed: int) -> World:
    """Builds a world; see `split_of` for which seeds are for what.

    Raises:
        ValueError: the kind is neither "table" nor "room", or the seed is negative.
    """
    return World(kind, seed)


def _lighting(stage: Stage, rng: Rng) -> Lighting:
    """One to three nearly white lights under the ceiling that share a fixed sum."""
    count = int(rng.integers(1, 4))
    total = rng.uniform(0.46, 0.58)
    shares = np.sort(rng.uniform(0.4, 1, count))[::-1]
    lights = []
    for share in shares / shares.sum():
        spot = rng.uniform(-0.75, 0.75, 2) * stage.room_half
        position = np.array([*spot, stage.room_height_m - rng.uniform(0.15, 0.5)])
        rgb = total * share * (1 + rng.uniform(-0.04, 0.04, 3))
        lights.append(Light(position.astype(np.float32), rgb.astype(np.float32)))
    ambient = rng.uniform(0.58, 0.66) * (1 + rng.uniform(-0.02, 0.02, 3))
    return Lighting(ambient.astype(np.float32), tuple(lights))
