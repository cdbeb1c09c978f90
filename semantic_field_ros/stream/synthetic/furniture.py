"""Builders of furniture; sizes in metres, the back towards +y.

To add a category, write a builder and name it in `FURNITURE`.
"""

from __future__ import annotations

import numpy as np

from semantic_field_ros.stream.synthetic.mesh import (
    Mesh,
    Part,
    box,
    cylinder,
    ellipsoid,
    lathe,
    merge,
)
from semantic_field_ros.stream.synthetic.shape import Builder, Rng, Shape, Support


def _legs(x: float, y: float, height: float, thick: float, part: Part = Part.PAINT) -> list[Mesh]:
    post = box((thick, thick, height), part)
    return [post.moved(sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)]


def _rounded(x: float, y: float, z: float) -> Mesh:
    """A soft block: a sphere pushed towards a box."""
    mesh = ellipsoid(1, 1, 1, detail=18, segments=32)
    corner = np.abs(mesh.vertices).max(1, keepdims=True) ** 0.88
    puffed = Mesh(mesh.vertices / corner, mesh.normals, mesh.triangles, mesh.parts)
    return puffed.scaled(x / 2, y / 2, z / 2).moved(z=z / 2)


def _chair(rng: Rng) -> Shape:
    w, seat, back = rng.uniform(0.4, 0.46), rng.uniform(0.43, 0.47), rng.uniform(0.85, 0.95)
    half = w / 2 - 0.025
    parts = _legs(half, half, seat, 0.04)
    parts.append(box((w, w, 0.04)).moved(z=seat - 0.02))
    parts += [box((0.04, 0.035, back - seat)).moved(side * half, half, seat) for side in (-1, 1)]
    parts += [box((w, 0.025, 0.08)).moved(0, half, z) for z in (back - 0.08, back - 0.22)]
    return Shape(merge(*parts), (Support((0, -0.02, seat + 0.02), (w * 0.4, w * 0.36), 0.4),))


def _stool(rng: Rng) -> Shape:
    r, height = rng.uniform(0.16, 0.2), rng.uniform(0.45, 0.6)
    seat = lathe([(0, 0), (r, 0), (r, 0.04), (r * 0.93, 0.055), (0, 0.055)], 36)
    legs = []
    for turn in (45, 135, 225, 315):
        leg = cylinder(0.018, height * 1.02, segments=12).turned("y", 10).moved(-r * 0.98, 0, 0)
        legs.append(leg.turned("z", turn))
    top = height + 0.055
    return Shape(merge(seat.moved(z=height), *legs), (Support((0, 0, top), (r * 0.6, r * 0.6)),))


def _sofa(rng: Rng) -> Shape:
    w, d, seat = rng.uniform(1.3, 1.7), rng.uniform(0.75, 0.85), 0.4
    arms = [box((0.16, d, 0.58)).moved(side * (w / 2 - 0.08), 0, 0.06) for side in (-1, 1)]
    back = box((w - 0.3, 0.2, 0.74)).moved(0, d / 2 - 0.1, 0.06)
    inner = (w - 0.32) / 2
    pads = [
        _rounded(inner * 0.995, d - 0.2, 0.2).moved(side * inner / 2, -0.1, seat - 0.17)
        for side in (-1, 1)
    ]
    base = box((w - 0.3, d - 0.05, 0.24)).moved(z=0.06)
    feet = _legs(w / 2 - 0.08, d / 2 - 0.08, 0.06, 0.05, Part.DARK)
    top = seat + 0.03
    supports = tuple(
        Support((side * inner / 2, -0.12, top), (inner * 0.36, d * 0.24), 0.5) for side in (-1, 1)
    )
    return Shape(merge(base, back, *arms, *pads, *feet), supports)


def _table(rng: Rng) -> Shape:
    w, d, height = rng.uniform(0.9, 1.4), rng.uniform(0.6, 0.75), rng.uniform(0.68, 0.76)
    legs = _legs(w / 2 - 0.06, d / 2 - 0.06, height - 0.04, 0.06)
    apron = box((w - 0.1, d - 0.1, 0.07)).moved(z=height - 0.1)
    top = box((w, d, 0.04)).moved(z=height - 0.04)
    return Shape(merge(top, apron, *legs), (Support((0, 0, height), (w * 0.48, d * 0.46)),))


def _cabinet(rng: Rng) -> Shape:
    w, d, height = rng.uniform(0.6, 1.0), rng.uniform(0.4, 0.48), rng.uniform(0.7, 0.95)
    body = box((w, d, height - 0.06)).moved(z=0.06)
    doors = [
        box((w / 2 - 0.04, 0.015, height - 0.14), Part.TINT).moved(side * w / 4, -d / 2, 0.1)
        for side in (-1, 1)
    ]
    knobs = [
        ellipsoid(0.018, 0.018, 0.018, Part.METAL).moved(side * 0.05, -d / 2 - 0.02, height * 0.6)
        for side in (-1, 1)
    ]
    top = box((w + 0.03, d + 0.02, 0.025)).moved(z=height)
    feet = _legs(w / 2 - 0.04, d / 2 - 0.04, 0.06, 0.05, Part.DARK)
    support = Support((0, 0, height + 0.025), (w * 0.48, d * 0.46))
    return Shape(merge(body, top, *doors, *knobs, *feet), (support,))


def _shelf(rng: Rng) -> Shape:
    w, d, height = rng.uniform(0.7, 0.95), rng.uniform(0.28, 0.34), rng.uniform(1.3, 1.6)
    boards, thick = 4, 0.025
    gap = (height - thick - 0.05) / (boards - 1)
    levels = [0.05 + gap * i for i in range(boards)]
    parts = [box((w, d, thick)).moved(z=level) for level in levels]
    parts += [box((thick, d, height)).moved(side * w / 2, 0) for side in (-1, 1)]
    parts.append(box((w, 0.012, height), Part.SHADE).moved(0, d / 2))
    half = (w * 0.46, d * 0.46)
    supports = tuple(Support((0, -0.01, z + thick), half, gap - 0.05) for z in levels)
    return Shape(merge(*parts), supports[:-1])


def _bed(rng: Rng) -> Shape:
    w, d = rng.uniform(0.9, 1.15), rng.uniform(1.75, 1.95)
    frame = box((w, d, 0.2)).moved(z=0.1)
    mattress = box((w - 0.04, d - 0.08, 0.16), Part.LIGHT).moved(z=0.3)
    blanket = box((w + 0.01, d * 0.66, 0.17)).moved(0, -d * 0.17 + 0.005, 0.31)
    head = box((w, 0.06, 0.85)).moved(0, d / 2 - 0.03)
    pillow = _rounded(w * 0.6, 0.34, 0.13).moved(0, d / 2 - 0.27, 0.44)
    feet = _legs(w / 2 - 0.05, d / 2 - 0.05, 0.1, 0.06, Part.DARK)
    lengthwise = merge(frame, mattress, blanket, head, pillow, *feet).turned("z", 90)
    return Shape(lengthwise, (Support((d * 0.17, 0, 0.48), (d * 0.28, w * 0.4)),))


def _cushion(rng: Rng) -> Shape:
    side = rng.uniform(0.32, 0.4)
    return Shape(_rounded(side, side, rng.uniform(0.11, 0.14)))


FURNITURE: dict[str, Builder] = {
    "chair": _chair,
    "stool": _stool,
    "sofa": _sofa,
    "table": _table,
    "cabinet": _cabinet,
    "shelf": _shelf,
    "bed": _bed,
    "cushion": _cushion,
}
"""Builders by category."""
