"""Deciding what a world contains: tables laid with objects, and furnished rooms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from semantic_field_ros.stream.synthetic.catalogue import (
    BUILDERS,
    COLOURS,
    HELD_OUT_PAIRS,
    SMALL_CATEGORIES,
    split_of,
)
from semantic_field_ros.stream.synthetic.layout import (
    Pose,
    Surface,
    against_wall,
    stand,
    surfaces_of,
)
from semantic_field_ros.stream.synthetic.material import (
    Paint,
    Pattern,
    object_paint,
    parts_of,
)
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

Kind = Literal["table", "room"]

FLOOR_TOYS = ("ball", "bucket", "box", "boot", "car", "duck", "cone", "dumbbell", "house", "star")
"""Small things that also lie on the floor of a room."""

ROOM_SCALE = 1.4
"""Small things in a room are this much larger, to be seen from across it."""


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


class Casting:
    """Draws categories and colours so that a scene is neither trivial nor ambiguous.

    The second object shares the first one's category and the third shares the second one's
    colour; no (colour, category) appears twice; held-out pairs appear in test seeds only.
    """

    def __init__(self, rng: Rng, seed: int) -> None:
        self._rng = rng
        self._banned = set() if split_of(seed) == "test" else set(HELD_OUT_PAIRS)
        self.chosen: list[tuple[str, str]] = []

    def draw(self, categories: tuple[str, ...]) -> tuple[str, str]:
        """The next (colour, category); call `keep` once it has found a place."""
        colours, kinds = COLOURS, categories
        if len(self.chosen) == 1:
            kinds = (self.chosen[0][1],)
        if len(self.chosen) == 2:
            colours = (self.chosen[1][0],)
        pair = self._pick(colours, kinds) or self._pick(COLOURS, categories)
        if pair is None:
            raise RuntimeError(f"every colour of {categories} is taken, offer more categories")
        return pair

    def _pick(self, colours: Iterable[str], kinds: Iterable[str]) -> tuple[str, str] | None:
        pairs = {(colour, kind) for colour in colours for kind in kinds}
        free = sorted(pairs - self._banned - set(self.chosen))
        return free[self._rng.integers(len(free))] if free else None

    def keep(self, pair: tuple[str, str]) -> None:
        """Books a pair that has found a place."""
        self.chosen.append(pair)


def _item(pair: tuple[str, str], mesh: Mesh, pose: Pose, rng: Rng) -> Item:
    colour, category = pair
    x, y, z = (float(extent) for extent in np.ptp(mesh.vertices, axis=0))
    paints = parts_of(object_paint(colour, (x, y, z), rng))
    return Item(category, colour, f"{colour} {category}", True, mesh, pose, paints)


def _scenery(name: str, mesh: Mesh, paint: Paint, category: str = "") -> Item:
    pose = Pose(np.eye(3), np.zeros(3))
    return Item(category or name, "", name, False, mesh, pose, parts_of(paint))


def _scaled(shape: Shape, factor: float) -> Shape:
    supports = tuple(
        replace(
            s,
            centre=(s.centre[0] * factor, s.centre[1] * factor, s.centre[2] * factor),
            half=(s.half[0] * factor, s.half[1] * factor),
        )
        for s in shape.supports
    )
    return Shape(shape.mesh.scaled(factor), supports, shape.falls)


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


def _shell(stage: Stage, rng: Rng) -> list[Item]:
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
        _scenery("floor", box((x, y, thick)).moved(z=-thick), floor),
        _scenery("wall", merge(*sides, *skirting), wall),
        _scenery("ceiling", ceiling, Paint((0.9, 0.9, 0.88))),
    ]


def _table(stage: Stage, rng: Rng) -> Item:
    name = str(rng.choice(list(TABLE_TOPS)))
    (x, y), height = 2 * stage.focus_half, stage.focus[2]
    if rng.random() < 0.35:
        angle = np.arange(48) * (2 * np.pi / 48)
        rim = np.stack([np.cos(angle) * x / 2 * 1.12, np.sin(angle) * y / 2 * 1.25], axis=1)
        top = extrude(rim, 0.035).moved(z=height - 0.035)
        foot = merge(cylinder(0.05, height - 0.03), cylinder(0.28, 0.03))
        return _scenery(name, merge(top, foot), TABLE_TOPS[name], "table")
    top = box((x, y, 0.035)).moved(z=height - 0.035)
    leg = box((0.06, 0.06, height - 0.03))
    legs = [
        leg.moved(sx * (x / 2 - 0.06), sy * (y / 2 - 0.06)) for sx in (-1, 1) for sy in (-1, 1)
    ]
    return _scenery(name, merge(top, *legs), TABLE_TOPS[name], "table")


def _clutter(surface: Surface, rng: Rng) -> list[Item]:
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
            items.append(replace(_scenery("clutter", mesh, paint), pose=pose))
    return items


def _cast_onto(
    surfaces: list[Surface],
    casting: Casting,
    categories: tuple[str, ...],
    rng: Rng,
    scale: float = 1.0,
    spread: float = 1.0,
) -> tuple[Item, list[Surface]] | None:
    """Draws one object and stands it on a random surface; also returns its own surfaces."""
    pair = casting.draw(categories)
    shape = _scaled(BUILDERS[pair[1]](rng), scale)
    for index in rng.permutation(len(surfaces))[:4]:
        pose = stand(surfaces[index], shape, rng, spread)
        if pose is not None:
            casting.keep(pair)
            return _item(pair, shape.mesh, pose, rng), surfaces_of(shape, pose)
    return None


def table_stage(seed: int, rng: Rng) -> Stage:
    """A table with 10 to 20 objects in a small bare room."""
    half = np.array([rng.uniform(0.42, 0.55), rng.uniform(0.34, 0.42)])
    focus = np.array([0.0, 0.0, rng.uniform(0.68, 0.78)])
    stage = Stage(rng.uniform(1.5, 1.9, 2), 2.5, focus, half)
    top = Surface(focus, 0.0, half - 0.01)
    casting, stacks = Casting(rng, seed), []
    wanted = int(rng.integers(10, 21))
    for _ in range(6 * wanted):
        if len(stage.items) == wanted:
            break
        on_top = bool(stacks) and rng.random() < 0.2
        found = _cast_onto(
            stacks if on_top else [top], casting, SMALL_CATEGORIES, rng, spread=0.85
        )
        if found is not None:
            stage.items.append(found[0])
            stacks += found[1]
    stage.items += [_table(stage, rng), *_shell(stage, rng), *_clutter(top, rng)]
    return stage


def _furnish(stage: Stage, floor: Surface, casting: Casting, rng: Rng) -> list[Surface]:
    """Furniture along the walls; returns the places where things can stand."""
    plan = ["table", "table", "cabinet", "shelf", "sofa", "bed", "cabinet", "shelf", "table"]
    extra = ["cabinet", "chair", "stool", "shelf", "table", "chair", "stool"]
    surfaces: list[Surface] = []
    for category in [*plan[: rng.integers(6, 10)], *rng.choice(extra, 5)]:
        pair = casting.draw((str(category),))
        shape = BUILDERS[pair[1]](rng)
        pose = against_wall(floor, shape, rng)
        if pose is not None:
            casting.keep(pair)
            stage.items.append(_item(pair, shape.mesh, pose, rng))
            surfaces += surfaces_of(shape, pose)
    return surfaces


def room_stage(seed: int, rng: Rng) -> Stage:
    """A furnished room with at least 20 objects."""
    half = np.array([rng.uniform(2.0, 2.5), rng.uniform(1.8, 2.2)])
    stage = Stage(half, 2.6, np.array([0.0, 0.0, 0.7]), half)
    floor = Surface(np.zeros(3), 0.0, half)
    casting = Casting(rng, seed)
    surfaces = _furnish(stage, floor, casting, rng)
    wanted = len(stage.items) + int(rng.integers(16, 23))
    sofas = ("cushion", *SMALL_CATEGORIES)
    for _ in range(6 * wanted):
        if len(stage.items) == wanted:
            break
        low = rng.random() < 0.22
        places, names = (
            ([floor], (*FLOOR_TOYS, "chair", "stool", "cushion")) if low else (surfaces, sofas)
        )
        found = _cast_onto(places, casting, names, rng, ROOM_SCALE, 0.95)
        if found is not None:
            stage.items.append(found[0])
    stage.items += _shell(stage, rng)
    return stage


def build_stage(kind: Kind, seed: int) -> Stage:
    """The contents of a world, a function of `kind` and `seed` only.

    Raises:
        ValueError: the kind is neither "table" nor "room", or the seed is negative.
    """
    builders = {"table": (table_stage, 10), "room": (room_stage, 20)}
    if kind not in builders:
        raise ValueError(f'kind must be "table" or "room", got {kind!r}')
    split_of(seed)
    build, least = builders[kind]
    for attempt in range(20):
        stage = build(seed, np.random.default_rng([seed, len(kind), attempt]))
        if sum(item.is_object for item in stage.items) >= least:
            return stage
    raise RuntimeError(f"no layout of {least} objects found for {kind} {seed}")
