"""How long a person waits for the web viewer, in a real browser."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from semantic_field_ros.config import Config
from semantic_field_ros.engine import SemanticField
from semantic_field_ros.evaluation.browser import Browser, Page
from semantic_field_ros.evaluation.streaming import stream_into, wait_until
from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.viewer.server import Viewer, ViewerOptions

SEED, SECONDS = 1007, 60.0
#: things that are clicked in the scene, each in a page of its own, pixels.
CLICKED = ((565.0, 455.0), (370.0, 385.0), (595.0, 405.0))
SCENE = (slice(200, 760), slice(20, 900))
#: share of the scene that must not be background; pixels of an answer.
DRAWN_SHARE, LIT_PX = 0.2, 200
#: seconds before a click, in which the first, coarse cloud has given way to the whole one.
LOOKING_S = 5.0
PORT = 8321


def viewer_times() -> dict[str, Any]:
    """Seconds from opening to the first picture, and from a click to its mask on the screen.

    Once while training goes on (`training`), and once where it has stopped, as it has on a saved
    map; the browser draws without a GPU, on the same cores, and every look at its page is part of
    the time.
    """
    with SemanticField(Config()) as field:
        run = stream_into(field, SyntheticSource("table", SEED), Holdout())
        wait_until(run, SECONDS)
        training = visits(field)
        field.pause()
        return visits(field) | {"training": training}


def visits(field: SemanticField) -> dict[str, Any]:
    """The times on a map that is there, and the median of each."""
    with Viewer(field, ViewerOptions(port=PORT)) as viewer, Browser() as browser:
        times = [visit(browser, viewer.url, at) for at in CLICKED]
    opened_s, lit_s = zip(*times, strict=True)
    return {
        "first_picture_s": statistics.median(opened_s),
        "click_to_mask_s": statistics.median(lit_s),
        "first_pictures_s": opened_s,
        "clicks_to_mask_s": lit_s,
    }


def visit(browser: Browser, url: str, at: tuple[float, float]) -> tuple[float, float]:
    """Seconds to the first picture of a new page, and from a click at a place to its mask."""
    page = browser.open(url)
    opened_s = page.wait_for(lambda p: _says(p, "Ask") and _drawn(p) > DRAWN_SHARE, "picture")
    time.sleep(LOOKING_S)
    before = _lit(page)
    page.click(*at)
    lit_s = page.wait_for(lambda p: _says(p, "Found") and _lit(p) > before + LIT_PX, "mask")
    page.command("Page.close")
    return opened_s, lit_s


def _says(page: Page, text: str) -> bool:
    """Asked before a screenshot is taken, which costs more than what is measured."""
    return text in page.text()


def _drawn(page: Page) -> float:
    return float((page.screenshot()[SCENE].min(axis=-1) < 225).mean())


def _lit(page: Page) -> int:
    red, green, blue = np.moveaxis(page.screenshot()[SCENE].astype(int), -1, 0)
    return int(((red > 185) & (green > 60) & (green < 150) & (blue < 75)).sum())
