"""What the README says about names and defaults is what the code does."""

import re
from pathlib import Path

import pytest

from semantic_field_ros.commands import COMMANDS
from semantic_field_ros.config import Config
from semantic_field_ros.ros.settings import _SPECS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
NODE = "".join((ROOT / "semantic_field_ros" / "ros" / f"{name}.py").read_text()
               for name in ("node", "outputs", "services", "poses", "settings"))  # fmt: skip


def rows(text):
    """First cells of all table rows, without the code marks."""
    return {
        name: line
        for line in text.splitlines()
        if line.startswith("|")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    }


def shown(value):
    """A default as the README writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return "empty" if value in ("", None) else str(value)


@pytest.mark.parametrize("spec", _SPECS, ids=lambda spec: spec.name)
def test_every_parameter_is_listed_with_its_default(spec):
    cells = rows(README)[spec.name].split("|")
    assert cells[2].strip().strip("`") == shown(spec.default)


def test_the_listed_config_leaves_exist_with_these_defaults():
    listed = [name for name in rows(README) if re.fullmatch(r"[a-z]+\.[a-z_]+", name)]
    assert len(listed) >= 8
    for name in listed:
        room, leaf = name.split(".")
        value = getattr(getattr(Config(), room), leaf)
        assert rows(README)[name].split("|")[2].strip().strip("`") == shown(value)


def test_topics_and_services_are_those_of_the_node():
    private = [name for line in README.splitlines() if line.startswith("|")
               for name in re.findall(r"`(~/[a-z_/]+)`", line)]  # fmt: skip
    assert len(private) >= 15
    served = {f"~/{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()}"
              for name in re.findall(r'"([A-Z][A-Za-z]+)": self\._', NODE)}  # fmt: skip
    for name in private:
        assert f'"{name}"' in NODE or name in served, name


def test_every_command_in_the_readme_exists():
    used = set(re.findall(r"semantic-field ([a-z]+)", README))
    assert used <= set(COMMANDS) and {"node", "replay", "query", "doctor"} <= used


@pytest.mark.parametrize("text", [README, ARCHITECTURE], ids=["README", "architecture"])
def test_every_file_that_is_named_exists(text):
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.(?:py|yaml|md|json))`", text))
    named -= {"transforms.json", "map.json", "out/demo/report.json"}
    for name in sorted(named):
        places = [ROOT / name, ROOT / "semantic_field_ros" / name, ROOT / "config" / name,
                  *(ROOT / "semantic_field_ros").glob(f"*/{name}")]  # fmt: skip
        assert any(place.exists() for place in places), name
