import numpy as np
import pytest

from semantic_field_ros.geometry import look_at
from semantic_field_ros.queries.base import Relation
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.queries.relations import candidates, keep_related
from semantic_field_ros.types import SurfaceCloud


def _block(x, y, z, size=0.1, height=0.1):
    """Points on the outside of an upright block that stands on height z around (x, y)."""
    grid = np.linspace(-size / 2, size / 2, 6)
    a, b = (g.ravel() for g in np.meshgrid(grid, grid))
    up = (a / size + 0.5) * height
    half = np.full_like(a, size / 2)
    top = np.stack([a, b, np.full_like(a, height)], 1)
    sides = [
        np.stack(p, 1) for p in ((half, b, up), (-half, b, up), (b, half, up), (b, -half, up))
    ]
    return np.concatenate([top, *sides]) + [x, y, z]


#: a table top with a red block on its middle, a blue one on its left, a ball under it.
PARTS = {
    "table": np.concatenate(
        [_block(0, 0, 0.68, size=1.2, height=0.02)]
        + [
            np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.7)], 1)
            for x, y in [np.meshgrid(np.arange(-0.6, 0.61, 0.03), np.arange(-0.6, 0.61, 0.03))]
        ]
    ),
    "red": _block(0, 0, 0.7),
    "blue": _block(-0.45, 0.0, 0.7),
    "top": _block(0, 0, 0.8, size=0.06, height=0.05),
    "ball": _block(0.1, 0.1, 0.0),
    "far": _block(3.0, 3.0, 0.0),
    "box": _block(-3.0, 0.0, 0.0, size=0.4, height=0.3),
    "in the box": _block(-3.0, 0.0, 0.05),
}


@pytest.fixture(scope="module")
def masks():
    return masks_of(PARTS)


def masks_of(parts):
    points = np.concatenate(list(parts.values())).astype(np.float32)
    spacing_m = np.full(len(points), 0.01, np.float32)
    surface = SurfaceCloud(points, points, np.zeros(points.shape, np.uint8), spacing_m)
    ends = np.cumsum([len(p) for p in parts.values()])
    return {
        name: make_mask(surface, np.arange(end - len(p), end), np.ones(len(p)), name, 1.0)
        for (name, p), end in zip(parts.items(), ends, strict=True)
    }


#: looks along +y, so that the image's left is towards -x.
CAMERA = look_at(np.array([0.0, -3.0, 1.0]), np.array([0.0, 0.0, 0.7]))


@pytest.mark.parametrize(
    ("relation", "anchor", "expected"),
    [
        ("on", "table", {"red", "blue"}),
        ("on", "red", {"top"}),
        ("under", "table", {"ball"}),
        ("near", "red", {"table", "top"}),
        ("left_of", "red", {"blue", "box", "in the box"}),
        ("right_of", "blue", {"red", "top", "ball", "far", "table"}),
        ("behind", "table", {"far"}),
        ("inside", "box", {"in the box"}),
    ],
)
def test_relations(masks, relation, anchor, expected):
    found = keep_related(list(masks.values()), [masks[anchor]], Relation(relation, anchor), CAMERA)
    assert {mask.label for mask in found} == expected


def test_from_the_other_side_left_is_right(masks):
    other_side = look_at(np.array([0.0, 3.0, 1.0]), np.array([0.0, 0.0, 0.7]))
    for pose, expected in ((CAMERA, ["blue"]), (other_side, [])):
        found = keep_related([masks["blue"]], [masks["red"]], Relation("left_of", "red"), pose)
        assert [mask.label for mask in found] == expected


def related(parts, relation, thing, anchor):
    made = masks_of(parts)
    return bool(keep_related([made[thing]], [made[anchor]], Relation(relation, anchor), CAMERA))


def test_what_lies_on_a_seat_with_a_back_is_not_inside_the_chair():
    grid = np.linspace(-0.2, 0.2, 12)
    a, b = (g.ravel() for g in np.meshgrid(grid, grid))
    seat = np.stack([a, b, np.full_like(a, 0.45)], axis=1)
    back = np.stack([a, np.full_like(a, 0.2), 0.65 + b], axis=1)
    side = np.stack([np.full_like(a, 0.2), a, 0.65 + b], axis=1)
    chair, armchair = np.concatenate([seat, back]), np.concatenate([seat, back, side])
    book = _block(0, 0, 0.46)
    assert not related({"chair": chair, "book": book}, "inside", "book", "chair")
    assert related({"chair": armchair, "book": book}, "inside", "book", "chair")
    assert related({"chair": chair, "book": book}, "on", "book", "chair")


def test_a_shelf_is_under_what_stands_on_its_middle_board():
    grid = np.linspace(-0.4, 0.4, 24)
    a, b = (g.ravel() for g in np.meshgrid(grid, grid))
    boards = [np.stack([a, b, np.full_like(a, z)], axis=1) for z in (0.1, 0.6, 1.1, 1.6)]
    parts = {"shelf": np.concatenate(boards), "box": _block(0, 0, 0.6)}
    assert related(parts, "under", "shelf", "box")


def test_a_plate_is_not_under_what_stands_beside_it():
    """The corner of the box around the round plate reaches under the block beside it."""
    angle, radius = np.meshgrid(np.linspace(0, 2 * np.pi, 40), np.linspace(0.02, 0.12, 6))
    plate = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle + 0.01], -1)
    parts = {"plate": plate.reshape(-1, 3), "block": _block(0.14, 0.14, 0)}
    assert not related(parts, "under", "plate", "block")
    assert not related(parts, "on", "block", "plate")


def test_nearer_is_along_the_floor_and_in_about_the_same_direction():
    """The lamp is nearer to the camera, which looks down, only because it is higher."""
    parts = {
        "vase": _block(0, 0, 0),
        "lamp": _block(0, 0.3, 1.6),
        "cup": _block(0, -0.5, 0),
        "aside": _block(2.5, -0.5, 0),
    }
    assert not related(parts, "in_front_of", "lamp", "vase")
    assert related(parts, "behind", "lamp", "vase")
    assert related(parts, "in_front_of", "cup", "vase")
    assert not related(parts, "in_front_of", "aside", "vase")
    assert related(parts, "right_of", "aside", "vase")


@pytest.mark.parametrize("x", [0.0, 0.6])
@pytest.mark.parametrize("height", [0.0, 2.0])
def test_behind_the_camera_the_nearer_thing_is_in_front_too(x, height):
    """CAMERA stands at y = -3 and looks along +y."""
    parts = {"near": _block(x, -5, height), "far": _block(x, -7, height), "ahead": _block(0, 0, 0)}
    assert related(parts, "in_front_of", "near", "far")
    assert related(parts, "behind", "far", "near")
    assert not related(parts, "in_front_of", "far", "near")
    assert not related(parts, "behind", "near", "far")
    for relation in ("in_front_of", "behind"):
        assert not related(parts, relation, "near", "ahead")
        assert not related(parts, relation, "ahead", "near")


def test_a_camera_that_looks_up_still_has_what_it_faces_before_it():
    up = look_at(np.array([0.0, 0.0, 1.5]), np.array([0.0, 1.0, 1.5 + np.tan(np.radians(60))]))
    made = masks_of({"near": _block(0, 1, 0), "far": _block(0, 2, 0)})
    for thing, anchor, expected in (("near", "far", 1), ("far", "near", 0)):
        relation = Relation("in_front_of", anchor)
        assert len(keep_related([made[thing]], [made[anchor]], relation, up)) == expected


def test_for_a_camera_that_looks_straight_down_the_top_of_the_picture_is_behind():
    down = np.eye(4)
    down[:3, :3] = np.diag([1.0, -1.0, -1.0])  # x right, y down = towards -y of the world
    down[:3, 3] = [0.0, 0.0, 2.0]
    made = masks_of({"near": _block(0, -0.5, 0), "far": _block(0, 0.5, 0)})
    for thing, anchor, expected in (("far", "near", ["far"]), ("near", "far", [])):
        kept = keep_related([made[thing]], [made[anchor]], Relation("behind", anchor), down)
        assert [mask.label for mask in kept] == expected


@pytest.mark.parametrize("pitch_deg", [-80, -50, 0, 30, 44, 46, 60, 80])
@pytest.mark.parametrize("roll_deg", [0, 20, 90])
def test_left_is_left_however_far_the_camera_looks_up_or_down(pitch_deg, roll_deg):
    """Positive is up; the camera stands at the origin and faces +y."""
    pitch, roll = np.radians([pitch_deg, roll_deg])
    pose = look_at(np.zeros(3), np.array([0.0, np.cos(pitch), np.sin(pitch)]))
    cosine, sine = np.cos(roll), np.sin(roll)
    pose[:3, :3] @= np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    parts = {"left": (-1, 3, 0), "right": (1, 3, 0), "near": (0, 2, 0), "far": (0, 4, 0)}
    made = masks_of({name: _block(*at) for name, at in parts.items()})
    for relation, thing, anchor in (("left_of", "left", "right"), ("behind", "far", "near")):
        for this, that, expected in ((thing, anchor, [thing]), (anchor, thing, [])):
            kept = keep_related([made[this]], [made[that]], Relation(relation, that), pose)
            assert [mask.label for mask in kept] == expected


def test_a_camera_that_hangs_upside_down_sees_left_as_whoever_stands_there():
    pose = look_at(np.zeros(3), np.array([0.0, 1.0, -0.5]))
    pose[:3, :2] *= -1
    made = masks_of({"left": _block(-1, 3, 0), "right": _block(1, 3, 0)})
    assert keep_related([made["left"]], [made["right"]], Relation("left_of", "right"), pose)


def test_only_what_answers_about_as_well_as_the_best_is_a_candidate(masks):
    from dataclasses import replace

    scored = [replace(masks["red"], score=score) for score in (0.9, 0.81, 0.79)]
    assert [mask.score for mask in candidates(scored)] == [0.9, 0.81]
    assert candidates([]) == []


def test_one_of_several_anchors_is_enough(masks):
    anchors = [masks["far"], masks["table"]]
    assert keep_related([masks["red"]], anchors, Relation("on", "x"), CAMERA)


def test_an_unknown_relation_is_refused():
    with pytest.raises(ValueError, match="left_of"):
        Relation("above", "table")
