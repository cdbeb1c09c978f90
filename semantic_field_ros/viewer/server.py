"""The web viewer: a page for any number of browsers beside a map that goes on learning."""

from __future__ import annotations

import logging
import socket
import threading
from dataclasses import dataclass
from functools import partial

from viser import ClientHandle, ViserServer

from semantic_field_ros.engine import SemanticField
from semantic_field_ros.viewer.live import LiveMap
from semantic_field_ros.viewer.origins import LOCAL_HOSTS, foreign_pages_refused
from semantic_field_ros.viewer.scene import prepare
from semantic_field_ros.viewer.serving import served_through
from semantic_field_ros.viewer.session import Session
from semantic_field_ros.viewer.software import cheaper_in_software

logger = logging.getLogger(__name__)

#: vertical field of view that browsers start with.
FOV_RAD = 1.1
BRAND = (40, 90, 150)


@dataclass(frozen=True)
class ViewerOptions:
    """How the page is served.

    Attributes:
        host: address of this machine to listen on; only the default keeps others out.
        port: TCP; the next free one if it is taken.
        most_points: of the cloud that browsers get.
        most_browsers: that may ask; more may watch, a coarse cloud.

    Raises:
        ValueError: numbers that cannot be, or a host on which nothing here can listen.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    most_points: int = 60_000
    most_browsers: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536 or self.most_points < 1 or self.most_browsers < 1:
            raise ValueError(
                f"expected a port below 65536, points and browsers above 0, got {self}"
            )
        _check_host(self.host)


def _check_host(host: str) -> None:
    """Raises ValueError unless this machine has the address; viser would wait for it for ever."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as trial:
                trial.bind(address)
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"host must be an address of this machine, got {host!r}: {error}"
        ) from None


class Viewer:
    """Serves a map to browsers from its own threads; the field is owned by the caller.

    Args:
        field: the map, started or not.
        options: where to listen, what to send.
    """

    def __init__(self, field: SemanticField, options: ViewerOptions | None = None) -> None:
        self._field, self._options = field, options or ViewerOptions()
        only_local = self._options.host in LOCAL_HOSTS
        if not only_local:
            logger.warning(
                "the viewer listens on %s: whoever reaches it can ask, pause training and "
                "save files into the map folder",
                self._options.host,
            )
        refused = partial(foreign_pages_refused, only_local=only_local)
        with served_through(cheaper_in_software, refused):
            self._server = ViserServer(
                self._options.host, self._options.port, label="semantic field", verbose=False
            )
        self._server.gui.configure_theme(
            show_logo=False, show_share_button=False, brand_color=BRAND
        )
        self._server.gui.main_panel.dock_right()
        self._server.initial_camera.fov = FOV_RAD
        prepare(self._server.scene)
        self._live = LiveMap(self._server, field, self._options.most_points, self._catch_up)
        self._sessions: dict[int, Session] = {}
        self._lock = threading.Lock()
        self._live.start()
        self._server.on_client_connect(self._connected)
        self._server.on_client_disconnect(self._disconnected)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes."""
        self.close()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self._server.get_host()}:{self._server.get_port()}"

    def close(self) -> None:
        """Ends the page and its threads."""
        self._live.stop()
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()
        self._server.stop()

    def _connected(self, client: ClientHandle) -> None:
        with self._lock:
            if len(self._sessions) >= self._options.most_browsers:
                client.gui.add_markdown(
                    f"**{self._options.most_browsers} browsers ask already**: this one may watch."
                )
                return
            if client.client_id not in self._server.get_clients():
                return  # gone before it was served
            self._sessions[client.client_id] = Session(client, self._field, self._live)

    def _disconnected(self, client: ClientHandle) -> None:
        with self._lock:
            session = self._sessions.pop(client.client_id, None)
        if session is not None:
            session.close()

    def _catch_up(self) -> None:
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.catch_up()
