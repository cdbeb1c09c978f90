"""From what was typed or pointed at to what the façade answers, as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.models.base import Prompts
from semantic_field_ros.queries.base import ClickQuery, ViewMask
from semantic_field_ros.queries.composition import parse
from semantic_field_ros.types import Mask3D, QueryAnswer
from semantic_field_ros.viewer.pointing import Pointed


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        masks: best first; none if nothing was found.
        text: Markdown for the page: found or not, score, why, how long it took.
    """

    masks: tuple[Mask3D, ...]
    text: str


#: can be asked again when the map has grown.
Question = Callable[[], Reply]


def phrase_question(field: SemanticField, phrase: str) -> Question:
    """Where is what a phrase names? Plain English relations and exclusions are understood."""
    return lambda: _reply(field.query_text(parse(phrase)), phrase.strip())


def pointed_question(field: SemanticField, pointed: Pointed) -> Question:
    """What is that? In the map, in a photo, or in a rendered view."""
    positive = np.array(pointed.positive, np.bool_)
    view = pointed.view
    if view is None:
        points = np.stack(pointed.points).astype(np.float32)
        in_map = ClickQuery(points_world=points, positive=positive)
        return lambda: _reply(field.query_click(in_map), "what you pointed at")
    pixels = np.array(pointed.points, np.float32).reshape(-1, 2)
    if view.keyframe_id is not None:
        in_photo = ClickQuery(
            pixels=pixels,
            positive=positive,
            box_px=pointed.box_px,
            keyframe_id=view.keyframe_id,
        )
        return lambda: _reply(field.query_click(in_photo), "what you pointed at")
    prompts = Prompts(pixels, positive, pointed.box_px)
    camera, pose = view.camera, view.world_from_camera
    return lambda: _view_reply(field.segment_view(camera, pose, prompts))


def _reply(answer: QueryAnswer, what: str) -> Reply:
    took = f"{answer.latency_s:.2f} s, map {answer.map_version}"
    if not answer.found:
        return Reply((), f"**Not found**: {answer.reason}\n\n_{took}_")
    others = "" if len(answer.masks) == 1 else f" and {len(answer.masks) - 1} more"
    size_cm = " × ".join(f"{100 * edge:.0f}" for edge in answer.masks[0].box.size)
    text = f"**Found** {what}{others}\n\nscore **{answer.score:.2f}** · {size_cm} cm\n\n_{took}_"
    return Reply(tuple(answer.masks), text)


def _view_reply(answer: ViewMask) -> Reply:
    took = f"{answer.latency_s:.2f} s, map {answer.map_version}, in the rendered view"
    if not answer.found:
        return Reply((), f"**Not found**: {answer.reason}\n\n_{took}_")
    if answer.on_surface is None:
        return Reply((), f"**Not found**: the mask shows next to no surface\n\n_{took}_")
    return Reply(
        (answer.on_surface,),
        f"**Found** what you pointed at\n\nscore **{answer.score:.2f}**\n\n_{took}_",
    )
