"""What queries read while training goes on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.field.scene import SceneField
from semantic_field_ros.field.surface_patch import KeyframeDepth
from semantic_field_ros.geometry import world_rays
from semantic_field_ros.semantics.base import FrozenMethod, Imagining, Quadrature
from semantic_field_ros.types import PinholeCamera, SurfaceCloud


@dataclass(frozen=True)
class Snapshot:
    """One version of the map; nothing in it ever changes.

    Attributes:
        map_version: increases with every snapshot, also when another map takes its place.
        stamp_ns: of the newest keyframe in it.
        surface: the visible surface with its semantic features.
        field: a frozen copy of the field's parameters.
        quadrature: where `field` puts the light of rays.
        methods: by name, how each semantic method answers.
        method_ms: mean milliseconds of a step of each semantic method that took one.
        depths: what keyframes see, of which the surface is made; oldest first.
        imagining: the most that any method wants to know of views imagined from this map.
    """

    map_version: int
    stamp_ns: int
    surface: SurfaceCloud
    field: SceneField
    quadrature: Quadrature
    methods: dict[str, FrozenMethod] = dataclasses.field(default_factory=dict)
    method_ms: dict[str, float] = dataclasses.field(default_factory=dict)
    depths: tuple[KeyframeDepth, ...] = ()
    imagining: Imagining = Imagining.NOTHING

    def prepare(self) -> Snapshot:
        """The same, after every method has worked out what all of its answers need.

        A map that is all fog has no surface, and no features of it, to work on.
        """
        if len(self.surface.points):
            for method in self.methods.values():
                method.prepare(self.surface)
        return self

    def depth_at(
        self,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
        pixels: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """(N,) rendered median depth at (N, 2) pixels, metres; NaN in empty space.

        SANeRF-HQ's mean Σ w_i t_i lies between two surfaces where a young map shows both.
        """
        origins, directions = world_rays(camera, world_from_camera, pixels)
        unknown = np.full(len(pixels), np.nan, np.float32)
        along = self.quadrature(np.ascontiguousarray(origins), directions, unknown)
        opacity = along.weights.sum(dim=1).cpu().numpy()
        return np.where(opacity > 0.5, along.depth_m.cpu().numpy(), np.nan).astype(np.float32)
