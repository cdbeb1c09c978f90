"""What the README says about names, types, defaults and commands is what the code does."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from semantic_field_ros import doctor
from semantic_field_ros.cli import build_parser, split_ros_args
from semantic_field_ros.commands import COMMANDS
from semantic_field_ros.ros.arguments import parse_arguments
from semantic_field_ros.ros.graph import TF_CACHE
from semantic_field_ros.ros.node import SemanticFieldNode
from semantic_field_ros.ros.settings import _SPECS, POSE_SOURCES, config_specs, declare_settings
from semantic_field_ros.training.versions import Versions

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
#: Both are subscribed to by every graph, not by the node.
OF_THE_GRAPH = {"/tf", "/tf_static"}


def section(title):
    """The text under a heading, to the next one of the same level."""
    return re.split(r"^## ", README.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def table(text):
    """Rows of all tables in a text, as lists of cells without the headings."""
    tables = re.findall(r"^\|.*\n\| --- .*\n((?:\|.*\n)+)", text, re.MULTILINE)
    lines = "".join(tables).splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def code(cell):
    """What is between code marks."""
    return re.findall(r"`([^`]+)`", cell)


def shown(value):
    """A default as the README writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value in ("", None, ()):
        return "empty"
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


class Register:
    """A graph that only writes down what the node announces."""

    name = "/semantic_field"

    def __init__(self):
        self.topics, self.services = {}, {}

    def declare(self, spec):
        return spec.default

    def parameter(self, name):
        return {TF_CACHE.name: TF_CACHE.default}[name]

    def message(self, *_, **__):
        raise AssertionError("nothing is sent while the node is made")

    def resolve(self, topic):
        return topic

    def publisher(self, kind, topic, qos=None):
        self.topics["out", topic] = kind.replace("/msg/", "/")

    def subscribe(self, kind, topic, callback, qos=None):
        self.topics["in", topic] = kind.replace("/msg/", "/")
        return SimpleNamespace(topic=topic, close=lambda: None)

    def serve(self, kind, name, handler):
        self.services[name] = kind.replace("/srv/", "/")

    def timer(self, period_s, callback):
        """Never fires."""
        return lambda: None

    def on_time_jump(self, callback):
        """Time does not jump."""
        return lambda: None

    def on_parameter(self, callback):
        """No parameter changes."""


@pytest.fixture(scope="module")
def announced(tmp_path_factory):
    """Topics and services of a node, whichever way it gets its poses."""
    graph = Register()
    idle = dict.fromkeys(("start", "pause", "resume", "close"), lambda **_: None)
    field = SimpleNamespace(
        ingest=None,
        query_text=None,
        query_click=None,
        navigation=SimpleNamespace(),
        versions=Versions(),
        **idle,
    )
    for source in POSE_SOURCES:
        settings = replace(declare_settings(graph), pose_source=source)
        folder = str(tmp_path_factory.mktemp("maps"))
        node = SemanticFieldNode(graph, lambda: field, settings, folder)
        node.configure()
        node.activate()
        node.close()
    return graph


def test_the_topics_are_those_of_the_node(announced):
    listed = {}
    for direction, names, types, _ in table(section("Topics")):
        for name in code(names):
            listed[direction, name] = types.split(", ")[0]
    listed = {key: kind for key, kind in listed.items() if key[1] not in OF_THE_GRAPH}
    assert listed == announced.topics


def test_the_services_are_those_of_the_node(announced):
    listed = {}
    for names, types, _ in table(section("Services")):
        package, _, kinds = types.partition("/")
        for name, kind in zip(code(names), kinds.split(", "), strict=True):
            listed[name] = f"{package}/{kind}"
    assert listed == announced.services


def test_the_node_parameters_are_listed_with_their_defaults():
    listed = {code(name)[0]: default.strip("`") for name, default, _ in table(PARAMETERS[0])}
    assert listed == {spec.name: shown(spec.default) for spec in _SPECS}


def test_the_listed_config_leaves_exist_with_these_defaults():
    leaves = {spec.name: spec.default for spec, _ in config_specs()}
    listed = {code(name)[0]: default.strip("`") for name, default, _ in table(PARAMETERS[1])}
    assert len(listed) >= 8
    assert listed == {name: shown(leaves[name]) for name in listed}


PARAMETERS = section("Parameters").split("The whole configuration tree")
UNITS = {"_s": "second", "_hz": "second", "_px": "pixel", "_m": "metre"}


@pytest.mark.parametrize("row", table("".join(PARAMETERS)), ids=lambda row: row[0])
def test_parameters_with_a_unit_say_it(row):
    suffix = re.search(r"_[a-z]+$", code(row[0])[0])
    assert UNITS.get(suffix.group() if suffix else "", "") in row[2]


def test_the_commands_are_those_of_the_program():
    rows = [code(row[0])[0] for row in table(section("Ask by hand"))]
    assert {row.split()[1] for row in rows} == set(COMMANDS)


def command_lines():
    """Every call of our program in the README's shell blocks, on one line each."""
    blocks = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("semantic-field ")]


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_in_the_readme_is_understood(line):
    words = [word for word in shlex.split(line, comments=True) if word != "&"]
    own, ros = split_ros_args(words[1:])
    build_parser().parse_args(own)
    known = {spec.name for spec in (*_SPECS, *(spec for spec, _ in config_specs()))}
    assert set(parse_arguments(ros, "semantic_field").parameters) <= known


def test_every_make_target_in_the_readme_exists():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z]+) ", README)) & {"demo", "test"} <= set(targets)


def test_system_libraries_are_the_same_wherever_they_are_named():
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (libraries,) = re.findall(r"^LIBRARIES := (.*)", makefile, re.M)
    needed = [pair.split("=")[1] for pair in libraries.split()]
    assert len(needed) == 7 and "libegl1" in needed
    assert set(needed) == set(doctor._LIBRARIES.split())
    robot = section("On a robot").replace("\\\n", " ")
    assert set(needed) <= set(re.findall(r"^sudo apt-get install -y (.*)", robot, re.M)[0].split())


def test_launch_arguments_in_the_readme_exist():
    used = re.findall(r"ros2 launch semantic_field_ros (\S+) (.*)", README)
    assert used
    for file, arguments in used:
        text = (ROOT / "launch" / file).read_text()
        for name, value in re.findall(r"(\w+):=(\S+)", arguments):
            assert f'"{name}"' in text
            assert not value.endswith(".yaml") or (ROOT / "config" / value).exists()


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "architecture"])
def test_every_file_that_is_named_exists(text):
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.(?:py|yaml|md|json))`", text))
    named -= {"transforms.json", "map.json", "out/demo/report.json"}
    named -= {"labels.json", "info_semantic.json", "metadata.yaml"}  # of recordings
    for name in sorted(named):
        places = [ROOT / name, ROOT / "semantic_field_ros" / name, ROOT / "config" / name,
                  *(ROOT / "semantic_field_ros").glob(f"*/{name}")]  # fmt: skip
        assert any(place.exists() for place in places), name
