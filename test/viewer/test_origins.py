"""Only the viewer's own page may talk to it."""

from collections.abc import Iterator
from functools import partial

import pytest
from viser import ViserServer, __version__
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from semantic_field_ros.viewer.origins import allowed, foreign_pages_refused
from semantic_field_ros.viewer.serving import served_through


@pytest.mark.parametrize(
    ("origin", "host", "locally", "from_elsewhere"),
    [
        (None, "127.0.0.1:8080", True, True),  # no browser
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True, True),
        ("http://localhost:9000", "localhost:9000", True, True),  # a forwarded port
        ("http://[::1]:8080", "[::1]:8080", True, True),
        ("http://robot.lan:8080", "robot.lan:8080", False, True),  # or a name that leads astray
        ("https://example.com", "127.0.0.1:8080", False, False),
        ("http://127.0.0.1:3000", "127.0.0.1:8080", False, False),  # another local page
        ("null", "127.0.0.1:8080", False, False),  # a file, a sandboxed frame
    ],
)
def test_a_page_may_talk_to_where_it_came_from(
    origin: str | None, host: str, locally: bool, from_elsewhere: bool
) -> None:
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    assert allowed(headers, only_local=True) is locally
    assert allowed(headers, only_local=False) is from_elsewhere


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served_through(partial(foreign_pages_refused, only_local=True)):
        server = ViserServer("127.0.0.1", 8431, verbose=False)
    yield server.get_port()
    server.stop()


def shake_hands(port: int, origin: str | None) -> None:
    protocol = Subprotocol(f"viser-v{__version__}")
    page = None if origin is None else Origin(origin)
    url = f"ws://127.0.0.1:{port}"
    with connect(url, origin=page, subprotocols=[protocol], proxy=None) as socket:
        assert socket.recv(timeout=10)


def test_the_viewers_own_page_and_programs_are_served(port: int) -> None:
    shake_hands(port, f"http://127.0.0.1:{port}")
    shake_hands(port, None)


def test_the_page_of_another_is_refused_before_anything_is_said(port: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        shake_hands(port, "https://example.com")
    assert refused.value.response.status_code == 403
