"""Builders of toys, tools and other small things; sizes in metres.

To add a category, write a builder and name it in `THINGS`.
"""

from __future__ import annotations

import numpy as np

from semantic_field_ros.stream.synthetic.mesh import (
    Mesh,
    Part,
    arc,
    box,
    cylinder,
    ellipsoid,
    extrude,
    lathe,
    merge,
    smooth_curve,
    sphere,
    torus,
    tube,
)
from semantic_field_ros.stream.synthetic.shape import Builder, Rng, Shape, Support


def _book(rng: Rng) -> Shape:
    x, y, z = rng.uniform(0.13, 0.16), rng.uniform(0.18, 0.22), rng.uniform(0.025, 0.045)
    cover = 0.005
    pages = box((x - 0.012, y - 0.014, z - 2 * cover), Part.LIGHT).moved(0, 0, cover)
    boards = [box((x, y, cover)), box((x, y, cover)).moved(z=z - cover)]
    title = box((x * 0.55, y * 0.12, 0.001), Part.TINT).moved(0, y * 0.22, z)
    spine = box((cover, y, z)).moved(-x / 2)
    return Shape(
        merge(pages, *boards, spine, title), (Support((0, 0, z + 0.001), (x * 0.48, y * 0.48)),)
    )


def _box(rng: Rng) -> Shape:
    x, y, z = rng.uniform(0.09, 0.15), rng.uniform(0.09, 0.13), rng.uniform(0.07, 0.11)
    lid = box((x + 0.008, y + 0.008, z * 0.28)).moved(z=z * 0.72)
    ribbons = [
        box((0.018, y + 0.011, z + 0.002), Part.LIGHT),
        box((x + 0.011, 0.018, z + 0.002), Part.LIGHT),
    ]
    support = Support((0, 0, z + 0.002), (x * 0.49, y * 0.49))
    return Shape(merge(box((x, y, z)), lid, *ribbons), (support,))


def _ball(rng: Rng) -> Shape:
    r = rng.uniform(0.045, 0.065)
    return Shape(ellipsoid(r, r, r, detail=20, segments=36).moved(z=r))


def _clock(rng: Rng) -> Shape:
    r, depth = rng.uniform(0.055, 0.065), 0.042
    drum = cylinder(r, depth, segments=36)
    face = cylinder(r * 0.66, 0.003, Part.LIGHT).moved(z=depth)
    hands = [
        box((0.005, r * 0.5, 0.002), Part.DARK).moved(0, r * 0.25, depth + 0.003),
        box((0.006, r * 0.36, 0.002), Part.DARK)
        .moved(0, r * 0.18, depth + 0.003)
        .turned("z", -110),
    ]
    upright = merge(drum, face, *hands).turned("x", 90).moved(0, depth / 2, r + 0.012)
    extras = []
    for side in (-1, 1):
        bell = ellipsoid(r * 0.32, r * 0.32, r * 0.22).turned("y", side * 35)
        extras.append(bell.moved(side * r * 0.55, 0, 2 * r + 0.008))
        extras.append(cylinder(0.007, 0.03, Part.METAL).moved(side * r * 0.6))
    return Shape(merge(upright, *extras))


def _car(rng: Rng) -> Shape:
    length, width = rng.uniform(0.15, 0.18), rng.uniform(0.065, 0.075)
    side = np.array(
        [
            (-0.5, 0),
            (0.5, 0),
            (0.5, 0.16),
            (0.28, 0.2),
            (0.14, 0.4),
            (-0.24, 0.4),
            (-0.38, 0.2),
            (-0.5, 0.18),
        ]
    )
    body = extrude(side * length, width).moved(z=-width / 2).turned("x", 90)
    glass = np.array([(0.2, 0.22), (0.11, 0.37), (-0.22, 0.37), (-0.31, 0.22)])
    panes = (
        extrude(glass * length, width + 0.004, Part.DARK)
        .moved(z=-width / 2 - 0.002)
        .turned("x", 90)
    )
    body = merge(body, panes).moved(z=0.013)
    wheels = [
        merge(cylinder(0.02, 0.016, Part.DARK), cylinder(0.009, 0.018, Part.METAL))
        .moved(z=-0.008)
        .turned("x", 90 * sy)
        .moved(sx * length * 0.3, -sy * width / 2, 0.02)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return Shape(merge(body, *wheels))


def _duck(rng: Rng) -> Shape:
    s = rng.uniform(0.95, 1.2)
    body = ellipsoid(0.065, 0.045, 0.04).moved(z=0.04)
    tail = ellipsoid(0.03, 0.022, 0.014).turned("y", 35).moved(-0.06, 0, 0.062)
    head = ellipsoid(0.031, 0.03, 0.031).moved(0.045, 0, 0.1)
    beak = ellipsoid(0.02, 0.015, 0.007, Part.AMBER).moved(0.08, 0, 0.095)
    eyes = [sphere(0.005, Part.DARK).moved(0.066, y, 0.112) for y in (-0.018, 0.018)]
    wings = [ellipsoid(0.032, 0.012, 0.02).moved(-0.01, y, 0.052) for y in (-0.04, 0.04)]
    return Shape(merge(body, tail, head, beak, *eyes, *wings).scaled(s))


def _cone(rng: Rng) -> Shape:
    r, height = rng.uniform(0.05, 0.06), rng.uniform(0.15, 0.19)
    foot = box((r * 2.4, r * 2.4, 0.012))
    body = lathe([(r, 0.012), (r * 0.18, height), (0, height)])
    band = lathe(
        [(r * 0.64 + 0.001, 0.45 * height), (r * 0.47 + 0.001, 0.66 * height)], part=Part.LIGHT
    )
    return Shape(merge(foot, body, band))


def _pyramid(rng: Rng) -> Shape:
    r, height = rng.uniform(0.075, 0.095), rng.uniform(0.1, 0.13)
    corners = np.array([(r, 0, 0), (0, r, 0), (-r, 0, 0), (0, -r, 0)], float)
    faces = []
    for i in range(4):
        face = np.array([corners[i], corners[(i + 1) % 4], (0, 0, height)])
        normal = np.cross(face[1] - face[0], face[2] - face[0])
        faces.append((face, np.tile(normal / np.linalg.norm(normal), (3, 1))))
    mesh = Mesh(
        np.concatenate([face for face, _ in faces]).astype(np.float32),
        np.concatenate([normal for _, normal in faces]).astype(np.float32),
        np.arange(12, dtype=np.int32).reshape(4, 3),
        np.zeros(4, np.int8),
    )
    return Shape(merge(mesh, box((r * 1.41, r * 1.41, 0.001)).turned("z", 45)))


def _ring(rng: Rng) -> Shape:
    r, thick = rng.uniform(0.055, 0.07), rng.uniform(0.017, 0.022)
    return Shape(torus(r, thick).turned("x", 90).moved(z=thick))


def _hammer(rng: Rng) -> Shape:
    length = rng.uniform(0.2, 0.24)
    handle = ellipsoid(0.016, 0.016, length / 2).turned("y", 90).moved(0, 0, 0.02)
    head = cylinder(0.019, 0.05, Part.METAL).turned("x", 90).moved(length / 2, 0.01, 0.02)
    claw = lathe([(0, 0), (0.016, 0), (0.008, 0.05), (0, 0.05)], 4, Part.METAL)
    return Shape(merge(handle, head, claw.turned("x", -90).moved(length / 2, 0.01, 0.02)))


def _screwdriver(rng: Rng) -> Shape:
    grip = rng.uniform(0.11, 0.13)
    knots = [(0, 0), (0.9, 0.02), (1, 0.25), (0.8, 0.6), (1, 0.85), (0.7, 1), (0, 1)]
    handle = lathe(np.array(knots) * [0.021, grip])
    shaft = cylinder(0.006, 0.09, Part.METAL).moved(z=grip)
    tip = box((0.012, 0.004, 0.02), Part.METAL).moved(z=grip + 0.085)
    return Shape(merge(handle, shaft, tip).turned("y", 90).moved(-0.1, 0, 0.021))


def _spoon(rng: Rng) -> Shape:
    length = rng.uniform(0.15, 0.18)
    dip = [(0, 0), (0.5, 0.12), (1, 0.55), (0.96, 0.6), (0.5, 0.2), (0, 0.1)]
    bowl = lathe(np.array(dip)).scaled(0.048, 0.034, 0.026)
    path = [(0.044, 0, 0.013), (0.07, 0, 0.02), (length, 0, 0.01)]
    return Shape(merge(bowl, tube(path, [0.008, 0.0085, 0.0105], (0, 1, 0))))


def _laptop(rng: Rng) -> Shape:
    x, y = rng.uniform(0.22, 0.26), rng.uniform(0.15, 0.17)
    base = box((x, y, 0.014))
    keys = box((x * 0.84, y * 0.45, 0.002), Part.SHADE).moved(0, y * 0.14, 0.014)
    pad = box((x * 0.3, y * 0.22, 0.002), Part.TINT).moved(0, -y * 0.28, 0.014)
    lid = merge(
        box((x, 0.01, y)),
        box((x * 0.84, 0.002, y * 0.8), Part.SHADE).moved(0, -0.006, y * 0.1),
    )
    open_lid = lid.turned("x", -rng.uniform(12, 25)).moved(0, y / 2, 0.01)
    return Shape(merge(base, keys, pad, open_lid))


def _hat(rng: Rng) -> Shape:
    r = rng.uniform(0.045, 0.055)
    knots = [(2.05, 0.12), (1.6, 0.05), (1.05, 0.1), (1, 0.3), (0.95, 1.05), (0.6, 1.3), (0, 1.3)]
    felt = lathe(np.array([(1.0, 0.0), (1.6, 0.0), *knots]) * r, 36)
    band = lathe(np.array([(1.03, 0.2), (1.0, 0.5)]) * r, part=Part.SHADE)
    return Shape(merge(felt, band))


def _cactus(rng: Rng) -> Shape:
    height = rng.uniform(0.12, 0.15)
    pot = lathe(
        [(0, 0), (0.03, 0), (0.04, 0.05), (0.036, 0.05), (0.034, 0.044), (0, 0.044)],
        part=Part.WOOD,
    )
    stem = ellipsoid(0.026, 0.026, height / 2 + 0.01).moved(z=0.03 + height / 2)
    arms = []
    for side, level in ((1, 0.5), (-1, 0.35)):
        bent = np.array([(0, 0, 0), (0.03, 0, 0.002), (0.045, 0, 0.014), (0.05, 0, 0.05)])
        arm = tube(smooth_curve(bent, 10), 0.0115, (0, 1, 0))
        top = sphere(0.0115).moved(0.05, 0, 0.05)
        arms.append(merge(arm, top).scaled(side, 1, 1).moved(0, 0, 0.04 + height * level))
    return Shape(merge(pot, stem, *arms))


def _star(rng: Rng) -> Shape:
    r, thick = rng.uniform(0.07, 0.085), rng.uniform(0.025, 0.035)
    angle = np.arange(10) * (2 * np.pi / 10)
    radius = np.where(np.arange(10) % 2 == 0, r, r * 0.45)
    return Shape(
        extrude(np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None], thick)
    )


def _dumbbell(rng: Rng) -> Shape:
    r, half = rng.uniform(0.035, 0.043), rng.uniform(0.06, 0.075)
    weight = lathe(
        [(0, 0), (r * 0.85, 0), (r, 0.008), (r, 0.037), (r * 0.85, 0.045), (0, 0.045)], 8
    )
    ends = [weight.turned("y", 90 * side).moved(side * (half - 0.02), 0, 0) for side in (-1, 1)]
    bar = cylinder(0.013, 2 * half, Part.METAL).moved(z=-half).turned("y", 90)
    return Shape(merge(bar, *ends).turned("x", 22.5).moved(z=r * 0.93))


def _boot(rng: Rng) -> Shape:
    s = rng.uniform(0.95, 1.15)
    shaft = lathe(
        [
            (0, 0.02),
            (0.031, 0.02),
            (0.029, 0.09),
            (0.035, 0.14),
            (0.03, 0.14),
            (0.025, 0.09),
            (0, 0.06),
        ]
    )
    cuff = lathe([(0.034, 0.125), (0.039, 0.128), (0.039, 0.145), (0.034, 0.148)], part=Part.SHADE)
    foot = ellipsoid(0.062, 0.032, 0.034).moved(0.036, 0, 0.036)
    sole = ellipsoid(0.068, 0.036, 0.012, Part.DARK).moved(0.032, 0, 0.012)
    heel = cylinder(0.028, 0.02, Part.DARK)
    return Shape(merge(shaft, cuff, foot, sole, heel).scaled(s))


def _mushroom(rng: Rng) -> Shape:
    r, height = rng.uniform(0.05, 0.062), rng.uniform(0.1, 0.12)
    stem = lathe(
        smooth_curve([(0.024, 0), (0.018, height * 0.3), (0.016, height * 0.65)], 8),
        part=Part.LIGHT,
    )
    dome = smooth_curve([(r, 0), (r * 1.02, 0.012), (r * 0.75, r * 0.62), (0, r * 0.85)], 18)
    cap = lathe([(0, 0.006), *dome]).moved(z=height * 0.62)
    return Shape(merge(stem, cap))


def _bucket(rng: Rng) -> Shape:
    r, height = rng.uniform(0.06, 0.075), rng.uniform(0.1, 0.125)
    pail = lathe([*_walls(r * 0.72, r, height)], 32)
    rim = torus(r, 0.005).turned("x", 90).moved(z=height)
    bail = tube(arc(r * 1.03, 0, 180, 24), 0.004, (0, 1, 0), Part.METAL).turned("x", 35)
    return Shape(merge(pail, rim, bail.moved(z=height)))


def _walls(bottom: float, top: float, height: float) -> list[tuple[float, float]]:
    return [
        (0, 0),
        (bottom, 0),
        (top, height),
        (top - 0.004, height),
        (bottom - 0.004, 0.006),
        (0, 0.006),
    ]


def _house(rng: Rng) -> Shape:
    x, y, z = rng.uniform(0.09, 0.12), rng.uniform(0.075, 0.095), rng.uniform(0.06, 0.08)
    eave, ridge = x * 0.62, x * 0.5
    gable = extrude([(-x / 2, 0), (x / 2, 0), (x / 2, z), (0, z + ridge * 0.8), (-x / 2, z)], y)
    walls = gable.moved(z=-y / 2).turned("x", 90)
    slab = [
        (-eave, z - 0.008),
        (0, z + ridge),
        (eave, z - 0.008),
        (eave, z + 0.006),
        (0, z + ridge + 0.014),
        (-eave, z + 0.006),
    ]
    halves = [[slab[0], slab[1], slab[4], slab[5]], [slab[1], slab[2], slab[3], slab[4]]]
    roof = [
        extrude(half, y + 0.02, Part.SHADE).moved(z=-y / 2 - 0.01).turned("x", 90)
        for half in halves
    ]
    door = box((x * 0.2, 0.003, z * 0.6), Part.DARK).moved(0, -y / 2 - 0.001)
    windows = [
        box((x * 0.18, y + 0.005, z * 0.28), Part.LIGHT).moved(side * x * 0.3, 0, z * 0.45)
        for side in (-1, 1)
    ]
    chimney = box((0.018, 0.018, 0.04)).moved(x * 0.25, 0, z + ridge * 0.45)
    return Shape(merge(walls, *roof, door, *windows, chimney))


def _airplane(rng: Rng) -> Shape:
    s = rng.uniform(0.95, 1.15)
    hull = ellipsoid(0.1, 0.022, 0.022)
    wing = extrude(
        [(-0.03, -0.12), (0.0, -0.12), (0.035, 0), (0.0, 0.12), (-0.03, 0.12), (-0.015, 0)], 0.007
    )
    tail = extrude(
        [(-0.1, -0.045), (-0.08, -0.045), (-0.065, 0), (-0.08, 0.045), (-0.1, 0.045)], 0.006
    )
    fin = extrude([(-0.1, 0), (-0.06, 0), (-0.085, 0.05), (-0.105, 0.05)], 0.006).turned("x", 90)
    glass = ellipsoid(0.02, 0.014, 0.012, Part.DARK).moved(0.055, 0, 0.014)
    wheels = [
        sphere(0.011, Part.DARK).moved(x, y, -0.024)
        for x, y in ((0.03, 0.03), (0.03, -0.03), (-0.07, 0))
    ]
    return Shape(
        merge(hull, wing, tail, fin.moved(0, 0.003, 0.008), glass, *wheels)
        .moved(z=0.035)
        .scaled(s)
    )


THINGS: dict[str, Builder] = {
    "book": _book,
    "box": _box,
    "ball": _ball,
    "clock": _clock,
    "car": _car,
    "duck": _duck,
    "cone": _cone,
    "pyramid": _pyramid,
    "ring": _ring,
    "hammer": _hammer,
    "screwdriver": _screwdriver,
    "spoon": _spoon,
    "laptop": _laptop,
    "hat": _hat,
    "cactus": _cactus,
    "star": _star,
    "dumbbell": _dumbbell,
    "boot": _boot,
    "mushroom": _mushroom,
    "bucket": _bucket,
    "house": _house,
    "airplane": _airplane,
}
"""Builders by category."""
