"""The panel that all browsers share: what the map is doing, and the switch that pauses it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
from viser import GuiApi

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.keyframes.selection import KEPT, Reason

#: measurements in the chart of PSNR.
CHART_LENGTH = 300
_KEPT = {reason.value for reason in KEPT}
_STILL = {Reason.STILL.value, Reason.STALE.value}


class ProgressPanel:
    """Keyframes, steps, PSNR, backlog and drops.

    Args:
        gui: of all browsers.
        field: what the switch pauses.
    """

    def __init__(self, gui: GuiApi, field: SemanticField) -> None:
        self._field = field
        self._started_s = time.monotonic()
        self._history: deque[tuple[float, float]] = deque(maxlen=CHART_LENGTH)
        with gui.add_folder("Map", order=0):
            self._text = gui.add_markdown("")
            self._chart = gui.add_uplot(
                (np.zeros(1), np.zeros(1)),
                ({"label": "s"}, {"label": "PSNR [dB]", "stroke": "#ff6000", "width": 2}),
                scales={"x": {"time": False}},
                height=110,
                visible=False,
            )
            self._switch = gui.add_button("Pause training")
        self._switch.on_click(lambda _: self._toggle())

    def show(self, status: dict[str, Any]) -> None:
        """Puts a status of the field on the page, if anything has changed."""
        text = progress_text(status)
        if text != self._text.content:
            self._text.content = text
        label = "Resume training" if status["state"] == "paused" else "Pause training"
        if label != self._switch.label:
            self._switch.label = label
        if status["state"] == "training" and status["psnr_db"] is not None:
            self._history.append((time.monotonic() - self._started_s, status["psnr_db"]))
            seconds, psnr_db = np.array(self._history).T
            self._chart.data = (seconds, psnr_db)
            self._chart.visible = len(self._history) > 1

    def refused(self, why: str) -> None:
        """Puts on the page why there is no status."""
        if why != self._text.content:
            self._text.content = why

    def _toggle(self) -> None:
        try:
            paused = self._field.status()["state"] == "paused"
            (self._field.resume if paused else self._field.pause)()
            self.show(self._field.status())
        except RuntimeError as error:  # a node that is not active does not train
            self.refused(str(error))


def progress_text(status: dict[str, Any]) -> str:
    """Markdown of a `SemanticField.status`."""
    frames = status["frames"]
    dropped = {reason: n for reason, n in frames.items() if n and reason not in _KEPT | _STILL}
    dropped |= status["refused"]
    if status["features_dropped"]:
        dropped["features not made"] = status["features_dropped"]
    pace = f", {status['steps_per_s']:.1f} per s" if status["steps_per_s"] else ""
    psnr = "–" if status["psnr_db"] is None else f"{status['psnr_db']:.1f} dB"
    seen = f" of {sum(frames.values())} frames" if frames else ""
    rows = {
        "map": f"version {status['map_version']}, {status['surface_points']:,} points",
        "keyframes": f"{status['keyframes']}{seen}",
        "steps": f"{status['steps']}{pace}",
        "PSNR": psnr,
        "features": f"{status['features_done']} done, {status['feature_backlog']} waiting",
        "dropped": ", ".join(f"{n} {reason}" for reason, n in dropped.items()) or "nothing",
    }
    why = f": {status['message']}" if status["message"] else ""
    lines = [f"**{status['state']}**{why}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join(lines)
