"""Pictures of the built-in world for training the bundled models.

One folder per split; per world three files: `NAME.rgb.npy` (V, H, W, 3) u8, `NAME.instance.npy`
(V, H, W) i16 with 0 = nothing, and `NAME.json` with what the ids are. Worlds are written whole
and only where missing, so the program can be killed, resumed, and run while a training reads.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.types import PinholeCamera

logger = logging.getLogger(__name__)

CAMERA = PinholeCamera(320, 240, 277.0, 277.0, 159.5, 119.5)
ROOM_SHARE = 0.3
FIRST_TRAIN_SEED, FIRST_VALIDATION_SEED = 2000, 1000


@dataclass(frozen=True)
class Thing:
    """What one instance id of a picture is; see `WorldObject` of the built-in world."""

    id: int
    category: str
    colour: str
    phrase: str
    is_object: bool


@dataclass(frozen=True)
class Pictures:
    """The views of one world: rgb (V, H, W, 3) u8, instance (V, H, W) i16, things by id."""

    name: str
    rgb: NDArray[np.uint8]
    instance: NDArray[np.int16]
    things: dict[int, Thing]


def kind_of(seed: int) -> Literal["table", "room"]:
    """Which kind of world a seed of the training data is: rooms are every third or so."""
    return "room" if (seed * 2654435761 % 1000) / 1000 < ROOM_SHARE else "table"


def render_world(seed: int, views: int) -> Pictures:
    """Renders `views` random views of the world of `seed`."""
    from semantic_field_ros.stream.synthetic import make_world

    kind = kind_of(seed)
    world = make_world(kind, seed)
    rng = np.random.default_rng(seed)
    shots = [world.render(CAMERA, world.random_view(rng)) for _ in range(views)]
    things = {
        o.id: Thing(o.id, o.category, o.colour, o.phrase, o.is_object) for o in world.objects
    }
    return Pictures(
        f"{kind}_{seed:06d}",
        np.stack([shot.rgb for shot in shots]),
        np.stack([shot.instance for shot in shots]).astype(np.int16),
        things,
    )


def write_pictures(folder: Path, pictures: Pictures) -> None:
    """Writes one world; the json comes last and marks it complete."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, array in (("rgb", pictures.rgb), ("instance", pictures.instance)):
        np.save(folder / f"{pictures.name}.{part}.npy", array)
    text = json.dumps([asdict(thing) for thing in pictures.things.values()])
    partial = folder / f"{pictures.name}.json.partial"
    partial.write_text(text)
    os.replace(partial, folder / f"{pictures.name}.json")


def read_pictures(path: Path) -> Pictures:
    """Maps the world whose json is at `path` into memory."""
    stem = path.with_suffix("")
    things = [Thing(**entry) for entry in json.loads(path.read_text())]
    return Pictures(
        stem.name,
        np.load(f"{stem}.rgb.npy", mmap_mode="r"),
        np.load(f"{stem}.instance.npy", mmap_mode="r"),
        {thing.id: thing for thing in things},
    )


class PictureStore:
    """A growing folder of worlds; `refresh` picks up what was written since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.worlds: dict[str, Pictures] = {}
        self._kinds: list[list[str]] = []
        self.refresh()
        if not self.worlds:
            raise ValueError(f"no pictures in {folder}; run semantic_field_ros.models.tiny.data")

    def refresh(self) -> int:
        """Maps new worlds; returns how many there are now."""
        for path in sorted(self.folder.glob("*.json")):
            if path.stem not in self.worlds:
                self.worlds[path.stem] = read_pictures(path)
        by_kind = [[n for n in self.worlds if n.startswith(kind)] for kind in ("table", "room")]
        self._kinds = [names for names in by_kind if names]
        return len(self.worlds)

    def draw(self, rng: np.random.Generator) -> tuple[Pictures, int]:
        """A random world and one of its views; tables and rooms come equally often."""
        names = self._kinds[rng.integers(len(self._kinds))]
        pictures = self.worlds[names[rng.integers(len(names))]]
        return pictures, int(rng.integers(len(pictures.rgb)))


def generate(folder: Path, first_seed: int, worlds: int, views: int, stride: int = 1) -> None:
    """Renders every `stride`-th of `worlds` worlds from `first_seed` that are not there yet."""
    for index, seed in enumerate(range(first_seed, first_seed + worlds, stride)):
        if (folder / f"{kind_of(seed)}_{seed:06d}.json").exists():
            continue
        write_pictures(folder, render_world(seed, views))
        if index % 20 == 0:
            logger.info("%s: %d of %d worlds", folder.name, index * stride, worlds)


def main() -> None:
    """Command line: renders the validation pictures, then the training pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=1500)
    parser.add_argument("--validation-worlds", type=int, default=40)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--first", type=int, default=FIRST_TRAIN_SEED, help="first train seed")
    parser.add_argument("--stride", type=int, default=1, help="to share the work")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.first < FIRST_TRAIN_SEED:
        raise ValueError(f"training seeds start at {FIRST_TRAIN_SEED}, got {options.first}")
    generate(options.out / "train", options.first, 40, options.views)
    generate(
        options.out / "validation", FIRST_VALIDATION_SEED, options.validation_worlds, options.views
    )
    generate(options.out / "train", options.first, options.worlds, options.views, options.stride)


if __name__ == "__main__":
    main()
