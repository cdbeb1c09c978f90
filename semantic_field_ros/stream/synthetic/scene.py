"""Deciding what a world contains: tables laid with objects, and furnished rooms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
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
from semantic_field_ros.stream.synthetic.material import object_paint, parts_of
from semantic_field_ros.stream.synthetic.mesh import Mesh
from semantic_field_ros.stream.synthetic.scenery import (
    Item,
    Stage,
    clutter,
    shell,
    supporting_table,
)
from semantic_field_ros.stream.synthetic.shape import Rng, Shape

Kind = Literal["table", "room"]

FLOOR_TOYS = ("ball", "bucket", "box", "boot", "car", "duck", "cone", "dumbbell", "house", "star")
"""Small things that also lie on the floor of a room."""

ROOM_SCALE = 1.4
"""Small things in a room are this much larger, to be seen from across it."""


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
    casting = Casting(rng, seed)
    stacks: list[Surface] = []
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
    stage.items += [supporting_table(stage, rng), *shell(stage, rng), *clutter(top, rng)]
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
    stage.items += shell(stage, rng)
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
