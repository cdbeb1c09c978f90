"""Which web pages may talk to the viewer: its own, and no other one that a person has open."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from semantic_field_ros.viewer.serving import Process

logger = logging.getLogger(__name__)

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


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


def foreign_pages_refused(process: Process, only_local: bool) -> Process:
    """Answers as `process` does, and 403 to the pages of others."""

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Awaitable[Response | None] | Response | None:
        if allowed(request.headers, only_local):
            return process(connection, request)
        logger.warning("refused a web page of %s", request.headers.get("Origin"))
        return connection.respond(HTTPStatus.FORBIDDEN, "this page is not the viewer's own\n")

    return process_request
