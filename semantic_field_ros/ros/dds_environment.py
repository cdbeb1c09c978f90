"""What ROS 2's environment variables say about discovery, as a Cyclone DDS configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

MAX_DOMAIN_ID = 232
RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
_MAX_PARTICIPANTS = 32
#: bytes that may lie in a socket; a VGA image and its depth are 1.5 MB, Cyclone asks for 1 MB.
SOCKET_BYTES = 10 * 2**20
# Cyclone 11 drops what reaches it on an interface that it did not select; the Cyclone 0.10 of
# ROS 2 sends to 127.0.0.1 from whichever interface it chose. A configuration of the user's may
# choose interfaces itself, and none may be chosen twice.
_LOOPBACK = '<Interfaces><NetworkInterface address="127.0.0.1" multicast="false"/></Interfaces>'


@dataclass(frozen=True)
class DdsEnvironment:
    """Where a node lives.

    Attributes:
        domain_id: 0 to 232.
        configuration: XML fragments and file URIs, comma separated; later ones win.
        distro: ROS distribution whose wire format is spoken.
    """

    domain_id: int
    configuration: str
    distro: str


def read_environment(variables: Mapping[str, str] = os.environ) -> DdsEnvironment:
    """Reads the variables that rcl and rmw_cyclonedds_cpp obey.

    Raises:
        ValueError: a variable with a value that ROS does not know.
    """
    text = variables.get("ROS_DOMAIN_ID", "") or "0"
    if not text.isdigit() or int(text) > MAX_DOMAIN_ID:
        raise ValueError(f"ROS_DOMAIN_ID must be 0 to {MAX_DOMAIN_ID}, got {text!r}")
    reach = (variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "") or "SUBNET").upper()
    if reach not in RANGES:
        raise ValueError(f"ROS_AUTOMATIC_DISCOVERY_RANGE must be one of {RANGES}, got {reach!r}")
    peers = [p for p in variables.get("ROS_STATIC_PEERS", "").split(";") if p]
    if variables.get("ROS_LOCALHOST_ONLY", "0") == "1":
        reach, peers = "LOCALHOST", []
    own = variables.get("CYCLONEDDS_URI", "")
    configuration = _configuration(reach, peers, "" if own else _LOOPBACK) + own
    return DdsEnvironment(int(text), configuration, variables.get("ROS_DISTRO", "") or "jazzy")


def _configuration(reach: str, peers: list[str], loopback: str) -> str:
    """The fragment for a discovery range, ending in a comma.

    It is that of rmw, but for `loopback` and for sockets in which images find room.
    """
    if reach == "SYSTEM_DEFAULT":
        return ""
    general = "" if reach == "SUBNET" else "<AllowMulticast>false</AllowMulticast>"
    if reach == "LOCALHOST":
        general += loopback
    if reach == "OFF":
        inner = (
            f"<ParticipantIndex>none</ParticipantIndex><Tag>ros_discovery_off_{os.getpid()}</Tag>"
        )
    else:
        addresses = (["localhost"] if reach == "LOCALHOST" else []) + peers
        listed = "".join(f"<Peer address={quoteattr(address)}/>" for address in addresses)
        inner = (
            "<ParticipantIndex>auto</ParticipantIndex>"
            f"<MaxAutoParticipantIndex>{_MAX_PARTICIPANTS}</MaxAutoParticipantIndex>"
            f"<Peers>{listed}</Peers>"
        )
    return (
        f"<CycloneDDS><Domain><General>{general}</General>"
        f"<Discovery>{inner}</Discovery>"
        f'<Internal><SocketReceiveBufferSize max="{SOCKET_BYTES} B"/></Internal>'
        "</Domain></CycloneDDS>,"
    )
