"""Environment variables of ROS 2."""

import os
import socket
from pathlib import Path

import pytest

from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.dds_environment import SOCKET_BYTES, read_environment
from semantic_field_ros.ros.dds_graph import DdsGraph


def test_nothing_set_is_domain_0_on_the_subnet() -> None:
    found = read_environment({})
    assert (found.domain_id, found.distro) == (0, "jazzy")
    assert "AllowMulticast" not in found.configuration
    assert "<ParticipantIndex>auto" in found.configuration


def test_localhost_needs_no_multicast() -> None:
    for variables in (
        {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
        {"ROS_LOCALHOST_ONLY": "1", "ROS_STATIC_PEERS": "10.0.0.9"},
    ):
        configuration = read_environment(variables).configuration
        assert "<AllowMulticast>false" in configuration
        assert '<Peer address="localhost"/>' in configuration
        assert '<NetworkInterface address="127.0.0.1"' in configuration
        assert "10.0.0.9" not in configuration


def test_peers_are_listed_and_escaped() -> None:
    configuration = read_environment({"ROS_STATIC_PEERS": 'robot;a"b'}).configuration
    assert '<Peer address="robot"/>' in configuration
    assert "<Peer address='a\"b'/>" in configuration


def test_off_hides_behind_a_tag() -> None:
    assert "<Tag>" in read_environment({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}).configuration


def test_the_users_own_configuration_comes_last_and_wins() -> None:
    variables = {"CYCLONEDDS_URI": "file:///x.xml", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    assert read_environment(variables).configuration.endswith(",file:///x.xml")
    variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"
    assert read_environment(variables).configuration == "file:///x.xml"


@pytest.mark.parametrize("domain", ["-1", "233", "one"])
def test_impossible_domains_are_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="0 to 232"):
        read_environment({"ROS_DOMAIN_ID": domain})


def test_an_unknown_range_is_refused() -> None:
    with pytest.raises(ValueError, match="GALAXY"):
        read_environment({"ROS_AUTOMATIC_DISCOVERY_RANGE": "galaxy"})


def test_the_users_configuration_chooses_the_interfaces() -> None:
    reach = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    assert "NetworkInterface" in read_environment(reach).configuration
    told = read_environment(reach | {"CYCLONEDDS_URI": "file:///x.xml"}).configuration
    assert "NetworkInterface" not in told
    assert told.endswith(",file:///x.xml")


def test_sockets_hold_as_much_as_linux_allows(domain) -> None:
    """An image and its depth arrive at once, in a thousand packets."""
    allowed = int(Path("/proc/sys/net/core/rmem_max").read_text())
    with DdsGraph(parse_arguments([], "node"), read_environment(os.environ)):
        rooms = [room for entry in os.listdir("/proc/self/fd") if (room := receive_room(entry))]
    assert max(rooms) == 2 * min(SOCKET_BYTES, allowed)  # the kernel doubles what it is asked for


def receive_room(file_descriptor: str) -> int:
    """Bytes of an UDP socket of this process; 0 where it is something else."""
    try:
        with socket.socket(fileno=os.dup(int(file_descriptor))) as found:
            packets = found.type == socket.SOCK_DGRAM and found.family == socket.AF_INET
            return found.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) if packets else 0
    except OSError:
        return 0
