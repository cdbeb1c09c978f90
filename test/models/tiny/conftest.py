import numpy as np
import pytest

from semantic_field_ros.models.tiny.data import Pictures, PictureStore, Thing, write_pictures


def painted(seed):
    """Two coloured things on a floor, four views."""
    rng = np.random.default_rng(seed)
    instance = np.full((4, 240, 320), 3, np.int16)
    rgb = np.full((4, 240, 320, 3), 90, np.uint8)
    for view in range(4):
        for id, colour in ((1, (200, 20, 20)), (2, (20, 40, 200))):
            v, u = rng.integers(20, 150, 2)
            instance[view, v : v + 60, u + 80 * (id - 1) : u + 80 * id - 10] = id
            rgb[view][instance[view] == id] = colour
    things = (
        Thing(1, "mug", "red", "red mug", True),
        Thing(2, "book", "blue", "blue book", True),
        Thing(3, "floor", "", "floor", False),
    )
    return Pictures(f"table_{seed:06d}", rgb, instance, {thing.id: thing for thing in things})


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for seed in (2000, 2001):
        write_pictures(folder, painted(seed))
    return PictureStore(folder)
