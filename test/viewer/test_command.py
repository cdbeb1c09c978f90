"""What `semantic-field view` opens; the page itself is tested in a browser."""

from pathlib import Path

import pytest

from semantic_field_ros.cli import main
from semantic_field_ros.viewer.server import ViewerOptions


class Recorder:
    """Stands for a field: writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str):
        return lambda *arguments: self.calls.append(" ".join([name, *map(str, arguments)]))


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The field that the command makes; the person leaves as soon as the page is there."""
    made = Recorder()

    class Page:
        def __init__(self, field: Recorder, options: ViewerOptions) -> None:
            field.calls.append(f"page {options.host}:{options.port} {options.most_points}")

        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *exception: object) -> None:
            """Is not reached."""

    monkeypatch.setattr("semantic_field_ros.engine.SemanticField", lambda config: made)
    monkeypatch.setattr("semantic_field_ros.viewer.server.Viewer", Page)
    return made


def test_a_saved_map_is_opened_with_training_paused(field: Recorder, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{}")
    assert main(["view", str(tmp_path), "--port", "8400"]) == 0
    page = "page 127.0.0.1:8400 60000"
    assert field.calls == [f"load {tmp_path}", "pause", "start", page, "close"]


def test_a_source_is_mapped(field: Recorder) -> None:
    assert main(["view", "world:table:1007", "--host", "0.0.0.0", "--points", "9"]) == 0
    assert field.calls == ["start", "page 0.0.0.0:8080 9", "close"]


@pytest.mark.parametrize("host", ["192.0.2.1", "nohost.invalid"])
@pytest.mark.parametrize("command", [["view", "world:table:1007"], ["node", "--view"]])
def test_a_host_that_is_not_this_machine_is_refused_before_anything_starts(
    field: Recorder, capsys: pytest.CaptureFixture[str], command: list[str], host: str
) -> None:
    """The first address is set aside for examples (RFC 5737): nobody has it."""
    assert main([*command, "--host", host]) == 1
    said = f"semantic-field {command[0]}: host must be an address of this machine, got {host!r}: "
    assert said in capsys.readouterr().err
    assert field.calls == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_the_addresses_of_this_machine_are_taken(host: str) -> None:
    assert ViewerOptions(host).host == host


def test_what_is_not_there_is_said_before_anything_starts(
    field: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", "/nowhere/at/all"]) == 1
    assert "there is no '/nowhere/at/all'" in capsys.readouterr().err
    assert field.calls == []
