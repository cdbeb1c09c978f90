"""The web viewer as a person uses it: in a real browser, on a map that was really learnt.

One map, one browser; each test is a step of one visit, in order.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from semantic_field_ros.config import (
    Config,
    ImaginationConfig,
    KeyframesConfig,
    MapConfig,
    SceneConfig,
    TrainingConfig,
)
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.browser import CTRL, SHIFT, Browser, Page, find_chromium
from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.training.checkpoint import list_maps, load_map
from semantic_field_ros.types import PinholeCamera
from semantic_field_ros.viewer import live
from semantic_field_ros.viewer.server import Viewer, ViewerOptions

pytestmark = [
    pytest.mark.skipif(
        find_chromium() is None, reason="needs a browser: apt-get install chromium"
    ),
    pytest.mark.timeout(600),
]

CAMERA = PinholeCamera(160, 120, 140.0, 140.0, 79.5, 59.5)
#: seconds for the map to come about, on a machine that is busy with something else.
PATIENCE_S = 240.0
#: the part of the page that shows the scene; panel and notifications lie around it.
SCENE = (slice(200, 760), slice(20, 900))
MIDDLE = (460.0, 400.0)
COARSE_POINTS, FINE_POINTS = 3_000, 6_000
#: an answer makes more `orange` than this beside what the map itself has.
LIT_PX = 800
Place = tuple[float, float]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SemanticField]:
    """A small map; training is paused, features are all there."""
    config = Config(
        scene=SceneConfig(keyframes_to_fix_box=6),
        keyframes=KeyframesConfig(max_width_px=160),
        training=TrainingConfig(threads=1, snapshot_every_s=1.0, rays=768),
        imagination=ImaginationConfig(time_share=0.0),
        map=MapConfig(folder=str(tmp_path_factory.mktemp("maps"))),
    )
    with SemanticField(config) as built:
        for frame in SyntheticSource("table", 1005, frames=6, camera=CAMERA):
            built.ingest(frame)
        deadline_s = time.monotonic() + PATIENCE_S
        while built.status()["features_done"] < built.status()["keyframes"] or (
            built.status()["steps"] < 60
        ):
            assert time.monotonic() < deadline_s, "the map did not come about in time"
            time.sleep(0.1)
        assert built.wait_for_snapshot(built.status()["map_version"] + 1, PATIENCE_S)
        built.pause()
        yield built


@pytest.fixture(scope="module")
def viewer(field: SemanticField) -> Iterator[Viewer]:
    options = ViewerOptions(port=8123, most_points=FINE_POINTS, most_browsers=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "COARSE_POINTS", COARSE_POINTS)
        with Viewer(field, options) as made:
            yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(browser: Browser, viewer: Viewer) -> Page:
    opened = browser.open(viewer.url)
    opened.wait_for(lambda p: "Look through camera" in p.text() and coloured(p) > 0.2, "picture")
    opened.wait_for(lambda p: points_drawn(p) >= FINE_POINTS, "fine cloud")
    return opened


@pytest.fixture(scope="module")
def plain(page: Page) -> int:
    """What `orange` is without an answer; requested by the first step, before any is asked."""
    return orange(page)


def coloured(page: Page) -> float:
    """Share of the scene that is not background."""
    return float((page.screenshot()[SCENE].min(axis=-1) < 225).mean())


def points_drawn(page: Page) -> int:
    """How many points the newest picture of the scene was made of."""
    return int(page.evaluate("window.__viserTestpoints.rendererInfo.render.points"))


def orange(page: Page) -> int:
    """Pixels of the scene in the colour of the best answer."""
    red, green, blue = np.moveaxis(page.screenshot()[SCENE].astype(int), -1, 0)
    return int(((red > 185) & (green > 60) & (green < 150) & (blue < 75)).sum())


def changed(page: Page, before: np.ndarray) -> float:
    """Share of the scene's colour values that are clearly different from before."""
    now = page.screenshot()[SCENE].astype(int)
    return float((np.abs(now - before.astype(int)) > 25).mean())


def wait_for_text(page: Page, *parts: str) -> None:
    page.wait_for(lambda p: all(part in p.text() for part in parts), repr(parts))


def test_the_page_opens_on_the_map_and_its_progress(
    page: Page, field: SemanticField, plain: int
) -> None:
    status = field.status()
    wait_for_text(page, "paused", f"version {status['map_version']}", f"{status['steps']}")
    assert plain < 0.1 * np.prod(page.screenshot()[SCENE].shape[:2])


def test_a_browser_that_draws_without_a_gpu_is_spared_smooth_edges(page: Page) -> None:
    script = "document.querySelector('canvas').getContext('webgl2').getContextAttributes()"
    assert page.evaluate(f"{script}.antialias") is False


def test_an_absent_thing_is_not_found_and_the_page_says_why(page: Page) -> None:
    page.enter("Find", "green elephant")
    wait_for_text(page, "Not found", "green elephant")


def test_a_phrase_lights_what_it_means_and_a_layer_tells_how_far_all_else_does(
    page: Page, field: SemanticField, plain: int
) -> None:
    words = [t.phrase for t in SyntheticSource("table", 1005).world.objects if t.is_object]
    answers = {phrase: field.query_text(TextQuery(phrase)) for phrase in words}
    phrase = max(words, key=lambda word: sum(len(m.points) for m in answers[word].masks[:1]))
    page.enter("Find", phrase)
    wait_for_text(page, "Found", phrase, "score")
    page.wait_for(lambda p: orange(p) > plain + LIT_PX / 2, "lit answer")
    before = page.screenshot()[SCENE]
    page.choose("Surface", "relevancy")
    page.wait_for(lambda p: changed(p, before) > 0.1, "relevancy")
    page.press_button("Clear")
    wait_for_text(page, "Type a phrase")
    page.choose("Surface", "colour")
    page.wait_for(lambda p: orange(p) < plain + 100, "the map in its colours")


def test_a_click_lights_what_is_there_and_a_shift_click_takes_away(page: Page, plain: int) -> None:
    page.click(*MIDDLE)
    wait_for_text(page, "Found what you pointed at", "score")
    page.wait_for(lambda p: orange(p) > plain + LIT_PX, "lit mask")
    page.click(MIDDLE[0] + 260, MIDDLE[1] + 120, SHIFT)
    wait_for_text(page, "ound")


def test_a_negative_point_alone_is_refused_in_the_page(page: Page) -> None:
    page.press_button("Clear")
    wait_for_text(page, "Type a phrase")
    # Not by colour: the click with shift has moved the camera by a fraction of a pixel.
    page.wait_for(lambda p: points_drawn(p) == FINE_POINTS, "cleared answer")
    page.click(*MIDDLE, SHIFT)
    wait_for_text(page, "click what you mean first")


def around_a_thing(page: Page, field: SemanticField) -> tuple[Place, Place]:
    """Two corners on the page of a box around what the first photo shows whole of a thing."""
    view = field.keyframes()[0]
    camera = view.camera
    size = np.array([camera.width, camera.height])
    boxes = []
    for mask in field.instances(()).masks:
        pixel, depth_m = project(camera, view.world_from_camera, mask.points)
        low, high = np.quantile(pixel, [0.02, 0.98], axis=0)
        if inside_image(camera, pixel, depth_m).all() and (high - low).max() < 0.5 * size[0]:
            boxes.append((low, high))
    low, high = max(boxes, key=lambda box: np.prod(box[1] - box[0]))
    x, y, width, height = page.evaluate(
        "(() => { const r = document.querySelector('canvas').getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height]; })()"
    )
    scale, middle = (np.array([width, height]) / size).min(), [x + width / 2, y + height / 2]
    start, end = (middle + scale * (corner - (size - 1) / 2) for corner in (low - 1, high + 1))
    return tuple(start.tolist()), tuple(end.tolist())


def test_a_box_in_a_photo_lights_it_there_and_in_the_map(
    page: Page, field: SemanticField, plain: int
) -> None:
    page.press_button("Look through camera")
    wait_for_text(page, "Back to the map")
    before = page.screenshot()[SCENE]
    page.drag(*around_a_thing(page, field), CTRL)
    wait_for_text(page, "Found what you pointed at")
    page.wait_for(lambda p: changed(p, before) > 0.2, "lit photo")
    before = page.screenshot()[SCENE]
    page.choose("Picture", "depth")
    page.wait_for(lambda p: changed(p, before) > 0.5, "depth picture")
    page.press_button("Back to the map")
    page.wait_for(lambda p: "Back to the map" not in p.text(), "map")
    page.wait_for(lambda p: orange(p) > plain + LIT_PX, "lit mask")


def test_a_view_from_anywhere_is_rendered_and_can_be_pointed_into(page: Page) -> None:
    page.press_button("Render from here")
    wait_for_text(page, "Back to the map")
    page.click(*MIDDLE)
    wait_for_text(page, "in the rendered view")
    page.press_button("Back to the map")


def test_layers_need_what_they_show(page: Page) -> None:
    page.press_button("Clear")
    page.choose("Surface", "relevancy")
    wait_for_text(page, "relevancy needs a phrase")
    before = page.screenshot()[SCENE]
    page.choose("Surface", "features")
    page.wait_for(lambda p: changed(p, before) > 0.1, "features")


def test_a_second_browser_sees_the_map_but_not_the_others_question(
    browser: Browser, viewer: Viewer, page: Page, plain: int
) -> None:
    page.click(*MIDDLE)
    wait_for_text(page, "Found what you pointed at")
    second, third = browser.open(viewer.url), None
    try:
        second.wait_for(lambda p: points_drawn(p) >= FINE_POINTS, "fine cloud")
        assert orange(second) < plain + 100
        third = browser.open(viewer.url)
        third.wait_for(
            lambda p: "2 browsers ask already" in p.text() and coloured(p) > 0.2, "picture"
        )
        assert points_drawn(third) < FINE_POINTS
    finally:
        for extra in filter(None, (second, third)):
            extra.command("Page.close")
        page.command("Page.bringToFront")


def test_the_page_of_somebody_else_is_refused(viewer: Viewer) -> None:
    foreign = Origin("https://example.com")
    with pytest.raises(InvalidStatus, match="403"):
        connect(viewer.url.replace("http", "ws"), origin=foreign, proxy=None)


def test_the_map_is_saved_where_the_configuration_says(page: Page, field: SemanticField) -> None:
    page.click_on("[...document.querySelectorAll('*')].filter(e => e.innerText === 'Save').pop()")
    wait_for_text(page, "Save map")
    page.press_button("Save cloud (PLY)")
    file = Path(field.config.map.folder) / "viewer.ply"
    page.wait_for(lambda _: file.is_file(), "saved cloud")
    wait_for_text(page, "viewer.ply")
    assert file.read_bytes().startswith(b"ply")
    page.press_button("Save mesh (GLB)")
    mesh = file.with_suffix(".glb")
    page.wait_for(lambda _: mesh.is_file(), "saved mesh")
    assert mesh.read_bytes().startswith(b"glTF")
    page.press_button("Save map")
    page.wait_for(lambda _: list_maps(file.parent) == ["viewer"], "saved map")
    assert load_map(file.parent, "viewer").meta["map_version"] == field.status()["map_version"]


def test_training_is_resumed_and_paused_for_everybody(page: Page, field: SemanticField) -> None:
    page.press_button("Resume training")
    page.wait_for(lambda _: field.status()["state"] == "training", "training")
    wait_for_text(page, "Pause training")
    page.press_button("Pause training")
    page.wait_for(lambda _: field.status()["state"] == "paused", "pause")
