"""The masks that a perfect map of a built-in world would have, and its exact footprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.clicks import views_by_object
from semantic_field_ros.evaluation.ground_truth import WorldTruth, sample_surface, spacing_for
from semantic_field_ros.evaluation.metrics import TrueSurface
from semantic_field_ros.evaluation.relation_questions import Scene
from semantic_field_ros.evaluation.true_relations import Solid, sampled
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.stream.base import stamp_of
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.stream.synthetic.mesh import merge
from semantic_field_ros.types import Mask3D, SurfaceCloud

#: every how many-th frame stands for the keyframes where there is no map.
EVERY = 4
#: what a robot cannot run into.
OVERHEAD = ("floor", "ceiling")
#: footprints are told in cells of this edge, metres, from this many points of the mesh.
FOOTPRINT_M, FOOTPRINT_SAMPLES = 0.01, 40_000


@dataclass(frozen=True)
class TrueMasks:
    """What some views of a world show of its things, without noise.

    Attributes:
        source: the world.
        scene: what can be asked about it.
        true_surface: all that the views saw.
        masks: of each thing that they show well enough, by instance id.
    """

    source: SyntheticSource
    scene: Scene
    true_surface: TrueSurface
    masks: dict[int, Mask3D]

    @cached_property
    def obstacles(self) -> Solid:
        """Everything that a robot can run into."""
        world = self.source.world
        meshes = [world.meshes[o.id] for o in world.objects if o.category not in OVERHEAD]
        return Solid(merge(*meshes), 0)


def true_masks(source: SyntheticSource, stamps: Sequence[int]) -> TrueMasks:
    """The ground truth of the frames with these stamps."""
    truth = WorldTruth(source)
    views = {stamp_ns: truth.at(stamp_ns) for stamp_ns in stamps}
    seen = sorted(set(views_by_object(views)) & set(truth.things))
    solids = {i: Solid(source.world.meshes[i], i) for i in seen}
    spacing_m = spacing_for(views.values())
    surface = sample_surface(views.values(), spacing_m)
    cloud = SurfaceCloud(
        surface.points,
        np.zeros_like(surface.points),
        np.zeros(surface.points.shape, np.uint8),
        np.full(len(surface.points), spacing_m, np.float32),
    )
    masks = {}
    for i in seen:
        members = np.flatnonzero(surface.owner == i)
        ones = np.ones(len(members), np.float32)
        masks[i] = make_mask(cloud, members, ones, str(i), 1.0)
    return TrueMasks(source, Scene(truth.things, solids, views), surface, masks)


def world_masks(kind: str, seed: int) -> TrueMasks:
    """Of a world without a map, from every `EVERY`-th frame of its path."""
    source = SyntheticSource(kind, seed)  # type: ignore[arg-type]
    stamps = [stamp_of(index, source.rate_hz) for index in range(0, source.length, EVERY)]
    return true_masks(source, stamps)


def footprint(source: SyntheticSource, instance: int) -> NDArray[np.float64]:
    """(N, 2) x, y of the centimetre cells that a thing's exact mesh is above."""
    points = sampled(
        source.world.meshes[instance], FOOTPRINT_SAMPLES, np.random.default_rng(instance)
    )
    cells = np.unique(np.floor(points[:, :2] / FOOTPRINT_M), axis=0)
    middles: NDArray[np.float64] = (cells + 0.5) * FOOTPRINT_M
    return middles
