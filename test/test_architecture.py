"""The rules that keep the rooms apart and the files readable."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "semantic_field_ros"
#: rooms in the order in which data flows; a module imports from its own level or above.
LEVELS = (
    ("types", "geometry", "config", "backends"),
    ("stream",),
    ("keyframes",),
    ("models",),
    ("field",),
    ("semantics",),
    ("training",),
    ("queries",),
    ("export",),
    ("engine",),
    ("ros", "viewer", "evaluation", "cli", "commands", "doctor", "interrupts"),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
#: who may know what is really there.
MAY_KNOW_THE_TRUTH = {"evaluation", "cli", "commands"}
ROS_ONLY = ("rclpy", "tf2_ros", "cyclonedds", "rosidl_runtime_py", "sensor_msgs", "geometry_msgs")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
#: front ends that talk to a person.
MAY_PRINT = {"cli", "commands"}

FILES = sorted(PACKAGE.rglob("*.py"))


@functools.cache
def parsed(path):
    return ast.parse(path.read_text(), str(path))


def room_of(path):
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path):
    """(full module name, line) of every import anywhere in the file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: import by the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name, node.lineno) for name in names)


def where(path, line):
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_room_has_its_level():
    rooms = {room_of(path) for path in FILES} - {"__init__"}
    assert rooms <= set(LEVEL_OF), f"rooms without a level: {sorted(rooms - set(LEVEL_OF))}"


def test_no_room_imports_from_a_later_one():
    wrong = []
    for path in FILES:
        room = room_of(path)
        for name, line in imports(path):
            parts = name.split(".")
            if parts[0] != PACKAGE.name or len(parts) < 2 or room == "__init__":
                continue
            if LEVEL_OF.get(parts[1], 0) > LEVEL_OF[room]:
                wrong.append(f"{where(path, line)}: {room} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_only_the_ros_room_knows_ros():
    wrong = [
        f"{where(path, line)}: {name}"
        for path in FILES
        if room_of(path) not in ("ros", "doctor", "backends")
        for name, line in imports(path)
        if name.split(".")[0] in ROS_ONLY
    ]
    assert not wrong, "\n".join(wrong)


def test_ground_truth_is_read_by_evaluation_alone():
    """Nobody else imports evaluation, or asks a source for the truth."""
    wrong = []
    for path in FILES:
        if room_of(path) in MAY_KNOW_THE_TRUTH:
            continue
        wrong += [
            f"{where(path, line)}: {name}" for name, line in imports(path) if ".evaluation" in name
        ]
        wrong += [
            f"{where(path, node.lineno)}: {ast.unparse(node.func)}"
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "truth"
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", ["semantic_field_ros", "test"])
def test_files_and_functions_stay_short(folder):
    wrong = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        lines = len(path.read_text().splitlines())
        if lines > MAX_FILE_LINES:
            wrong.append(f"{where(path, 1)}: {lines} lines")
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    wrong.append(f"{where(path, node.lineno)}: {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_devices_are_named_in_one_place():
    wrong = [
        where(path, node.lineno)
        for path in FILES
        if path.name != "backends.py"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"cuda(:\d+)?", node.value)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_prints_but_the_command_line():
    wrong = [
        where(path, node.lineno)
        for path in FILES
        if room_of(path) not in MAY_PRINT
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_loads_code_with_data():
    """No pickle, and no torch.load that would unpickle."""
    wrong = []
    for path in FILES:
        wrong += [where(path, line) for name, line in imports(path) if name.startswith("pickle")]
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if keywords.get("weights_only") != "True":
                    wrong.append(where(path, node.lineno))
    assert not wrong, "\n".join(wrong)


def test_every_room_says_what_it_is_for():
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    silent = [
        room.name
        for room in rooms
        if not (room / "__init__.py").is_file()
        or not ast.get_docstring(parsed(room / "__init__.py"))
    ]
    assert not silent, f"rooms without a docstring: {silent}"
