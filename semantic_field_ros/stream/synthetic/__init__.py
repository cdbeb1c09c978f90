"""The built-in world: procedural tables and rooms with exact ground truth.

`make_world(kind, seed)` builds a world, `World.render` shows it to an ideal camera, and
`SyntheticSource` streams it as a noisy sensor would. Data flows shape (`mesh`, `shape`,
`tableware`, `things`, `furniture`) -> names (`catalogue`) -> looks (`material`) -> places
(`layout`, `scenery`, `scene`) -> pictures (`raycast`, `world`) -> stream (`paths`, `source`).

To add a category, write a builder in `tableware`, `things` or `furniture` and name it in that
file's dictionary. To add a colour, add it to `catalogue.COLOUR_HSV`. Both change every world and
which pairs are held out, so the bundled models must be trained again.
"""

from semantic_field_ros.stream.synthetic.catalogue import (
    CATEGORIES,
    COLOURS,
    HELD_OUT_PAIRS,
    split_of,
)
from semantic_field_ros.stream.synthetic.raycast import Shapes, View
from semantic_field_ros.stream.synthetic.source import SensorNoise, SyntheticSource
from semantic_field_ros.stream.synthetic.world import World, WorldObject, make_world

__all__ = [
    "CATEGORIES",
    "COLOURS",
    "HELD_OUT_PAIRS",
    "SensorNoise",
    "Shapes",
    "SyntheticSource",
    "View",
    "World",
    "WorldObject",
    "make_world",
    "split_of",
]
