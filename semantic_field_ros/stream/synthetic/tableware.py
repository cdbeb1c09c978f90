"""Builders of vessels, lights and fruit; sizes in metres.

To add a category, write a builder and name it in `TABLEWARE`.
"""

from __future__ import annotations

import numpy as np

from semantic_field_ros.stream.synthetic.mesh import (
    Float,
    Part,
    arc,
    box,
    cylinder,
    ellipsoid,
    lathe,
    merge,
    smooth_curve,
    sphere,
    torus,
    tube,
)
from semantic_field_ros.stream.synthetic.shape import Builder, Rng, Shape


def _shell(bottom: float, top: float, height: float, wall: float) -> Float:
    """Profile of an open conical vessel."""
    return np.array(
        [
            (0, 0),
            (bottom, 0),
            (top, height),
            (top - wall, height),
            (bottom - wall, wall),
            (0, wall),
        ]
    )


def _mug(rng: Rng) -> Shape:
    radius, height = rng.uniform(0.038, 0.046), rng.uniform(0.085, 0.105)
    body = lathe(_shell(radius * rng.uniform(0.85, 1), radius, height, 0.005))
    grip = tube(arc(height * 0.31, -95, 95), 0.0075, (0, 1, 0)).moved(
        radius - 0.004, 0, height / 2
    )
    return Shape(merge(body, grip), falls=True)


def _bowl(rng: Rng) -> Shape:
    radius, height = rng.uniform(0.065, 0.09), rng.uniform(0.05, 0.065)
    angle = np.linspace(0.25, np.pi / 2, 10)
    outer = np.stack([np.sin(angle) * radius, (1 - np.cos(angle)) * height], axis=1)
    inner = outer[::-1] * [0.93, 0.93] + [0, height * 0.07]
    foot = [(0, 0), (radius * 0.4, 0), (radius * 0.4, outer[0, 1])]
    return Shape(lathe(np.concatenate([foot, outer, inner, [(0, inner[-1, 1])]])))


def _plate(rng: Rng) -> Shape:
    r = rng.uniform(0.085, 0.115)
    rim = [(0, 0), (r * 0.6, 0), (r, 0.02), (r, 0.024), (r * 0.62, 0.006), (0, 0.005)]
    return Shape(lathe(rim, 36))


def _bottle(rng: Rng) -> Shape:
    radius, height = rng.uniform(0.033, 0.04), rng.uniform(0.2, 0.25)
    neck = radius * 0.36
    shoulder = smooth_curve(
        [(radius, height * 0.55), (radius * 0.85, height * 0.66), (neck, height * 0.8)], 10
    )
    glass = lathe([(0, 0), (radius, 0), *shoulder, (neck, height * 0.93), (0, height * 0.93)])
    cap = cylinder(neck * 1.25, height * 0.09, Part.METAL).moved(z=height * 0.91)
    return Shape(merge(glass, cap), falls=True)


def _vase(rng: Rng) -> Shape:
    radius, height = rng.uniform(0.055, 0.07), rng.uniform(0.17, 0.22)
    knots = [(0.55, 0), (0.95, 0.22), (1, 0.38), (0.6, 0.66), (0.38, 0.82), (0.75, 1)]
    outer = smooth_curve(np.array(knots) * [radius, height], 22)
    inner = outer[:11:-1] - [0.005, 0]
    return Shape(lathe(np.concatenate([[(0, 0)], outer, inner, [(0, inner[-1, 1])]])))


def _goblet(rng: Rng) -> Shape:
    r, height = rng.uniform(0.038, 0.046), rng.uniform(0.15, 0.18)
    cup = smooth_curve(
        [(0.006, height * 0.5), (r * 0.9, height * 0.68), (r, height * 0.82), (r * 0.85, height)],
        12,
    )
    inner = cup[::-1] - [0.004, 0]
    foot = [(0, 0), (r * 0.85, 0), (r * 0.85, 0.005), (0.008, 0.016), (0.006, height * 0.3)]
    return Shape(lathe(np.concatenate([foot, cup, np.maximum(inner, [0, height * 0.52])])))


def _pan(rng: Rng) -> Shape:
    r, height = rng.uniform(0.08, 0.1), rng.uniform(0.032, 0.042)
    dish = lathe(_shell(r * 0.88, r, height, 0.006), 36)
    rise = [(r - 0.004, 0, height * 0.8), (r + 0.06, 0, height), (r + 0.13, 0, height * 1.1)]
    return Shape(merge(dish, tube(rise, [0.009, 0.011, 0.013], (0, 1, 0), Part.SHADE)))


def _can(rng: Rng) -> Shape:
    r, height = rng.uniform(0.033, 0.04), rng.uniform(0.1, 0.13)
    side = lathe([(r, 0.008), (r, height - 0.01), (r * 0.9, height)])
    foot = lathe([(0, 0), (r * 0.88, 0), (r, 0.008)], part=Part.METAL)
    lid = lathe(
        [
            (r * 0.9, height),
            (r * 0.86, height + 0.002),
            (r * 0.84, height - 0.003),
            (0, height - 0.003),
        ],
        part=Part.METAL,
    )
    tab = box((0.016, 0.009, 0.003), Part.DARK).moved(0.006, 0, height - 0.003)
    return Shape(merge(side, foot, lid, tab), falls=True)


def _teapot(rng: Rng) -> Shape:
    r = rng.uniform(0.058, 0.07)
    height = r * 1.5
    body = ellipsoid(r, r, height / 2, detail=16).moved(z=height / 2)
    lid = lathe([(r * 0.55, 0), (r * 0.45, r * 0.12), (0, r * 0.2)]).moved(z=height * 0.92)
    knob = ellipsoid(r * 0.16, r * 0.16, r * 0.16).moved(z=height + r * 0.14)
    spout_path = smooth_curve(
        [(r * 0.8, 0, height * 0.35), (r * 1.3, 0, height * 0.55), (r * 1.65, 0, height * 0.98)],
        10,
    )
    spout = tube(spout_path, np.linspace(r * 0.28, r * 0.12, 10), (0, 1, 0))
    grip = tube(arc(height * 0.36, 80, 280), r * 0.11, (0, 1, 0)).moved(
        -r * 0.85, 0, height * 0.52
    )
    foot = cylinder(r * 0.6, height * 0.12)
    return Shape(merge(body, lid, knob, spout, grip, foot))


def _candle(rng: Rng) -> Shape:
    radius, height = rng.uniform(0.017, 0.021), rng.uniform(0.12, 0.17)
    dish = lathe([(0, 0), (0.035, 0), (0.055, 0.018), (0.051, 0.018), (0.034, 0.006), (0, 0.006)])
    grip = torus(0.017, 0.005).moved(0.068, 0, 0.022)
    stick = cylinder(radius, height)
    wick = cylinder(0.002, 0.012, Part.DARK).moved(z=height)
    flame = ellipsoid(0.008, 0.008, 0.018, Part.AMBER).moved(z=height + 0.02)
    return Shape(merge(dish, grip, stick, wick, flame))


def _lamp(rng: Rng) -> Shape:
    r, height = rng.uniform(0.07, 0.085), rng.uniform(0.23, 0.28)
    base = lathe([(0, 0), (r * 0.75, 0), (r * 0.75, 0.012), (r * 0.2, 0.03), (0, 0.03)])
    pole = cylinder(0.007, height * 0.8, Part.METAL)
    shade = lathe(
        [(r, height * 0.55), (r * 0.5, height), (r * 0.47, height), (r * 0.97, height * 0.55)]
    )
    bulb = ellipsoid(0.022, 0.022, 0.028, Part.LIGHT).moved(z=height * 0.75)
    return Shape(merge(base, pole, shade, bulb))


def _banana(rng: Rng) -> Shape:
    bend, thick = rng.uniform(0.085, 0.105), rng.uniform(0.019, 0.023)
    path = arc(bend, 20, 150, 18)
    taper = thick * np.clip(np.sin(np.linspace(0.12, np.pi - 0.12, 18)) * 1.6, 0.25, 1)
    fruit = tube(path, taper, (0, 1, 0))
    ends = [sphere(thick * 0.33, Part.DARK).moved(*path[i]) for i in (0, -1)]
    flat = merge(fruit, *ends).turned("x", 90)
    centre = (flat.vertices.max(0) + flat.vertices.min(0)) / 2
    return Shape(flat.moved(-centre[0], -centre[1], thick))


def _apple(rng: Rng) -> Shape:
    r = rng.uniform(0.042, 0.052)
    knots = [(0, 0.12), (0.3, 0), (0.72, 0.35), (1, 1), (0.85, 1.5), (0.45, 1.75), (0, 1.45)]
    flesh = lathe(smooth_curve(np.array(knots) * r, 24))
    stem = tube(
        [(0, 0, r * 1.4), (0.002, 0, r * 1.7), (0.008, 0, r * 2.0)], 0.004, (0, 1, 0), Part.WOOD
    )
    leaf = ellipsoid(0.018, 0.009, 0.003, Part.WOOD).turned("y", -25).moved(0.022, 0, r * 1.9)
    return Shape(merge(flesh, stem, leaf))


def _pear(rng: Rng) -> Shape:
    r = rng.uniform(0.04, 0.048)
    knots = [
        (0, 0.05),
        (0.4, 0),
        (0.95, 0.6),
        (1, 1),
        (0.62, 1.8),
        (0.42, 2.3),
        (0.25, 2.6),
        (0, 2.66),
    ]
    flesh = lathe(smooth_curve(np.array(knots) * r, 26))
    stem = tube(
        [(0, 0, r * 2.6), (0.003, 0, r * 2.9), (0.01, 0, r * 3.2)], 0.004, (0, 1, 0), Part.WOOD
    )
    return Shape(merge(flesh, stem))


TABLEWARE: dict[str, Builder] = {
    "mug": _mug,
    "bowl": _bowl,
    "plate": _plate,
    "bottle": _bottle,
    "vase": _vase,
    "goblet": _goblet,
    "pan": _pan,
    "can": _can,
    "teapot": _teapot,
    "candle": _candle,
    "lamp": _lamp,
    "banana": _banana,
    "apple": _apple,
    "pear": _pear,
}
"""Builders by category."""
