"""Which web pages may talk to the viewer: its own, and no other one that a person has open."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio import server
from websockets.http11 import Request, Response

logger = logging.getLogger(__name__)

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

Answer = Response | None
Process = Callable[[server.ServerConnection, Request], Awaitable[Answer] | Answer]


def allowed(headers: Mapping[str, str], only_local: bool) -> bool:
    """Whether a request comes from the page that it asks for, or from no page at all.

    A browser names the page in the header Origin (RFC 6454) and whom it asks in Host, and neither
    can be forged by a page. A page whose own name has been made to lead here has both the same;
    where `only_local` holds, Host must therefore be a name of this machine itself.

    Args:
        headers: of the request.
        only_local: the viewer listens on this machine alone.
    """
    origin, host = headers.get("Origin"), headers.get("Host", "")
    if origin is None:
        return True
    if urlsplit(origin).netloc != host:
        return False
    return not only_local or urlsplit(f"//{host}").hostname in LOCAL_HOSTS


@contextmanager
def foreign_pages_refused(only_local: bool) -> Iterator[None]:
    """Websocket servers that are started meanwhile answer 403 to the pages of others.

    viser starts its own and passes no such option on, so it is handed one that has it.
    """
    serve = server.serve
    server.serve = partial(_Guarded, only_local)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        server.serve = serve  # type: ignore[misc]


class _Guarded(server.serve):
    def __init__(
        self, only_local: bool, *args: Any, process_request: Process, **options: Any
    ) -> None:
        super().__init__(*args, process_request=_guarded(process_request, only_local), **options)


def _guarded(process: Process, only_local: bool) -> Process:
    def process_request(
        connection: server.ServerConnection, request: Request
    ) -> Awaitable[Answer] | Answer:
        if allowed(request.headers, only_local):
            return process(connection, request)
        logger.warning("refused a web page of %s", request.headers.get("Origin"))
        return connection.respond(HTTPStatus.FORBIDDEN, "this page is not the viewer's own\n")

    return process_request
