"""One browser: its question, its picture, its layer. All of it goes when the browser does."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray
from viser import ClientHandle, SceneClickEvent, SceneRectSelectEvent

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.queries.layers import principal_colours
from semantic_field_ros.types import Mask3D, SurfaceCloud
from semantic_field_ros.viewer import scene
from semantic_field_ros.viewer.asking import Question, phrase_question, pointed_question
from semantic_field_ros.viewer.colours import instance_colours, relevancy_colours
from semantic_field_ros.viewer.errands import Errands
from semantic_field_ros.viewer.live import LiveMap
from semantic_field_ros.viewer.panels import (
    HINT,
    Actions,
    add_ask_panel,
    add_look_panel,
    add_save_panel,
    set_value,
)
from semantic_field_ros.viewer.pointing import Pointed, View, camera_hit, hit, window_ray
from semantic_field_ros.viewer.saving import save
from semantic_field_ros.viewer.views import lit, picture
from semantic_field_ros.viewer.window import Window

#: a layer or an answer that the training thread overtook is made anew this often.
ATTEMPTS = 3
#: seconds that a new page has for the coarse cloud before the fine one comes.
COARSE_S = 1.5


class Session:
    """Serves one browser; its work is done in one thread of its own, in order.

    Args:
        client: the browser.
        field: the map.
        live: what all browsers share.
    """

    def __init__(self, client: ClientHandle, field: SemanticField, live: LiveMap) -> None:
        self._client, self._field, self._live = client, field, live
        self._errands = Errands(f"browser-{client.client_id}", self._complain)
        self._window = Window(client)
        self._pointed = Pointed()
        self._question: Question | None = None
        self._masks: tuple[Mask3D, ...] = ()
        self._view: View | None = None
        self._drawn: SurfaceCloud | None = None
        self._opened_s = time.monotonic()
        do = self._errands.do
        actions = Actions(
            find=lambda: do(self._find),
            clear=lambda: do(self._clear),
            show_layer=lambda: do(self._show_layer),
            show_cameras=lambda: do(self._show_cameras),
            look_through=lambda: do(self._look_through),
            render_here=lambda: do(self._render_here),
            show_picture=lambda: do(self._show_picture),
            close_picture=lambda: do(self._close_picture),
            save=lambda kind: do(partial(self._save, kind)),
        )
        with client.atomic():
            self._ask = add_ask_panel(client.gui, actions)
            self._look = add_look_panel(client.gui, actions)
            self._name = add_save_panel(client.gui, actions)
            for modifier in (None, "shift", "cmd/ctrl"):
                client.scene.on_click(modifier=modifier)(self._on_click)  # type: ignore[arg-type]
            client.scene.on_rect_select(modifier="cmd/ctrl")(self._on_box)

    def close(self) -> None:
        """The browser is gone."""
        self._errands.close()

    def catch_up(self) -> None:
        """Once a second: unless the browser waits for something, it is brought up to date."""
        is_old = self._live.surface is not self._drawn
        if is_old and time.monotonic() - self._opened_s > COARSE_S:
            self._errands.do_if_idle(self._grown)

    def _grown(self) -> None:
        last = max(len(self._field.keyframes()) - 1, 1)
        if self._look.keyframe.max != last:
            self._look.keyframe.max = last
        self._show_layer()
        if self._question is not None and self._ask.follow.value:
            self._answer(self._question)

    def _complain(self, why: str) -> None:
        self._client.add_notification("", why, auto_close_seconds=8.0, color="red")

    def _surface(self) -> SurfaceCloud:
        surface = self._field.surface()
        if surface is None:
            raise RuntimeError("there is no map yet: it comes with the first keyframes")
        return surface

    # What is asked.

    def _find(self) -> None:
        phrase = self._ask.phrase.value
        self._pointed = Pointed(view=self._view)
        self._answer(phrase_question(self._field, phrase))
        if self._look.surface.value == "relevancy":
            self._show_layer()

    def _clear(self) -> None:
        self._question, self._masks, self._pointed = None, (), Pointed(view=self._view)
        self._ask.verdict.content = HINT
        set_value(self._ask.phrase, "")
        if self._look.surface.value == "relevancy":
            set_value(self._look.surface, "colour")
        scene.clear_answer(self._client.scene)
        self._show_picture()

    def _on_click(self, event: SceneClickEvent) -> None:
        ray = np.asarray(event.ray_origin), np.asarray(event.ray_direction)
        self._errands.do(partial(self._click, *ray, event.modifier))

    def _on_box(self, event: SceneRectSelectEvent) -> None:
        self._errands.do(partial(self._box, event.screen_min, event.screen_max))

    def _click(
        self, origin: NDArray[np.float64], direction: NDArray[np.float64], modifier: str | None
    ) -> None:
        """Plain: this. Shift: not this. Ctrl: this too."""
        point: NDArray[np.floating] | None
        if self._view is not None:
            point = self._view.pixel_of(origin, direction)
        else:
            point = hit(self._surface(), origin, direction)
            if self._look.cameras.value and self._clicked_camera(origin, direction, point):
                return
            if point is None:
                raise ValueError("there is nothing of the map where you clicked")
        begun = self._pointed if modifier else Pointed(view=self._view)
        if self._view is None and begun.view is not None:  # a box was drawn in the map
            point = begun.view.pixel_at(point)
            if point is None:
                raise ValueError("that was out of sight when the box was drawn: click anew")
        self._pointed = begun.plus(point, modifier != "shift")
        self._answer(pointed_question(self._field, self._pointed))

    def _clicked_camera(
        self,
        origin: NDArray[np.float64],
        direction: NDArray[np.float64],
        point: NDArray[np.floating] | None,
    ) -> bool:
        """Opens the camera under the pointer, if there is one in front of the surface."""
        views = self._field.keyframes()
        eyes = np.array([view.world_from_camera[:3, 3] for view in views]).reshape(-1, 3)
        before_m = np.inf if point is None else float(np.linalg.norm(point - origin))
        which = camera_hit(eyes, origin, direction, before_m)
        if which is not None:
            set_value(self._look.keyframe, which)
            self._look_through()
        return which is not None

    def _box(self, screen_min: tuple[float, float], screen_max: tuple[float, float]) -> None:
        """A box around what is meant, in the open picture or in what the window shows."""
        window = self._window.view()
        view = self._view or window
        corners = [view.pixel_of(*window_ray(window, at)) for at in (screen_min, screen_max)]
        box_px = np.concatenate(corners).astype(np.float32)
        self._pointed = Pointed(view=view, box_px=box_px)
        self._answer(pointed_question(self._field, self._pointed))

    def _answer(self, question: Question) -> None:
        """Asks, and shows all at once: each picture of the cloud costs where there is no GPU."""
        reply = question()
        self._question, self._masks = question, reply.masks
        surface = self._field.surface()
        with self._client.atomic():
            self._draw_clicks()
            if surface is not None:
                scene.draw_answer(self._client.scene, self._masks, surface)
            self._ask.verdict.content = reply.text
        self._show_picture()

    def _draw_clicks(self) -> None:
        surface = self._live.surface
        if surface is not None:
            spacing_m = float(np.median(surface.spacing_m))
            scene.draw_clicks(self._client.scene, self._pointed, spacing_m)

    # What is looked at.

    def _show_layer(self) -> None:
        """Draws this browser's own, fine cloud over the coarse one of all browsers."""
        layer = self._look.surface.value
        if layer == "colour" and self._field.surface() is None:  # the map was reset
            scene.clear_surface(self._client.scene)
            scene.clear_answer(self._client.scene)
            self._drawn, self._masks = None, ()
            return
        try:
            surface, colours = self._layer(layer)
        except Exception:
            set_value(self._look.surface, "colour")  # which has it drawn
            raise
        with self._client.atomic():
            shown = self._live.shown(surface)
            scene.draw_surface(self._client.scene, surface, shown, colours)
        self._drawn = surface

    def _layer(self, layer: str) -> tuple[SurfaceCloud, NDArray[np.uint8]]:
        """A surface with (N, 3) colours of one and the same map version."""
        for _ in range(ATTEMPTS):
            surface = self._surface()
            colours = self._colours(layer, surface)
            if colours is not None:
                return surface, colours
        raise RuntimeError("the map changes faster than it can be drawn: try again")

    def _colours(self, layer: str, surface: SurfaceCloud) -> NDArray[np.uint8] | None:
        """(N, 3) colours of a surface; None if the map has changed meanwhile."""
        if layer == "colour":
            return surface.rgb
        if layer == "features":
            known = surface.features.get("sam_features")
            if known is None:
                raise ValueError("semantics.methods must hold 'sam_features' to show features")
            return principal_colours(np.asarray(known, np.float32))
        if layer == "relevancy":
            phrase = self._ask.phrase.value
            if not phrase.strip():
                raise ValueError("relevancy needs a phrase: type one into Find")
            relevancy = self._field.relevancy(phrase)
            same = self._field.surface() is surface and len(relevancy) == len(surface.points)
            return relevancy_colours(relevancy, surface.rgb) if same else None
        number = np.zeros(len(surface.points), np.int64)
        for position, mask in reversed(list(enumerate(self._field.instances(()).masks))):
            if mask.map_version != surface.map_version:
                return None
            number[mask.indices] = position + 1
        return instance_colours(number, surface.rgb)

    def _show_cameras(self) -> None:
        scene.show_cameras(self._client.scene, self._look.cameras.value)

    def _look_through(self) -> None:
        views = self._field.keyframes()
        if not views:
            raise RuntimeError("there is no keyframe yet")
        chosen = views[min(int(self._look.keyframe.value), len(views) - 1)]
        frame = self._field.keyframe(chosen.keyframe_id)
        if frame is None:
            raise RuntimeError("this keyframe has just been dropped: choose another one")
        view = View(frame.camera, frame.world_from_camera, chosen.keyframe_id, frame.rgb)
        self._open(view)
        self._window.enter(view)

    def _render_here(self) -> None:
        self._open(self._window.view())

    def _open(self, view: View) -> None:
        self._pointed, self._view = Pointed(view=view), view
        self._draw_clicks()
        self._look.close.visible = True
        self._show_picture()

    def _show_picture(self) -> None:
        view = self._view
        if view is None:
            return
        image = picture(self._field, view, self._look.picture.value, self._ask.phrase.value)
        surface = self._field.surface()
        if surface is not None and self._masks:
            image = lit(image, view, surface, self._masks)
        scene.draw_picture(self._client.scene, image, view)

    def _close_picture(self) -> None:
        self._view, self._pointed = None, Pointed()
        self._look.close.visible = False
        scene.clear_picture(self._client.scene)
        self._window.leave()

    # What is saved.

    def _save(self, kind: str) -> None:
        for left in reversed(range(ATTEMPTS)):
            masks = self._question().masks if self._question is not None and kind != "map" else ()
            try:
                path = save(self._field, kind, self._name.name.value, masks)
                break
            except ValueError:  # the map has grown between question and file
                if not left or not masks:
                    raise
        self._client.add_notification("Saved", str(path), auto_close_seconds=8.0, color="green")
