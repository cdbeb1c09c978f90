"""Questions about photos whose only labels are masks in a view that was never mapped."""

from types import SimpleNamespace

import numpy as np
import pytest
from photo_scenes import write_colmap, write_photo, write_png

from semantic_field_ros.evaluation.asking import ask_all, caption, open_bench
from semantic_field_ros.evaluation.open_truth import open_truth
from semantic_field_ros.evaluation.report import Mapping, Report
from semantic_field_ros.evaluation.run import open_recording
from semantic_field_ros.geometry import pixel_grid, unproject
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.stream.open import SourceOptions, open_source
from semantic_field_ros.types import Mask3D, QueryAnswer, SurfaceCloud


@pytest.fixture
def source(tmp_path):
    """Two photos of a plane 6 m ahead; in the second a bowl covers 20 x 20 pixels."""
    scene = write_colmap(tmp_path)
    write_photo(scene / "images_train/a.png")
    bowl = np.zeros((30, 40))
    bowl[:20, :20] = 255
    write_png(scene / "test_mask/0/bowl.png", bowl, np.uint8)
    return open_source(str(scene), SourceOptions(scale=1.0))


class Plane:
    """A field that shows the second photo's plane, one surface point a pixel.

    Answers are the `answered` first columns of the bowl's 20.
    """

    def __init__(self, frame, answered, empty=False, held=()):
        self.camera, self.answered, self.asked, self.held = frame.camera, answered, [], held
        self.depth_m = np.full((30, 40), np.nan if empty else 6.0, np.float32)
        pixel = pixel_grid(40, 30)
        points = unproject(frame.camera, frame.world_from_camera, pixel, np.full(1200, 6.0))
        spacing = np.full(1200, 6 / 35, np.float32)
        self.cloud = SurfaceCloud(points, points, np.zeros((1200, 3), np.uint8), spacing)

    def keyframes(self):
        return [
            KeyframeView(i, i, f.stamp_ns, f.camera_name, f.camera, f.world_from_camera, True)
            for i, f in enumerate(self.held)
        ]

    def surface(self):
        return self.cloud

    def render(self, camera, pose, layer):
        return self.depth_m

    def query_click(self, query):
        self.asked.append(query)
        rows, columns = np.mgrid[:20, : self.answered]
        indices = (rows * 40 + columns).ravel()
        scores, box = np.ones(len(indices), np.float32), None
        points, rgb = self.cloud.points[indices], self.cloud.rgb[indices]
        mask = Mask3D(indices, points, rgb, scores, "", 0.9, box, 1)
        return QueryAnswer(True, "", [mask], 0.9, 0.1, 1, 0)

    query_text = query_click


def asked_of(source, answered, empty=False):
    first, second = source
    field = Plane(second, answered, empty)
    run = SimpleNamespace(kept=[first], held_out=[second], elapsed_s=lambda: 1.0)
    return field, ask_all(open_bench(field, run, open_truth(source), 0))


def test_the_labelled_view_is_held_out(source):
    recording = open_recording(source)
    assert [out for _, out in recording.held_out.split(recording.frames)] == [False, True]


def test_answers_are_judged_in_the_view_alone(source):
    _, (click, text) = asked_of(source, answered=10)
    assert (click.asked.kind, text.asked.kind, text.asked.prompt) == ("click", "text", "bowl")
    for item in (click, text):
        assert item.asked.iou is None and item.asked.localised is None  # nothing known in 3D
        assert item.asked.view_iou == item.asked.pooled_iou == 0.5  # 10 of 20 columns
        assert item.asked.pooled_accuracy == pytest.approx(1 - 200 / 1200)
    assert caption(click.asked)[1:] == ("found, score 0.90, IoU 0.50", True)


def test_a_click_in_a_view_that_was_not_mapped_is_lifted_by_the_map(source):
    field, (click, _) = asked_of(source, answered=20)
    (point,) = field.asked[0].points_world
    u, v = click.click.pixel
    np.testing.assert_allclose(point, field.cloud.points[v * 40 + u], rtol=1e-5)
    assert click.asked.view_iou == 1.0


def test_only_keyframes_that_are_still_held_are_clicked_in(source):
    first, second = source
    run = SimpleNamespace(kept=[first, second], held_out=[], elapsed_s=lambda: 1.0)
    for held, is_held in (([first, second], True), ([first], False)):
        field = Plane(second, answered=20, held=held)
        (click, _) = ask_all(open_bench(field, run, open_truth(source), 0))
        query, (u, v) = field.asked[0], click.click.pixel
        if is_held:
            assert (query.pixels.tolist(), query.stamp_ns) == ([[u, v]], second.stamp_ns)
        else:  # where the map's own depth puts it
            np.testing.assert_allclose(
                query.points_world, field.cloud.points[[v * 40 + u]], rtol=1e-5
            )


def test_a_click_where_the_map_is_empty_is_a_miss(source):
    field, (click, _) = asked_of(source, answered=20, empty=True)
    assert not click.asked.found and click.asked.view_iou == 0.0
    assert len(field.asked) == 1  # the phrase


def test_figures_in_views_reach_the_report(source):
    _, judged = asked_of(source, answered=10)
    mapping = Mapping(1, 1, 1, 1.0, None, None, None, None, 1)
    tree = Report("x", "tiny", mapping, tuple(item.asked for item in judged)).to_dict()
    assert tree["click"] == {"mean_iou": None, "count": 0}
    assert tree["views"]["pooled_iou"] == tree["text_views"]["mean_iou"] == 0.5
    assert tree["panoptic"] is None and tree["view_classes"]["mean_iou"] is None
