"""The web server of viser, with something of ours between a request and its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from websockets.asyncio import server
from websockets.http11 import Request, Response

#: What answers a request; None lets a websocket be opened.
Process = Callable[
    [server.ServerConnection, Request], Awaitable[Response | None] | Response | None
]


@contextmanager
def served_through(*wraps: Callable[[Process], Process]) -> Iterator[None]:
    """Websocket servers that are started meanwhile answer through wraps, the last one first.

    viser starts its own and passes no such option on, so it is handed one that has it.
    """
    serve = server.serve
    server.serve = partial(_Wrapped, wraps)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        server.serve = serve  # type: ignore[misc]


class _Wrapped(server.serve):
    def __init__(
        self,
        wraps: tuple[Callable[[Process], Process], ...],
        *args: Any,
        process_request: Process,
        **options: Any,
    ) -> None:
        for wrap in wraps:
            process_request = wrap(process_request)
        super().__init__(*args, process_request=process_request, **options)
