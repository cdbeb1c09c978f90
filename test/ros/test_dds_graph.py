"""The DDS graph beyond the contract: names on the wire, damage, other vendors, leaving."""

import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from semantic_field_ros.cli import main
from semantic_field_ros.ros import dds_graph, dds_peers
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.dds_peers import Peer, matched_readers
from semantic_field_ros.ros.dds_wire import make_qos, write_cdr
from semantic_field_ros.ros.graph import SENSOR, ServiceError
from semantic_field_ros.ros.graph import Qos as PortQos

STRING = "std_msgs/msg/String"
TRIGGER = "std_srvs/srv/Trigger"

CHILD = """
import sys, time
from semantic_field_ros.ros.connect import connect
with connect("dds", "child", ["--ros-args", "-r", "__ns:=/far"]) as graph:
    sys.stdout.write("ready\\n"); sys.stdout.flush()
    time.sleep(60)
"""


PUBLISHER = """
import sys, time
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import SENSOR
with connect("dds", "child", []) as graph:
    publisher = graph.publisher("sensor_msgs/msg/Image", "image", SENSOR)
    sys.stdout.write(publisher._writer.guid.bytes.hex() + "\\n"); sys.stdout.flush()
    time.sleep(60)
"""


@contextmanager
def child_process(code: str) -> Iterator[subprocess.Popen]:
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=root, text=True
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(60)


def eventually(condition: Callable[[], object], patience_s: float = 20.0) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_remote_nodes_appear_and_disappear(graph) -> None:
    with child_process(CHILD):
        eventually(lambda: graph.remote_nodes() == {"/far/child"})
    eventually(lambda: not graph.remote_nodes())


def test_who_has_left_is_not_remembered_though_nobody_asks(graph) -> None:
    def remembered() -> set[str]:
        kept = list(graph._discovery._remote.values())
        return {name for _, names in kept for name in names}

    for name in ("first", "second", "third"):
        with connect("dds", name, []):
            eventually(lambda wanted=f"/{name}": wanted in remembered())
    assert remembered() == {"/third"}


def test_publishers_come_and_go_though_nobody_asks(domain, monkeypatch) -> None:
    """Cyclone keeps what it has to tell of each until it is taken: 10 kB a participant."""
    monkeypatch.setattr(dds_graph, "_LISTEN_PERIOD_S", 0.05)
    with connect("dds", "tester", []) as graph:

        def heard() -> set[str]:
            return {known.topic for known in list(graph._publications._known.values())}

        with connect("dds", "visitor", []) as visitor:
            visitor.publisher(STRING, "motto")
            eventually(lambda: "/motto" in heard())
        eventually(lambda: "/motto" not in heard())


def test_names_and_hashes_are_announced_as_rmw_does(graph, other) -> None:
    publisher = graph.publisher(STRING, "~/motto")
    other.subscribe(STRING, "/tester/motto", print)
    eventually(publisher.subscribers)
    writer = publisher._writer
    assert writer.topic.name == "rt/tester/motto"
    assert writer.topic.typename == "std_msgs::msg::dds_::String_"
    peer = matched_readers(writer)[0]
    assert peer.user_data["typehash"].startswith("RIHS01_df668c74")
    assert peer.vendor == "Cyclone DDS"


def test_a_topic_has_one_type(graph) -> None:
    graph.publisher(STRING, "topic")
    with pytest.raises(ValueError, match="/topic"):
        graph.publisher("std_msgs/msg/Empty", "topic")


def test_a_message_of_another_type_is_refused(graph) -> None:
    publisher = graph.publisher(STRING, "topic")
    with pytest.raises(TypeError, match=r"String.*Empty"):
        publisher.publish(graph.message("std_msgs/msg/Empty"))


def test_closing_twice_and_using_afterwards(domain) -> None:
    graph = connect("dds", "tester", [])
    graph.close()
    graph.close()
    with pytest.raises(RuntimeError, match="closed"):
        graph.publisher(STRING, "topic")


def test_a_domain_can_be_joined_again(domain) -> None:
    for _ in range(3):
        with connect("dds", "tester", []) as graph:
            assert graph.name == "/tester"


def test_a_node_that_cannot_be_made_leaves_nothing_behind(domain) -> None:
    with pytest.raises((ValueError, TypeError), match="use_sim_time"):
        connect("dds", "tester", ["--ros-args", "-p", "use_sim_time:=maybe"])
    assert not [t for t in threading.enumerate() if t.name == "dds-executor"]


@pytest.mark.parametrize(
    ("prefix", "user_data", "vendor", "foreign"),
    [
        (b"\x01\x10", b"serviceid=1.2;typehash=x;", "Cyclone DDS", False),
        (b"\x01\x10", b"", "Cyclone DDS", False),
        (b"\x01\x0f", b"typehash=x;", "Fast DDS", True),
        (b"\x07\x07", b"", "an unknown vendor (0707)", True),
    ],
)
def test_vendors_are_told_apart(prefix, user_data, vendor, foreign) -> None:
    peer = Peer(prefix + bytes(14), user_data)
    assert peer.vendor == vendor
    assert peer.is_foreign("serviceid") is foreign


def test_a_server_of_another_vendor_is_not_called(graph, other, monkeypatch) -> None:
    # A bare endpoint of a participant that is taken for another vendor's.
    monkeypatch.setattr(dds_peers, "OUR_VENDOR", "nobody's")
    idl_type = other._types.idl_type(f"{TRIGGER}_Request", True)
    other._participant.reader("rq/foreign/goRequest", idl_type, make_qos(PortQos()))
    with pytest.raises(ServiceError, match="RMW_IMPLEMENTATION=rmw_cyclonedds_cpp"):
        graph.call(TRIGGER, "/foreign/go", graph.message(f"{TRIGGER}_Request"), 5.0)


def test_a_request_of_another_vendor_is_counted_and_not_answered(
    graph, other, monkeypatch
) -> None:
    called: list = []
    graph.serve(TRIGGER, "go", called.append)
    monkeypatch.setattr(dds_peers, "OUR_VENDOR", "nobody's")
    idl_type = other._types.idl_type(f"{TRIGGER}_Request", True)
    writer = other._participant.writer("rq/goRequest", idl_type, make_qos(PortQos()))
    eventually(lambda: writer.get_matched_subscriptions())
    write_cdr(writer, b"\0\x01\0\0" + bytes(20))
    eventually(lambda: graph.refused.counts["/go"])
    assert not called


def test_a_burst_of_requests_is_answered(dds_peer, graph) -> None:
    """More at once than the history of 10 that other topics have."""
    service = "std_srvs/srv/SetBool"
    start = threading.Barrier(40)

    def ask(number: int) -> bool:
        request = graph.message(f"{service}_Request", data=bool(number % 2))
        start.wait()
        return graph.call(service, "/peer/negate", request, 20.0).success is not bool(number % 2)

    with ThreadPoolExecutor(40) as pool:
        assert all(pool.map(ask, range(40)))


def test_many_threads_may_read_what_discovery_says(graph, other) -> None:
    publisher = graph.publisher(STRING, "motto")
    other.subscribe(STRING, "motto", print)
    eventually(publisher.subscribers)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            read = pool.map(lambda _: matched_readers(publisher._writer), range(4000))
            assert all("typehash" in peer.user_data for peers in read for peer in peers)
    finally:
        sys.setswitchinterval(before)


def raw_packet(guid: bytes, number: int, payload: bytes) -> bytes:
    """An RTPS 2.1 DATA submessage from the writer with this guid, to any reader."""
    header = b"RTPS\x02\x01\x01\x10" + guid[:12]
    body = struct.pack("<HH4s4sII", 0, 16, bytes(4), guid[12:], 0, number) + payload
    return header + struct.pack("<BBH", 0x15, 0x05, len(body)) + body


def test_damaged_packets_do_not_harm(graph, domain) -> None:
    received: list = []
    subscription = graph.subscribe("sensor_msgs/msg/Image", "image", received.append, SENSOR)
    forty = graph.message("sensor_msgs/msg/Image", width=5, data=bytes(40))
    whole = bytes(graph._types.encode(forty))
    absurd = whole[:-44] + struct.pack("<I", 0xFFFFFFF0) + bytes(40)
    ports = [7400 + 250 * domain + 11 + 2 * index for index in range(4)]
    with child_process(PUBLISHER) as child, socket.socket(type=socket.SOCK_DGRAM) as sender:
        guid = bytes.fromhex(child.stdout.readline().strip())
        eventually(subscription.publishers)
        for number in range(1, 61):
            damaged = absurd if number % 2 else whole[: number % len(whole)]
            # The last one shows that this way does lead in: a whole message is taken.
            packet = raw_packet(guid, number, whole if number == 60 else damaged)
            for port in ports:
                sender.sendto(packet, ("127.0.0.1", port))
        eventually(lambda: received)
    assert [(message.width, len(message.data)) for message in received] == [(5, 40)]


def test_truncated_service_requests_are_refused(graph, other) -> None:
    graph.serve(TRIGGER, "go", lambda request: graph.message(f"{TRIGGER}_Response"))
    server_reader = next(r for r, _, _ in graph._executor._readers if "goRequest" in r.topic.name)
    on_data = next(c for r, _, c in graph._executor._readers if r is server_reader)
    on_data(memoryview(b"\0\x01\0\0short"), SimpleNamespace(publication_handle=0))
    eventually(lambda: graph.refused.counts["/go"])
    assert "20 bytes" in graph.refused.last["/go"]


def test_simulated_time_is_followed_and_jumps_are_told(domain) -> None:
    jumps: list = []
    with (
        connect("dds", "tester", ["--ros-args", "-p", "use_sim_time:=true"]) as graph,
        connect("dds", "clock", []) as other,
    ):
        graph.on_time_jump(lambda: jumps.append(graph.now_ns()))
        assert graph.now_ns() == 0
        clock = other.publisher("rosgraph_msgs/msg/Clock", "/clock")
        eventually(clock.subscribers)
        for sec in (100, 101, 50):
            stamp = other.message("builtin_interfaces/msg/Time", sec=sec)
            clock.publish(other.message("rosgraph_msgs/msg/Clock", clock=stamp))
            eventually(lambda sec=sec: graph.now_ns() == sec * 10**9)
        eventually(lambda: jumps == [50 * 10**9])


def test_log_records_reach_rosout(graph, other) -> None:
    received: list = []
    other.subscribe("rcl_interfaces/msg/Log", "/rosout", received.append)
    eventually(graph._rosout._publisher.subscribers)
    graph.log.warning("the %s is full", "queue")
    eventually(lambda: received)
    assert (received[0].msg, received[0].name, received[0].level) == (
        "the queue is full",
        "tester",
        30,
    )


@pytest.mark.parametrize(
    "uri",
    [
        "file:///nowhere.xml",
        "<General><Interfaces><NetworkInterface name='nope0'/></Interfaces></General>",
    ],
    ids=["file", "interface"],
)
def test_a_domain_that_cannot_be_joined_is_one_line(domain, monkeypatch, capsys, uri) -> None:
    monkeypatch.setenv("CYCLONEDDS_URI", uri)
    with pytest.raises(RuntimeError, match=f"cannot join domain {domain}: check CYCLONEDDS_URI"):
        connect("dds", "tester", [])
    assert main(["query", "text", "red mug"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"semantic-field query: cannot join domain {domain}: ")
    monkeypatch.delenv("CYCLONEDDS_URI")
    with connect("dds", "tester", []) as graph:
        assert graph.name == "/tester"
