"""Triangle meshes from boxes, lathes, tubes and extrusions.

Lengths in metres, z up. Every primitive stands on z = 0 unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

CREASE_COSINE = 0.6
"""Neighbouring faces that turn by less than this angle (53 degrees) are shaded as one."""


class Part(IntEnum):
    """What a triangle is painted with: the object's own colour, or a fixed accent."""

    PAINT = 0
    TINT = 1
    SHADE = 2
    METAL = 3
    DARK = 4
    LIGHT = 5
    WOOD = 6
    AMBER = 7


@dataclass(frozen=True)
class Mesh:
    """A triangle soup with its own normals.

    Attributes:
        vertices: (V, 3) f32 metres.
        normals: (V, 3) f32 unit, one per vertex.
        triangles: (T, 3) i32 into the vertices.
        parts: (T,) i8, a `Part` each.
    """

    vertices: NDArray[np.float32]
    normals: NDArray[np.float32]
    triangles: NDArray[np.int32]
    parts: NDArray[np.int8]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """Translated by metres."""
        offset = np.array([x, y, z], np.float32)
        return Mesh(self.vertices + offset, self.normals, self.triangles, self.parts)

    def rotated(self, rotation: Float) -> Mesh:
        """Turned about the origin by a (3, 3) rotation."""
        turn = rotation.T.astype(np.float32)
        return Mesh(self.vertices @ turn, self.normals @ turn, self.triangles, self.parts)

    def turned(self, axis: str, degrees: float) -> Mesh:
        """Turned about the x, y or z axis."""
        return self.rotated(axis_rotation(axis, degrees))

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        """Stretched about the origin; one number stretches all axes."""
        factors = np.array([x, x if y is None else y, x if z is None else z], np.float32)
        normals = self.normals / factors
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        return Mesh(self.vertices * factors, normals, self.triangles, self.parts)

    def areas(self) -> Float:
        """(T,) square metres."""
        a, b, c = (self.vertices[self.triangles[:, i]].astype(np.float64) for i in range(3))
        return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def axis_rotation(axis: str, degrees: float) -> Float:
    """(3, 3) right-handed rotation about the x, y or z axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[i, i], rotation[i, j], rotation[j, i], rotation[j, j] = c, -s, s, c
    return rotation


def merge(*meshes: Mesh) -> Mesh:
    """One mesh that holds all."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate(
            [m.triangles + np.int32(start) for m, start in zip(meshes, starts, strict=True)]
        ),
        np.concatenate([mesh.parts for mesh in meshes]),
    )


def _build(vertices: ArrayLike, normals: ArrayLike, triangles: ArrayLike, part: Part) -> Mesh:
    faces = np.asarray(triangles, np.int32).reshape(-1, 3)
    return Mesh(
        np.asarray(vertices, np.float32).reshape(-1, 3),
        np.asarray(normals, np.float32).reshape(-1, 3),
        faces,
        np.full(len(faces), part, np.int8),
    )


def _strips(strips: int, rows: int, columns: int, wrap: bool) -> NDArray[np.int32]:
    """Triangles of (strips, rows, columns) vertex grids, columns closed in a ring if `wrap`."""
    s, r, c = np.meshgrid(
        np.arange(strips),
        np.arange(rows - 1),
        np.arange(columns if wrap else columns - 1),
        indexing="ij",
    )
    base, following = (s * rows + r) * columns, (c + 1) % columns
    a, b = base + c, base + following
    quads = np.stack([a, b, b + columns, a, b + columns, a + columns], axis=-1)
    return quads.reshape(-1, 3).astype(np.int32)


def box(size: Sequence[float], part: Part = Part.PAINT) -> Mesh:
    """A block of (x, y, z) metres, its bottom face centred on the origin."""
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    vertices, normals = [], []
    for axis in range(3):
        for side in (-1.0, 1.0):
            face = np.zeros((4, 3))
            face[:, axis] = side
            face[:, [(axis + 1) % 3, (axis + 2) % 3]] = signs
            normal = np.zeros(3)
            normal[axis] = side
            vertices.append(face)
            normals.append(np.tile(normal, (4, 1)))
    corners = np.concatenate(vertices) * np.asarray(size) / 2 + [0, 0, size[2] / 2]
    faces = [[f, f + 1, f + 2, f, f + 2, f + 3] for f in range(0, 24, 4)]
    return _build(corners, np.concatenate(normals), faces, part)


def _creased(curve: Float, closed: bool) -> tuple[Float, Float]:
    """Segments (S, 2, 2) of a plane curve and normals at both ends, smooth but at creases."""
    ends = np.concatenate([curve, curve[:1]]) if closed else curve
    ends = ends[np.r_[True, np.linalg.norm(np.diff(ends, axis=0), axis=1) > 1e-7]]
    step = np.diff(ends, axis=0)
    flat = np.stack([step[:, 1], -step[:, 0]], axis=1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    normals = np.stack([flat, flat], axis=1)
    joints = range(0 if closed else 1, len(flat))
    for i in joints:
        if flat[i - 1] @ flat[i] > CREASE_COSINE:
            mean = flat[i - 1] + flat[i]
            normals[i - 1, 1] = normals[i, 0] = mean / np.linalg.norm(mean)
    return np.stack([ends[:-1], ends[1:]], axis=1), normals


def lathe(profile: ArrayLike, segments: int = 28, part: Part = Part.PAINT) -> Mesh:
    """Revolves a (P, 2) profile of (radius, z) about z; walked upwards its outside is right."""
    spans, normals = _creased(np.asarray(profile, float), closed=False)
    angle = np.arange(segments) * (2 * np.pi / segments)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def revolve(values: Float) -> Float:
        radial = values[:, :, None, :1] * ring
        height = np.broadcast_to(values[:, :, None, 1:], (*radial.shape[:-1], 1))
        return np.concatenate([radial, height], axis=-1)

    faces = _strips(len(spans), 2, segments, wrap=True)
    return _build(revolve(spans), revolve(normals), faces, part)


def ellipsoid(
    x: float, y: float, z: float, part: Part = Part.PAINT, detail: int = 12, segments: int = 24
) -> Mesh:
    """Half axes in metres, centred on the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, detail + 1)
    unit = lathe(np.stack([np.cos(angle), np.sin(angle)], axis=1), segments, part)
    return unit.scaled(x, y, z)


def sphere(radius: float, part: Part = Part.PAINT) -> Mesh:
    """Centred on the origin."""
    return ellipsoid(radius, radius, radius, part)


def cylinder(radius: float, height: float, part: Part = Part.PAINT, segments: int = 28) -> Mesh:
    """Standing on the origin, closed."""
    return lathe([(0, 0), (radius, 0), (radius, height), (0, height)], segments, part)


def tube(
    path: ArrayLike,
    radius: ArrayLike,
    plane_normal: Sequence[float],
    part: Part = Part.PAINT,
    closed: bool = False,
) -> Mesh:
    """A round bar along a plane (P, 3) path.

    Args:
        path: centre line, in a plane.
        radius: one radius, or (P,) of them.
        plane_normal: unit normal of that plane.
        part: what it is painted with.
        closed: whether the path ends where it starts (do not repeat the point).
    """
    centres = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radius, float), len(centres))
    if closed:
        centres, radii = np.concatenate([centres, centres[:1]]), np.r_[radii, radii[:1]]
    tangent = np.gradient(centres, axis=0)
    if closed:
        tangent[0] = tangent[-1] = centres[1] - centres[-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side, up = np.cross(tangent, plane_normal), np.asarray(plane_normal, float)
    if not closed:
        centres = np.concatenate([centres[:1], centres, centres[-1:]])
        side = np.concatenate([side[:1], side, side[-1:]])
        radii = np.r_[0.0, radii, 0.0]
    angle = np.arange(12) * (2 * np.pi / 12)
    around = np.cos(angle)[:, None] * side[:, None] + np.sin(angle)[:, None] * up  # [P, 12, 3]
    vertices = centres[:, None] + around * radii[:, None, None]
    return _build(vertices, around, _strips(1, len(centres), 12, wrap=True), part)


def arc(radius: float, start_deg: float, end_deg: float, points: int = 16) -> Float:
    """(points, 3) along a circle in the x-z plane; 0 degrees is +x, 90 is +z."""
    angle = np.radians(np.linspace(start_deg, end_deg, points))
    return np.stack([radius * np.cos(angle), 0 * angle, radius * np.sin(angle)], axis=1)


def torus(radius: float, thickness: float, part: Part = Part.PAINT) -> Mesh:
    """A ring of `thickness` (bar radius) in the x-z plane about the origin."""
    return tube(arc(radius, 0, 360, 33)[:-1], thickness, (0, 1, 0), part, closed=True)


def extrude(outline: ArrayLike, height: float, part: Part = Part.PAINT) -> Mesh:
    """Lifts a closed counter-clockwise (P, 2) outline by `height` and caps it.

    The caps are fans about the mean point, which must see the whole outline.
    """
    curve = np.asarray(outline, float)
    spans, flat = _creased(curve, closed=True)
    levels = np.array([0.0, height])
    shape = (len(spans), 2, 2)  # [S, level, end]
    planar = np.broadcast_to(spans[:, None], (*shape, 2))
    z = np.broadcast_to(levels[:, None], shape)[..., None]
    normals = np.concatenate(
        [np.broadcast_to(flat[:, None], (*shape, 2)), np.zeros((*shape, 1))], axis=-1
    )
    sides = _build(
        np.concatenate([planar, z], axis=-1),
        normals,
        _strips(len(spans), 2, 2, wrap=False),
        part,
    )
    rim = np.concatenate([curve.mean(0, keepdims=True), curve])
    corner = np.arange(len(curve))
    fan = np.stack([0 * corner, corner + 1, (corner + 1) % len(curve) + 1], axis=1)
    caps = [
        _build(
            np.c_[rim, np.full(len(rim), level)], np.tile([0, 0, sign], (len(rim), 1)), fan, part
        )
        for level, sign in ((0.0, -1.0), (height, 1.0))
    ]
    return merge(sides, *caps)


def smooth_curve(points: ArrayLike, samples: int = 24) -> Float:
    """(samples, D) on a cubic spline through the points, evenly in chord length."""
    from scipy.interpolate import PchipInterpolator

    knots = np.asarray(points, float)
    chord = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))]
    return PchipInterpolator(chord, knots)(np.linspace(0.0, chord[-1], samples))
