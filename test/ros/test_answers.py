"""Queries and answers as messages, there and back."""

from dataclasses import replace

import numpy as np
import pytest

from semantic_field_ros.geometry import invert_rigid, look_at, transform_points
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.queries.base import ClickQuery, Relation, TextQuery
from semantic_field_ros.ros.answers import (
    PALETTE,
    AnswerFrame,
    answer_cloud,
    answer_detections,
    answer_from_message,
    answer_markers,
    answer_message,
)
from semantic_field_ros.ros.clouds import cloud_from_message
from semantic_field_ros.ros.dds_types import Types
from semantic_field_ros.ros.graph import UnknownFrameError
from semantic_field_ros.ros.requests import (
    click_query,
    click_request,
    text_query,
    text_request,
    undistorted_click,
)
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.types import Mask3D, OrientedBox, PinholeCamera, QueryAnswer

types = Types()
make = types.message
POSE = look_at(np.array([1.0, -2.0, 1.5]), np.array([0.0, 0.0, 0.5]))
IN_PLACE = AnswerFrame("map", np.eye(4))


class Frames:
    """A graph of which only transforms are asked: `body` is at POSE in `map`."""

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> np.ndarray:
        known = {("map", "body"): POSE, ("body", "map"): invert_rigid(POSE)}
        if (target, source) not in known:
            raise UnknownFrameError(source)
        return known[target, source]


def mask(label: str, count: int, score: float) -> Mask3D:
    rng = np.random.default_rng(count)
    return Mask3D(
        indices=np.arange(count) * 3,
        points=rng.normal(size=(count, 3)).astype(np.float32),
        rgb=rng.integers(0, 256, (count, 3), np.uint8),
        point_scores=rng.random(count, np.float32),
        label=label,
        score=score,
        box=OrientedBox(
            np.array([0.1, 0.2, 0.3]), np.array([0, 0, 0.6, 0.8]), np.array([0.4, 0.5, 0.6])
        ),
        map_version=7,
    )


ANSWER = QueryAnswer(True, "", [mask("mug", 5, 0.75), mask("cup", 3, 0.5)], 0.75, 0.125, 7, 42)
NOTHING = QueryAnswer(False, "nothing looks like it", [], 0.25, 0.5, 7, 42)


def over_the_wire(message):
    return types.decode(types.encode(message), message.__msgtype__)


def assert_same(received: QueryAnswer, sent: QueryAnswer) -> None:
    for name in ("found", "reason", "score", "latency_s", "map_version", "stamp_ns"):
        assert getattr(received, name) == getattr(sent, name)
    assert len(received.masks) == len(sent.masks)
    for got, put in zip(received.masks, sent.masks, strict=True):
        assert (got.label, got.score, got.map_version) == (put.label, put.score, put.map_version)
        for name in ("indices", "points", "rgb", "point_scores"):
            np.testing.assert_array_equal(getattr(got, name), getattr(put, name))
        for name in ("centre", "quaternion", "size"):
            np.testing.assert_allclose(getattr(got.box, name), getattr(put.box, name), atol=1e-12)


@pytest.mark.parametrize("answer", [ANSWER, NOTHING])
def test_answers_come_back(answer: QueryAnswer) -> None:
    message = over_the_wire(answer_message(make, answer, IN_PLACE))
    assert (message.header.frame_id, message.final, message.query_id) == ("map", True, 0)
    assert_same(answer_from_message(message), answer)


def test_answers_move_into_the_target_frame() -> None:
    frame = AnswerFrame("body", invert_rigid(POSE), query_id=3, final=False)
    message = answer_message(make, ANSWER, frame)
    assert (message.header.frame_id, message.query_id, message.final) == ("body", 3, False)
    moved = answer_from_message(message).masks[0]
    np.testing.assert_allclose(
        transform_points(POSE, moved.points), ANSWER.masks[0].points, atol=1e-5
    )
    centre = transform_points(POSE, moved.box.centre[None])[0]
    np.testing.assert_allclose(centre, ANSWER.masks[0].box.centre, atol=1e-9)


def test_all_masks_make_one_cloud() -> None:
    cloud = cloud_from_message(answer_cloud(make, ANSWER, "map"))
    assert cloud.label.tolist() == [0] * 5 + [1] * 3
    np.testing.assert_array_equal(cloud.rgb[0], PALETTE[0])
    np.testing.assert_array_equal(cloud.rgb[-1], PALETTE[1])
    assert len(cloud_from_message(answer_cloud(make, NOTHING, "map")).points) == 0


def test_markers_clear_the_old_answer_first() -> None:
    markers = over_the_wire(answer_markers(make, ANSWER, "map")).markers
    assert [m.action for m in markers] == [3, 0, 0, 0, 0, 0, 0]
    assert [m.ns for m in markers[1:]] == ["box", "shadow", "label"] * 2
    assert [m.id for m in markers[1:]] == [0, 0, 0, 1, 1, 1]
    assert len(answer_markers(make, NOTHING, "map").markers) == 1


def test_a_box_is_drawn_by_its_twelve_edges() -> None:
    first = over_the_wire(answer_markers(make, ANSWER, "map")).markers[1]
    assert first.type == 5  # LINE_LIST
    assert (first.pose.position.z, first.pose.orientation.w) == (0.3, pytest.approx(0.8))
    ends = np.array([[p.x, p.y, p.z] for p in first.points]).reshape(12, 2, 3)
    np.testing.assert_allclose(np.abs(ends), np.broadcast_to([0.2, 0.25, 0.3], (12, 2, 3)))
    along = np.abs(ends[:, 1] - ends[:, 0])
    for edge in ([0.4, 0, 0], [0, 0.5, 0], [0, 0, 0.6]):
        assert np.isclose(along, edge).all(axis=1).sum() == 4
    assert len(np.unique(ends.mean(axis=1).round(6), axis=0)) == 12
    # The letters of a box of 0.6 m are 0.15 m high, its lines a sixth of that wide.
    assert first.scale.x == pytest.approx(0.025)


def test_boxes_and_shadows_have_the_colour_of_their_mask_and_labels_are_white() -> None:
    markers = over_the_wire(answer_markers(make, ANSWER, "map")).markers[1:]
    shown = [[m.color.r, m.color.g, m.color.b, m.color.a] for m in markers]
    best, second, white = [1.0, 0.0, 220 / 255, 1.0], [0.0, 185 / 255, 1.0, 1.0], [1.0] * 4
    expected = [best, best, white, second, second, white]
    np.testing.assert_allclose(shown, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("side_m", "letter_m"), [(0.1, 0.06), (0.4, 0.12), (3.0, 0.15)], ids=["small", "mid", "large"]
)
def test_labels_stand_above_the_box_and_grow_with_it(side_m: float, letter_m: float) -> None:
    size, on_its_side = np.array([side_m, 0.1, 0.05]), np.array([0, np.sqrt(0.5), 0, np.sqrt(0.5)])
    box = OrientedBox(np.array([1.0, 2.0, 3.0]), on_its_side, size)
    answer = replace(ANSWER, masks=[replace(ANSWER.masks[0], box=box)])
    shadow, label = answer_markers(make, answer, "map").markers[2:]
    top = 3.0 + side_m / 2
    for marker, z in ((label, top + letter_m), (shadow, top + 0.88 * letter_m)):
        assert (marker.type, marker.text) == (9, "mug 0.75")
        assert (marker.scale.x, marker.scale.z) == pytest.approx((0.4 * letter_m, letter_m))
        at = marker.pose.position
        assert (at.x, at.y, at.z) == pytest.approx((1.0, 2.0, z))


def test_what_has_no_name_is_labelled_by_its_score() -> None:
    clicked = replace(ANSWER, masks=[replace(ANSWER.masks[0], label="")])
    texts = [m.text for m in answer_markers(make, clicked, "map").markers if m.type == 9]
    assert texts == ["0.75", "0.75"]


def test_detections_carry_label_score_and_box() -> None:
    first = over_the_wire(answer_detections(make, ANSWER, "map")).detections[0]
    assert first.results[0].hypothesis.class_id == "mug"
    assert first.results[0].hypothesis.score == 0.75
    assert first.bbox.size.z == 0.6
    assert first.bbox.center.orientation.w == pytest.approx(0.8)
    assert first.header.frame_id == "map"


def test_text_queries_come_back() -> None:
    query = TextQuery(
        "red mug",
        exclude=("cup",),
        negatives=("thing",),
        relations=(Relation("on", "table"),),
        threshold=0.5,
        region_m=(np.zeros(3), np.array([1.0, 2.0, 3.0])),
        max_results=3,
        reference_pose=POSE,
        refine=True,
    )
    back = text_query(over_the_wire(text_request(make, query, "map")), Frames(), "map")
    for name in ("text", "exclude", "negatives", "relations", "threshold", "max_results"):
        assert getattr(back, name) == getattr(query, name)
    np.testing.assert_array_equal(back.region_m, query.region_m)
    np.testing.assert_allclose(back.reference_pose, POSE, atol=1e-12)
    assert back.refine


def test_a_threshold_of_nothing_is_not_the_calibrated_one() -> None:
    request = over_the_wire(text_request(make, TextQuery("mug", threshold=0.0), "map"))
    assert text_query(request, Frames(), "map").threshold == pytest.approx(0.0, abs=1e-5)


def test_an_empty_request_means_the_defaults() -> None:
    request = make("semantic_field_ros/srv/QueryText_Request", text="mug")
    assert text_query(request, Frames(), "map") == TextQuery("mug")


def test_a_region_in_another_frame_is_enclosed_in_the_map() -> None:
    query = TextQuery("mug", region_m=(np.array([-1.0, -1, 0]), np.array([1.0, 1, 2])))
    low, high = text_query(text_request(make, query, "map", "body"), Frames(), "map").region_m
    corner = transform_points(POSE, np.array([[1.0, 1.0, 2.0]]))[0]
    assert (low <= corner + 1e-9).all()
    assert (corner <= high + 1e-9).all()


def test_impossible_regions_are_refused() -> None:
    query = TextQuery("mug", region_m=(np.ones(3), np.zeros(3)))
    with pytest.raises(ValueError, match="min <= max"):
        text_query(text_request(make, query, "map"), Frames(), "map")


def test_clicks_come_back() -> None:
    points = ClickQuery(points_world=np.ones((2, 3), np.float32), positive=np.array([True, False]))
    back = click_query(over_the_wire(click_request(make, points, "map")), Frames(), "map")
    np.testing.assert_array_equal(back.points_world, points.points_world)
    np.testing.assert_array_equal(back.positive, points.positive)
    pixels = ClickQuery(
        pixels=np.array([[3.5, 4]], np.float32),
        box_px=np.array([1, 2, 30, 40], np.float32),
        camera_name="front",
        stamp_ns=5_000_000_001,
    )
    back = click_query(over_the_wire(click_request(make, pixels, "map")), Frames(), "map")
    np.testing.assert_array_equal(back.pixels, pixels.pixels)
    np.testing.assert_array_equal(back.box_px, pixels.box_px)
    assert (back.camera_name, back.stamp_ns, back.points_world) == ("front", 5_000_000_001, None)


def test_clicked_points_are_brought_into_the_map() -> None:
    query = ClickQuery(points_world=np.array([[0.1, 0.2, 0.3]], np.float32))
    back = click_query(click_request(make, query, "body"), Frames(), "map")
    expected = transform_points(POSE, query.points_world)
    np.testing.assert_allclose(back.points_world, expected, atol=1e-6)
    with pytest.raises(UnknownFrameError, match="mars"):
        click_query(click_request(make, query, "mars"), Frames(), "map")


def test_clicks_that_contradict_themselves_are_refused() -> None:
    point = make("geometry_msgs/msg/Point")
    pixel = make("semantic_field_ros/msg/Pixel")
    for fields, message in (
        ({"points": [point], "pixels": [pixel]}, "both"),
        ({"box": [pixel]}, "two corners"),
        ({}, "a click needs points, pixels or a box, got none"),
        ({"points": [point], "positive": [True, False]}, "1 flags, got 2"),
    ):
        request = make("semantic_field_ros/srv/QueryClick_Request", **fields)
        with pytest.raises(ValueError, match=message):
            click_query(request, Frames(), "map")


SENSOR = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
WIDE = Lens(SENSOR, (-0.3, 0.0, 0.0, 0.0))
LENSES = {"wide": WIDE, "straight": Lens(SENSOR)}
VIEWS = [
    KeyframeView(0, 0, 100, "wide", WIDE.camera, POSE, True),
    KeyframeView(1, 1, 200, "straight", SENSOR, POSE, True),
]


def bent(x: float, y: float) -> np.ndarray:
    """(1, 2) pixel of the wide camera that shows (x, y, 1)."""
    squeezed = 1 - 0.3 * (x**2 + y**2)
    return np.array([[79.5 + 140 * x * squeezed, 59.5 + 140 * y * squeezed]], np.float32)


def straight(x: float, y: float) -> list[float]:
    """The same without distortion."""
    kept = WIDE.camera
    return [kept.cx + kept.fx * x, kept.cy + kept.fy * y]


@pytest.mark.parametrize("named", [{"camera_name": "wide"}, {"stamp_ns": 90}])
def test_pixels_of_a_click_are_those_of_the_image_before_it_was_undistorted(named: dict) -> None:
    """Without a name it is the camera of the keyframe that the click means."""
    pixels = np.concatenate([bent(0.3, 0.2), bent(-0.4, 0.3)])
    click = undistorted_click(ClickQuery(pixels=pixels, **named), LENSES, VIEWS)
    assert (click.camera_name, click.stamp_ns) == ("wide", named.get("stamp_ns", 0))
    expected = [straight(0.3, 0.2), straight(-0.4, 0.3)]
    np.testing.assert_allclose(click.pixels, expected, atol=0.02)
    assert np.abs(np.array(expected) - pixels).max() > 2


@pytest.mark.parametrize("named", [{"camera_name": "straight"}, {"camera_name": "?"}, {}])
def test_pixels_of_a_lens_that_bends_nothing_or_is_not_known_stay(named: dict) -> None:
    query = ClickQuery(pixels=bent(0.3, 0.2), box_px=np.array([9.0, 8.0, 7.0, 6.0]), **named)
    click = undistorted_click(query, LENSES, VIEWS)
    np.testing.assert_array_equal(click.pixels, query.pixels)


def test_a_box_is_undistorted_and_ends_with_what_is_kept() -> None:
    inside = np.concatenate([bent(-0.2, -0.1), bent(0.3, 0.2)]).ravel()
    click = undistorted_click(ClickQuery(box_px=inside, camera_name="wide"), LENSES, VIEWS)
    np.testing.assert_allclose(click.box_px, [*straight(-0.2, -0.1), *straight(0.3, 0.2)], atol=2)
    whole = np.array([0.0, 0.0, 160.0, 120.0], np.float32)
    click = undistorted_click(ClickQuery(box_px=whole, camera_name="wide"), LENSES, VIEWS)
    assert click.box_px.tolist() == [-0.5, -0.5, 159.5, 119.5]


@pytest.mark.parametrize(
    "asked",
    [
        {"pixels": np.array([[80.0, 60.0], [0.0, 0.0]], np.float32)},
        {"box_px": np.array([0.0, 0.0, 5.0, 5.0], np.float32)},
    ],
    ids=["pixel", "box"],
)
def test_what_undistortion_leaves_nothing_of_is_refused(asked: dict) -> None:
    with pytest.raises(ValueError, match="what is left of the image of camera 'wide'"):
        undistorted_click(ClickQuery(camera_name="wide", **asked), LENSES, VIEWS)


@pytest.mark.parametrize("camera", ["wide", "straight"])
@pytest.mark.parametrize(
    "asked",
    [
        {"pixels": np.array([[80.0, 60.0], [200.0, 60.0]], np.float32)},
        {"pixels": np.array([[np.nan, 60.0]], np.float32)},
        {"box_px": np.array([-30.0, 0.0, -10.0, 20.0], np.float32)},
    ],
    ids=["pixel", "not finite", "box"],
)
def test_what_lies_outside_of_the_published_image_is_refused(camera: str, asked: dict) -> None:
    where = f"must lie in the image of camera '{camera}', 160 x 120 pixels, got"
    with pytest.raises(ValueError, match=where):
        undistorted_click(ClickQuery(camera_name=camera, **asked), LENSES, VIEWS)
