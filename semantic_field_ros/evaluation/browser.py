"""A headless Chromium, driven over its DevTools protocol: what a person would do and see."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: seconds for the browser to start and for one command of the protocol.
PATIENCE_S = 120.0
#: seconds between two looks at the page.
LOOK_EVERY_S = 0.05
#: seconds over which an element must not move to be clicked.
STILL_S = 0.15
SHIFT, CTRL = 8, 2
_FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Path of an installed Chromium, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One Chromium with any number of pages; close it, or use it as a context manager.

    Args:
        size: (width, height) of its pages, pixels.

    Raises:
        RuntimeError: none is installed, or it does not start.
    """

    def __init__(self, size: tuple[int, int] = (1280, 800)) -> None:
        from websockets.sync.client import connect

        path = find_chromium()
        if path is None:
            raise RuntimeError(f"a browser is needed, one of {NAMES}: apt-get install chromium")
        self._profile = tempfile.TemporaryDirectory(
            prefix="semantic-field-browser-", ignore_cleanup_errors=True
        )
        flags = [
            *_FLAGS,
            f"--user-data-dir={self._profile.name}",
            f"--window-size={size[0]},{size[1]}",
        ]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen([path, *flags], stdout=silent, stderr=silent)
        self._size, self._last_id = size, 0
        try:
            url = f"ws://127.0.0.1:{self._address()}"
            self._socket = connect(url, max_size=None, proxy=None, open_timeout=PATIENCE_S)
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes."""
        self.close()

    def close(self) -> None:
        """Ends the browser and removes its profile."""
        self._socket.close()
        self._end()

    def open(self, url: str) -> Page:
        """A new page; returns before it is loaded."""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        width, height = self._size
        page.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        page.command("Page.navigate", url=url)
        return page

    def command(self, method: str, session: str | None = None, **params: Any) -> Any:
        """The result of one command of the protocol.

        Raises:
            RuntimeError: it was refused.
        """
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if answer.get("id") == self._last_id:
                break
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _address(self) -> str:
        """Port and path of the protocol, which the browser writes into its profile."""
        file = Path(self._profile.name) / "DevToolsActivePort"
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) == 2:
                return f"{lines[0]}{lines[1]}"
            time.sleep(LOOK_EVERY_S)
        raise RuntimeError(f"the browser did not start (exit code {self._process.poll()})")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._profile.cleanup()


class Page:
    """One page of a browser.

    Args:
        browser: that shows it.
        session: of the protocol.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def command(self, method: str, **params: Any) -> Any:
        """One command of the protocol to this page."""
        return self._browser.command(method, self._session, **params)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression.

        Raises:
            RuntimeError: it threw.
        """
        answer = self.command("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    def text(self) -> str:
        """All text that the page shows."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def screenshot(self) -> NDArray[np.uint8]:
        """(H, W, 3) what the page looks like."""
        data = self.command("Page.captureScreenshot", format="jpeg", quality=90)["data"]
        image = PilImage.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        return np.asarray(image, np.uint8)

    def wait_for(
        self, condition: Callable[[Page], bool], what: str, patience_s: float = PATIENCE_S
    ) -> float:
        """Looks at the page until a condition holds; returns the seconds that it took.

        Raises:
            RuntimeError: it did not hold in time.
        """
        started_s = time.monotonic()
        while not self._holds(condition):
            if time.monotonic() - started_s > patience_s:
                raise RuntimeError(f"no {what} within {patience_s:.0f} s; the page: {self.text()}")
            time.sleep(LOOK_EVERY_S)
        return time.monotonic() - started_s

    def _holds(self, condition: Callable[[Page], bool]) -> bool:
        try:
            return condition(self)
        except RuntimeError:  # a page that is being loaded refuses commands
            return False

    def click(self, x: float, y: float, modifiers: int = 0) -> None:
        """Presses and releases the left button."""
        self.drag((x, y), (x, y), modifiers)

    def drag(
        self, start: tuple[float, float], end: tuple[float, float], modifiers: int = 0
    ) -> None:
        """Moves the pointer from one place to another with the left button held."""
        self._mouse("mouseMoved", start, modifiers, "none")
        self._mouse("mousePressed", start, modifiers)
        for share in (0.5, 1.0) if start != end else ():
            at = tuple(a + share * (b - a) for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", at, modifiers)
        self._mouse("mouseReleased", end, modifiers)

    def _mouse(
        self, kind: str, at: tuple[float, ...], modifiers: int, button: str = "left"
    ) -> None:
        self.command(
            "Input.dispatchMouseEvent",
            type=kind,
            x=at[0],
            y=at[1],
            button=button,
            buttons=0 if kind == "mouseReleased" or button == "none" else 1,
            clickCount=1,
            modifiers=modifiers,
        )

    def click_on(self, script: str) -> None:
        """Clicks the middle of the element that a JavaScript expression gives, once it is still.

        Raises:
            RuntimeError: there is no such element.
        """
        middle, before = self._middle_of(script), None
        while middle != before:
            time.sleep(STILL_S)
            before, middle = middle, self._middle_of(script)
        self.click(middle[0], middle[1])

    def _middle_of(self, script: str) -> list[float]:
        middle: list[float] | None = self.evaluate(
            f"(() => {{ const e = {script}; if (!e) return null;"
            " e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        if middle is None:
            raise RuntimeError(f"the page has no {script}")
        return middle

    def press_button(self, label: str) -> None:
        """Clicks a button by its label."""
        self.click_on(_element("button", label))

    def choose(self, label: str, option: str) -> None:
        """Opens the list beside a label and chooses one of its options."""
        self.click_on(_input(label))
        self.wait_for(
            lambda page: bool(page.evaluate(f"!!{_element('[role=option]', option)}")), option
        )
        self.click_on(_element("[role=option]", option))

    def enter(self, label: str, text: str) -> None:
        """Types into the field beside a label, in place of what was there, and presses Enter."""
        self.click_on(_input(label))
        self.evaluate(f"{_input(label)}.select()")
        self.command("Input.insertText", text=text)
        for kind in ("rawKeyDown", "char", "keyUp"):
            self.command(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                text="\r" if kind == "char" else "",
                windowsVirtualKeyCode=13,
            )


def _element(selector: str, text: str) -> str:
    """A JavaScript expression for the visible element with just this text."""
    return (
        f"[...document.querySelectorAll({json.dumps(selector)})].find("
        f"e => e.innerText.trim() === {json.dumps(text)} && e.offsetParent !== null)"
    )


def _input(label: str) -> str:
    """A JavaScript expression for the input in the row that starts with a label."""
    return (
        "(() => { const l = [...document.querySelectorAll('label')].find("
        f"e => e.innerText.trim() === {json.dumps(label)});"
        " if (!l) return null; let e = l;"
        " while (e && !e.querySelector('input:not([type=hidden])')) e = e.parentElement;"
        " return e && e.querySelector('input:not([type=hidden])'); })()"
    )
