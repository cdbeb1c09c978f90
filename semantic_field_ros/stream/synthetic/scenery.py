"""What is in a world besides its objects: floor, walls, ceiling, the supporting table, clutter."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from semantic_field_ros.stream.synthetic.layout import Pose, Surface, stand
from semantic_field_ros.stream.synthetic.material import Paint, Pattern, parts_of
from semantic_field_ros.stream.synthetic.mesh import (
    Float,
    Mesh,
    Part,
    box,
    cylinder,
    ellipsoid,
    extrude,
    merge,
)
from semantic_field_ros.stream.synthetic.shape import Rng, Shape


@dataclass(frozen=True)
class Item:
    """One instance before it is rendered.

    Attributes:
        category, colour, phrase: what a person calls it.
        is_object: False for walls, floors, supporting tables and nameless clutter.
        mesh: in its own frame.
        pose: from there to the world.
        paints: one per `Part`.
    """

    category: str
    colour: str
    phrase: str
    is_object: bool
    mesh: Mesh
    pose: Pose
    paints: list[Paint]


@dataclass
class Stage:
    """The empty place of a world and what has been put into it.

    Attributes:
        room_half: (2,) half extents of the floor, metres; its middle is the origin.
        room_height_m: from floor to ceiling.
        focus: (3,) middle of the table top, or of the room at table height.
        focus_half: (2,) half extents of what is looked at.
        items: objects first, then surfaces.
    """

    room_half: Float
    room_height_m: float
    focus: Float
    focus_half: Float
    items: list[Item] = field(default_factory=list)


def surface_item(name: str, mesh: Mesh, paint: Paint, category: str = "") -> Item:
    """Something that is no object, already in the world frame."""
    pose = Pose(np.eye(3), np.zeros(3))
    return Item(category or name, "", name, False, mesh, pose, parts_of(paint))


FLOORS = {
    "planks": Paint((0.66, 0.53, 0.4), (0.5, 0.38, 0.27), Pattern.GRAIN, 0.16, (1, 0, 0)),
    "tiles": Paint((0.74, 0.73, 0.7), (0.55, 0.54, 0.52), Pattern.TILES, 0.4),
    "carpet": Paint((0.56, 0.57, 0.6), (0.46, 0.47, 0.51), Pattern.CLOUDS, 0.12),
    "chequered": Paint((0.8, 0.78, 0.73), (0.55, 0.54, 0.53), Pattern.TILES, 0.3),
}
WALLS = {
    "plaster": Paint((0.86, 0.84, 0.79), (0.8, 0.78, 0.73), Pattern.CLOUDS, 0.4),
    "striped": Paint(
        (0.84, 0.85, 0.84), (0.73, 0.76, 0.78), Pattern.STRIPES, 0.22, (0.71, 0.71, 0)
    ),
    "dado": Paint((0.87, 0.86, 0.82), (0.7, 0.73, 0.72), Pattern.TWO_TONE, 0.95),
    "tiled": Paint((0.85, 0.84, 0.84), (0.72, 0.72, 0.74), Pattern.CHECKS, 0.3),
}
TABLE_TOPS = {
    "wooden table": Paint(
        (0.72, 0.57, 0.4), (0.55, 0.41, 0.27), Pattern.GRAIN, 0.09, (0, 1, 0), 0.15
    ),
    "marble table": Paint((0.83, 0.83, 0.82), (0.55, 0.56, 0.59), Pattern.VEINS, 0.22, gloss=0.35),
    "tablecloth": Paint((0.84, 0.8, 0.72), (0.68, 0.64, 0.57), Pattern.CHECKS, 0.09),
    "stone table": Paint((0.6, 0.6, 0.58), (0.47, 0.47, 0.47), Pattern.CLOUDS, 0.03),
}


def shell(stage: Stage, rng: Rng) -> list[Item]:
    """Floor, walls and ceiling."""
    (x, y), height, thick = 2 * stage.room_half, stage.room_height_m, 0.1
    sides = [
        box((x + 2 * thick, thick, height)).moved(0, sign * (y + thick) / 2) for sign in (-1, 1)
    ]
    sides += [box((thick, y, height)).moved(sign * (x + thick) / 2) for sign in (-1, 1)]
    floor = FLOORS[str(rng.choice(list(FLOORS)))]
    wall = WALLS[str(rng.choice(list(WALLS)))]
    skirting = [
        box((x, 0.012, 0.08), Part.SHADE).moved(0, sign * (y / 2 - 0.006)) for sign in (-1, 1)
    ]
    skirting += [
        box((0.012, y, 0.08), Part.SHADE).moved(sign * (x / 2 - 0.006)) for sign in (-1, 1)
    ]
    ceiling = box((x, y, thick)).moved(z=height)
    return [
        surface_item("floor", box((x, y, thick)).moved(z=-thick), floor),
        surface_item("wall", merge(*sides, *skirting), wall),
        surface_item("ceiling", ceiling, Paint((0.9, 0.9, 0.88))),
    ]


def supporting_table(stage: Stage, rng: Rng) -> Item:
    """The rectangular or oval table of a table world, under its focus."""
    name = str(rng.choice(list(TABLE_TOPS)))
    (x, y), height = 2 * stage.focus_half, stage.focus[2]
    if rng.random() < 0.35:
        angle = np.arange(48) * (2 * np.pi / 48)
        rim = np.stack([np.cos(angle) * x / 2 * 1.12, np.sin(angle) * y / 2 * 1.25], axis=1)
        top = extrude(rim, 0.035).moved(z=height - 0.035)
        foot = merge(cylinder(0.05, height - 0.03), cylinder(0.28, 0.03))
        return surface_item(name, merge(top, foot), TABLE_TOPS[name], "table")
    top = box((x, y, 0.035)).moved(z=height - 0.035)
    leg = box((0.06, 0.06, height - 0.03))
    legs = [
        leg.moved(sx * (x / 2 - 0.06), sy * (y / 2 - 0.06)) for sx in (-1, 1) for sy in (-1, 1)
    ]
    return surface_item(name, merge(top, *legs), TABLE_TOPS[name], "table")


def clutter(surface: Surface, rng: Rng) -> list[Item]:
    """A few nameless small things in dull colours."""
    items = []
    for _ in range(int(rng.integers(2, 7))):
        size = rng.uniform(0.008, 0.016)
        mesh = (
            box((size * 1.5, size * 1.5, size)),
            ellipsoid(size, size, size * 0.7).moved(z=size * 0.7),
            cylinder(size, 0.004),
            box((size * 0.6, size * 8, size * 0.6)),
        )[rng.integers(4)]
        pose = stand(surface, Shape(mesh), rng)
        if pose is not None:
            grey = rng.uniform(0.35, 0.75)
            paint = Paint((grey, grey * 0.95, grey * 0.86))
            items.append(replace(surface_item("clutter", mesh, paint), pose=pose))
    return items
