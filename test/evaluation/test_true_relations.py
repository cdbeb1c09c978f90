"""A table with two boards, and blocks on, beside, under and far from it."""

import numpy as np
import pytest

from semantic_field_ros.evaluation.true_relations import Solid, truly
from semantic_field_ros.geometry import look_at
from semantic_field_ros.stream.synthetic.mesh import box, merge


def shelf():
    """Open to the front (-y), 0.6 m wide, with boards at 0.0, 0.5 and 1.0 m."""
    boards = [box((0.6, 0.4, 0.02)).moved(z=z) for z in (0.0, 0.5, 1.0)]
    sides = [box((0.02, 0.4, 1.0)).moved(x=x) for x in (-0.3, 0.3)]
    return merge(*boards, *sides, box((0.6, 0.02, 1.0)).moved(y=0.2))


SMALL = (0.1, 0.1, 0.1)
SOLIDS = {
    name: Solid(mesh, 0)
    for name, mesh in {
        "table": box((1.0, 0.8, 0.04)).moved(2.0, 0.0, 0.7),
        "on the table": box(SMALL).moved(2.0, 0.0, 0.74),
        "on that": box(SMALL).moved(2.0, 0.0, 0.84),
        "under the table": box(SMALL).moved(2.0, 0.0, 0.0),
        "right of it": box(SMALL).moved(2.3, 0.0, 0.74),
        "in front of it": box(SMALL).moved(2.0, -0.3, 0.74),
        "shelf": shelf(),
        "in the shelf": box(SMALL).moved(0.0, 0.0, 0.52),
        "on the shelf": box(SMALL).moved(0.0, 0.0, 1.02),
        "far": box(SMALL).moved(0.0, 5.0, 0.0),
    }.items()
}
#: from the front, looking down as a robot does.
POSE = look_at(np.array([2.0, -2.0, 1.6]), np.array([2.0, 0.0, 0.7]))


@pytest.mark.parametrize(
    ("relation", "thing", "anchor", "expected"),
    [
        ("on", "on the table", "table", True),
        ("on", "on that", "on the table", True),
        ("on", "on that", "table", None),  # it is, with something between them
        ("on", "under the table", "table", False),
        ("on", "in the shelf", "shelf", True),
        ("under", "under the table", "table", True),
        ("under", "table", "on the table", True),
        ("under", "on the table", "table", False),
        ("under", "in the shelf", "shelf", None),
        ("under", "far", "table", False),
        ("near", "on the table", "right of it", None),  # 0.2 m
        ("near", "on the table", "on that", True),
        ("near", "far", "table", False),
        ("inside", "in the shelf", "shelf", True),
        ("inside", "on the shelf", "shelf", False),
        ("inside", "on the table", "shelf", False),
        ("left_of", "on the table", "right of it", True),
        ("left_of", "right of it", "on the table", False),
        ("right_of", "right of it", "on the table", True),
        ("left_of", "in front of it", "on the table", None),
        ("in_front_of", "in front of it", "on the table", True),
        ("in_front_of", "on the table", "in front of it", False),
        ("behind", "on the table", "in front of it", True),
        ("behind", "shelf", "in front of it", None),  # farther, but aside
    ],
)
def test_relations(relation, thing, anchor, expected):
    assert truly(relation, SOLIDS[thing], SOLIDS[anchor], POSE) is expected


def test_what_reaches_behind_the_camera_is_on_no_side():
    above = look_at(np.array([2.0, 0.1, 1.6]), np.array([2.0, 0.3, 0.7]))
    assert truly("left_of", SOLIDS["on the table"], SOLIDS["right of it"], above) is None
