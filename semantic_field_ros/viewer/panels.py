"""The panels of one browser: ask, look, save. What they hold, not what they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from viser import (
    GuiApi,
    GuiButtonHandle,
    GuiCheckboxHandle,
    GuiDropdownHandle,
    GuiMarkdownHandle,
    GuiSliderHandle,
    GuiTextHandle,
)

from semantic_field_ros.viewer.saving import KINDS
from semantic_field_ros.viewer.views import LAYERS

#: what the cloud can be coloured by.
SURFACE_LAYERS = ("colour", "relevancy", "instances", "features")
HINT = (
    "Type a phrase and press Enter, or **click** what you mean. **Shift-click**: not this. "
    "**Ctrl-click**: this too. **Ctrl-drag**: a box."
)


@dataclass(frozen=True)
class Actions:
    """What the panels call; each returns at once.

    Attributes:
        find: a phrase was entered.
        clear: forget the question.
        show_layer: another layer of the surface was chosen.
        show_cameras: the frustums are wanted or not.
        look_through: open the chosen keyframe.
        render_here: open a picture from where the browser is.
        show_picture: another layer of the picture was chosen.
        close_picture: back to the map.
        save: one of KINDS.
    """

    find: Callable[[], None]
    clear: Callable[[], None]
    show_layer: Callable[[], None]
    show_cameras: Callable[[], None]
    look_through: Callable[[], None]
    render_here: Callable[[], None]
    show_picture: Callable[[], None]
    close_picture: Callable[[], None]
    save: Callable[[str], None]


@dataclass(frozen=True)
class AskPanel:
    """Phrase, verdict, and whether to ask again whenever the map has grown."""

    phrase: GuiTextHandle
    verdict: GuiMarkdownHandle
    follow: GuiCheckboxHandle


@dataclass(frozen=True)
class LookPanel:
    """Layers of the surface and of the picture, and which camera to look through."""

    surface: GuiDropdownHandle[str]
    cameras: GuiCheckboxHandle
    keyframe: GuiSliderHandle[int]
    picture: GuiDropdownHandle[str]
    close: GuiButtonHandle


@dataclass(frozen=True)
class SavePanel:
    """Name of the file."""

    name: GuiTextHandle


def add_ask_panel(gui: GuiApi, actions: Actions) -> AskPanel:
    """Where questions are typed and answers are told."""
    with gui.add_folder("Ask", order=1):
        with gui.add_form(None) as form:
            phrase = gui.add_text("Find", "")
        form.on_submit(lambda _: actions.find())
        verdict = gui.add_markdown(HINT)
        follow = gui.add_checkbox(
            "Keep up", True, hint="ask again whenever the map has become better"
        )
        gui.add_button("Clear").on_click(lambda _: actions.clear())
    return AskPanel(phrase, verdict, follow)


def add_look_panel(gui: GuiApi, actions: Actions) -> LookPanel:
    """What is looked at, and from where."""
    with gui.add_folder("Look", order=2):
        surface = gui.add_dropdown("Surface", SURFACE_LAYERS)
        surface.on_update(lambda _: actions.show_layer())
        cameras = gui.add_checkbox("Cameras", True, hint="where the keyframes were taken")
        cameras.on_update(lambda _: actions.show_cameras())
        keyframe = gui.add_slider(
            "Keyframe", 0, 1, 1, 0, hint="which camera; or click one in the scene"
        )
        gui.add_button("Look through camera").on_click(lambda _: actions.look_through())
        gui.add_button(
            "Render from here", hint="a picture by the map, from where you are"
        ).on_click(lambda _: actions.render_here())
        picture = gui.add_dropdown("Picture", LAYERS)
        picture.on_update(lambda _: actions.show_picture())
        close = gui.add_button("Back to the map", visible=False)
        close.on_click(lambda _: actions.close_picture())
    return LookPanel(surface, cameras, keyframe, picture, close)


def add_save_panel(gui: GuiApi, actions: Actions) -> SavePanel:
    """What is written into the map folder."""
    with gui.add_folder("Save", order=3, expand_by_default=False):
        name = gui.add_text("Name", "viewer", hint="of the file")
        gui.add_markdown(
            "Written into the folder that `map.folder` names. While an answer is shown, the cloud "
            "is labelled with it and the mesh is of it alone."
        )
        for kind in KINDS:
            _add_save_button(gui, kind, actions)
    return SavePanel(name)


def _add_save_button(gui: GuiApi, kind: str, actions: Actions) -> None:
    gui.add_button(f"Save {kind}").on_click(lambda _: actions.save(kind))


def set_value(
    handle: GuiTextHandle | GuiDropdownHandle[str] | GuiSliderHandle, to: object
) -> None:
    """Changes what a panel holds, as the person at the page would."""
    handle.value = to  # type: ignore[misc]  # viser's setters are hidden from type checkers
