"""Each test has a domain of its own, reaches this machine only, and knows a peer process."""

import fcntl
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir

import pytest

from semantic_field_ros.ros.camera_settings import CameraSettings
from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.settings import declare_settings

# The benches beside this file are shared by tests; with importlib mode folders are not on the
# path.
sys.path.insert(0, str(Path(__file__).parent))
from camera_bench import Bench

ROOT = Path(__file__).parents[2]
_domains = itertools.count(os.getpid())

# A shell starts what it puts into the background with SIGINT ignored, and children inherit that;
# the programs that tests start are to be interrupted all the same.
signal.signal(signal.SIGINT, signal.default_int_handler)

GRAPHS = [
    "dds",
    pytest.param(
        "rclpy",
        marks=pytest.mark.skipif(find_spec("rclpy") is None, reason="no ROS 2 is sourced"),
    ),
]


@contextmanager
def reserved_domain() -> Iterator[int]:
    """The next domain that no other run of the tests on this machine uses meanwhile."""
    for number in _domains:
        domain = 1 + number % 100  # above 101 its ports may be taken by any connection
        with (Path(gettempdir()) / f"semantic_field_ros_domain_{domain}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return


@contextmanager
def own_domain() -> Iterator[int]:
    """Sets the environment of this process and its children to a domain nobody else uses."""
    with reserved_domain() as domain, domain_in_environment(domain):
        yield domain


@contextmanager
def domain_in_environment(domain: int) -> Iterator[None]:
    wanted = {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
    }
    before = {name: os.environ.get(name) for name in (*wanted, "CYCLONEDDS_URI")}
    os.environ.pop("CYCLONEDDS_URI", None)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def peer_process(kind: str) -> Iterator[subprocess.Popen]:
    """`peer.py` as a process of its own, ready."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("peer.py")), kind],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


@pytest.fixture()
def domain() -> Iterator[int]:
    with own_domain() as number:
        yield number


@pytest.fixture(params=GRAPHS)
def graph_kind(request) -> str:
    """Every graph that exists here, one after the other."""
    return request.param


@pytest.fixture()
def graph(domain: int) -> Iterator[Graph]:
    with connect("dds", "tester", []) as opened:
        yield opened


@pytest.fixture()
def dds_peer(domain: int) -> Iterator[subprocess.Popen]:
    """A peer process for the tests of the DDS graph alone."""
    with peer_process("dds") as process:
        yield process


@pytest.fixture()
def other(graph: Graph) -> Iterator[Graph]:
    """A second node in the same process, a participant of its own."""
    with connect("dds", "other", []) as opened:
        yield opened


@pytest.fixture(scope="module", params=GRAPHS)
def peer_kind(request) -> Iterator[str]:
    with own_domain(), peer_process(request.param):
        yield request.param


@pytest.fixture(scope="module", params=GRAPHS)
def node(request, peer_kind) -> Iterator[Graph]:
    said = ["limit:=3", "pause:=2", "span:=[1, 2]", "far:=99", "word:=7"]
    arguments = [word for parameter in said for word in ("-p", parameter)]
    with connect(request.param, "tester", ["--ros-args", *arguments]) as opened:
        yield opened


@pytest.fixture()
def bench(graph, other, request) -> Bench:
    """Parameters of the node, or of its one camera, by name."""
    changes = dict(getattr(request, "param", {}))
    settings = declare_settings(graph)
    known = {f.name for f in fields(CameraSettings)}
    of_camera = {name: changes.pop(name) for name in known & set(changes)}
    cameras = (replace(settings.cameras[0], **of_camera),)
    return Bench(graph, other, replace(settings, cameras=cameras, **changes))
