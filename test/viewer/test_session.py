"""What one browser is served: a page without a browser, on a wall two metres ahead."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from viser import ViserServer

from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.models.base import Prompts
from semantic_field_ros.queries.base import ClickQuery, TextQuery, ViewMask
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.ros.lifecycle import State
from semantic_field_ros.ros.managed_field import ManagedField
from semantic_field_ros.types import PinholeCamera, PosedFrame, QueryAnswer, SurfaceCloud
from semantic_field_ros.viewer.live import LiveMap
from semantic_field_ros.viewer.session import Session

CAMERA = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)
PHOTO = np.zeros((48, 64, 3), np.uint8)
PATIENCE_S = 20.0
COUNTS = ("map_version", "steps", "keyframes", "surface_points")
FEATURES = ("feature_backlog", "features_done", "features_dropped")
STATUS = {"state": "paused", "message": "", "steps_per_s": 0.0, "psnr_db": None}
STATUS |= {"frames": {}, "refused": {}} | dict.fromkeys((*COUNTS, *FEATURES), 0)


def wall() -> SurfaceCloud:
    x, y = (grid.ravel() for grid in np.meshgrid(*[np.arange(-1.5, 1.5, 0.05)] * 2))
    points = np.stack([x, y, np.full_like(x, 2.0)], axis=1).astype(np.float32)
    normals = np.tile(np.float32([0, 0, -1]), (len(points), 1))
    spacing_m = np.full(len(points), 0.05, np.float32)
    return SurfaceCloud(points, normals, np.zeros(points.shape, np.uint8), spacing_m, {}, 1)


class WallField:
    """Finds a piece of the wall, whatever it is asked for, and remembers what that was."""

    def __init__(self) -> None:
        self.shown: SurfaceCloud | None = wall()
        self.asked: list[TextQuery | ClickQuery | Prompts] = []

    def status(self) -> dict[str, Any]:
        return STATUS

    def surface(self) -> SurfaceCloud | None:
        return self.shown

    def keyframes(self) -> list[KeyframeView]:
        return [KeyframeView(5, 0, 1, "c", CAMERA, np.eye(4), True)] if self.shown else []

    def keyframe(self, keyframe_id: int) -> PosedFrame:
        return PosedFrame(1, "c", CAMERA, np.eye(4), PHOTO)

    def query_text(self, query: TextQuery | ClickQuery) -> QueryAnswer:
        self.asked.append(query)
        if self.shown is None:
            return QueryAnswer(False, "there is no map", [], 0.0, 0.0, 0, 0)
        piece = make_mask(self.shown, np.arange(100), np.ones(100, np.float32), "", 0.9)
        return QueryAnswer(True, "", [piece], 0.9, 0.0, 1, 1)

    query_click = query_text

    def segment_view(self, camera: PinholeCamera, pose: np.ndarray, asked: Prompts) -> ViewMask:
        self.asked.append(asked)
        mask = np.zeros((camera.height, camera.width), np.bool_)
        return ViewMask(False, "nothing", mask, 0.0, asked, None, 0.0, 1)


class Page:
    """The page of a browser that stands in the origin and looks along z, 90 degrees wide, beside a
    node."""

    def __init__(self, server: ViserServer) -> None:
        self.state = State.ACTIVE
        self.complaints: list[str] = []
        self.client_id, self.atomic = 0, server.atomic
        self.scene, self.gui = server.scene, server.gui
        self.camera = SimpleNamespace(
            position=np.zeros(3),
            wxyz=np.array([1.0, 0, 0, 0]),
            look_at=np.array([0, 0, 1.0]),
            up_direction=np.array([0, -1.0, 0]),
            fov=np.pi / 2,
            aspect=1.0,
        )
        self.field, self.managed = WallField(), ManagedField(lambda: self.state)
        self.managed.present = self.field
        self.live = LiveMap(server, self.managed, 5000, lambda: None)  # type: ignore[arg-type]
        self.live.look()
        self.session = Session(self, self.managed, self.live)  # type: ignore[arg-type]

    def add_notification(self, title: str, body: str, **_: object) -> None:
        self.complaints.append(body)

    def click(self, x: float, y: float, modifier: str | None = None) -> None:
        """At a place (x, y, 1) from where the browser is."""
        ray = {"ray_origin": (0.0, 0.0, 0.0), "ray_direction": (x, y, 1.0)}
        self.session._on_click(SimpleNamespace(**ray, modifier=modifier))
        self.finish()

    def do(self, errand: str, *arguments: object) -> None:
        self.session._errands.do(lambda: getattr(self.session, errand)(*arguments))
        self.finish()

    def finish(self) -> None:
        done = threading.Event()
        self.session._errands.do(done.set)
        assert done.wait(PATIENCE_S)

    def drawn(self) -> set[str]:
        """The roots of what is in the scene."""
        return {name.split("/")[1] for name in self.scene._handle_from_node_name}


@pytest.fixture()
def page() -> Iterator[Page]:
    server = ViserServer("127.0.0.1", 8461, verbose=False)
    opened = Page(server)
    yield opened
    opened.session.close()
    server.stop()


def test_a_box_in_the_map_may_be_followed_by_what_is_not_meant(page: Page) -> None:
    page.do("_box", (0.25, 0.25), (0.75, 0.75))
    page.click(0.25, -0.5, "shift")
    assert not page.complaints
    boxed, corrected = page.field.asked
    # The window is rendered 400 pixels wide, 200 of them a metre at a distance of one.
    np.testing.assert_allclose(boxed.box_px, [99.5, 99.5, 299.5, 299.5], atol=1e-2)
    np.testing.assert_array_equal(corrected.box_px, boxed.box_px)
    np.testing.assert_allclose(corrected.points_px, [[249.5, 99.5]], atol=1e-2)
    assert corrected.positive.tolist() == [False]
    page.click(0.0, 0.0)
    np.testing.assert_allclose(page.field.asked[-1].points_world, [[0, 0, 2]], atol=1e-2)


def test_what_the_box_was_not_drawn_in_cannot_correct_it(page: Page) -> None:
    page.camera.fov = 0.1
    page.do("_box", (0.25, 0.25), (0.75, 0.75))
    page.click(0.5, 0.5, "shift")
    assert len(page.field.asked) == 1 and "click anew" in page.complaints[0]


@pytest.mark.parametrize("before", ["_find", "_clear", "_show_picture"])
def test_a_point_more_in_a_photo_is_a_pixel_of_it_whatever_was_asked_before(
    page: Page, before: str
) -> None:
    page.click(0.0, 0.0)
    page.do("_look_through")
    page.do(before)
    page.click(0.2, 0.1, "cmd/ctrl")
    assert not page.complaints
    asked = page.field.asked[-1]
    assert asked.keyframe_id == 5 and asked.points_world is None
    np.testing.assert_allclose(asked.pixels, [[41.5, 28.5]], atol=1e-2)


def test_a_reset_takes_what_was_answered_and_pointed_at_from_the_page(page: Page) -> None:
    page.do("_show_layer")
    page.click(0.0, 0.0)
    assert {"surface", "answer", "clicks"} <= page.drawn()
    page.field.shown = None
    page.live.look()
    page.do("_grown")
    assert not {"answer", "clicks"} & page.drawn()
    assert page.session._masks == () and not page.complaints


def test_a_page_beside_a_node_is_emptied_when_that_frees_its_map_and_filled_again(
    page: Page,
) -> None:
    def shown() -> tuple[bool, int]:
        """Whether there are clouds of the surface, and edges of frustums."""
        nodes = page.scene._handle_from_node_name
        return any(n.startswith("/surface/") for n in nodes), len(nodes["/cameras"].points)

    page.do("_show_layer")
    page.click(0.0, 0.0)
    assert shown() == (True, 8) and "answer" in page.drawn()
    page.state, page.managed.present = State.UNCONFIGURED, None
    page.live.look()
    assert shown() == (False, 0) and page.live.surface is None
    assert page.live._progress._text.content == "the node is unconfigured"
    page.do("_grown")
    assert not {"answer", "clicks"} & page.drawn()
    assert page.complaints == ["there is no map: the node is unconfigured"]  # asked again
    page.state, page.managed.present = State.ACTIVE, page.field
    page.live.look()
    assert shown() == (True, 8)
    assert page.live._progress._text.content.startswith("**paused**")
