"""`--ros-args`."""

from pathlib import Path

import pytest

from semantic_field_ros.ros.arguments import parse_arguments


def parse(*words: str):
    return parse_arguments(["--ros-args", *words], "field")


def test_other_arguments_are_left_alone() -> None:
    parsed = parse_arguments(["a", "--ros-args", "-r", "x:=y", "--", "--b"], "field")
    assert parsed.others == ["a", "--b"]
    assert parsed.full_name == "/field"


@pytest.mark.parametrize(
    ("name", "resolved"),
    [
        ("image", "/robot/image"),
        ("~/surface", "/robot/mapper/surface"),
        ("/tf", "/tf"),
        ("a/b", "/robot/a/b"),
    ],
)
def test_names_are_expanded(name: str, resolved: str) -> None:
    arguments = parse("-r", "__ns:=/robot", "-r", "__node:=mapper")
    assert arguments.resolve(name) == resolved


@pytest.mark.parametrize("rule", ["image:=/cam/rgb", "field:image:=/cam/rgb", "/image:=/cam/rgb"])
def test_names_are_remapped(rule: str) -> None:
    assert parse("-r", rule).resolve("image") == "/cam/rgb"


def test_remapping_private_and_relative_names() -> None:
    arguments = parse("-r", "~/surface:=cloud", "-r", "__ns:=/r", "-r", "other:image:=/no")
    assert arguments.resolve("~/surface") == "/r/cloud"
    assert arguments.resolve("image") == "/r/image"


@pytest.mark.parametrize("bad", ["", "a b", "9lives", "a//b", "~x", "a/", "a\n"])
def test_invalid_names_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        parse().resolve(bad)


def test_parameters_are_yaml_and_later_ones_win(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(
        "/**:\n  ros__parameters:\n    rate: 1.5\n    deep: {er: [1, 2]}\n    name: all\n"
        "other:\n  ros__parameters: {name: not mine}\n"
    )
    second.write_text("/robot/*:\n  ros__parameters: {name: mine, wild: true}\n")
    arguments = parse(
        "--params-file", str(first), "--params-file", str(second), "-p", "rate:=2.5",
        "-p", "other:rate:=9", "-r", "__ns:=/robot",
    )  # fmt: skip
    expected = {"rate": 2.5, "deep.er": [1, 2], "name": "mine", "wild": True}
    assert arguments.parameters == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-2", 0.01),
        ("-2E+3", -2000.0),
        ("1.5e3", 1500.0),
        ("12", 12),
        ("1e", "1e"),
        ("e3", "e3"),
    ],
)
def test_numbers_are_read_as_rcl_reads_them(tmp_path: Path, text: str, value: object) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"/**:\n  ros__parameters: {{rate: {text}, list: [{text}]}}\n")
    assert parse("-p", f"rate:={text}").parameters == {"rate": value}
    read = parse("--params-file", str(file)).parameters
    assert read == {"rate": value, "list": [value]}
    assert type(read["rate"]) is type(value)


@pytest.mark.parametrize("text", ["", "# later\n", "/**:\n  ros__parameters:\n    # later\n"])
def test_a_file_without_parameters_sets_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    assert parse("--params-file", str(file)).parameters == {}


@pytest.mark.parametrize(
    ("text", "got"),
    [("- a\n", "'a'"), ("/**:\n  ros__parameters: [1, 2]\n", "1, 2"), ("/**: 7\n", "/\\*\\*")],
)
def test_a_file_of_another_form_is_refused_by_name(tmp_path: Path, text: str, got: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"p\.yaml: .*{got}"):
        parse("--params-file", str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"/**:\n  ros__parameters: {rate: [1,\n", "line 3, column 1: .*<stream end>"),
        (b"/**:\n\t- 1\n", "line 2, column 1: .*cannot start any token"),
        (b"a: \xff", "unacceptable character #x00ff: .*position 3"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_by_name_and_place(
    tmp_path: Path, text: bytes, said: str
) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes(text)
    with pytest.raises(ValueError, match=rf"p\.yaml: {said}"):
        parse("--params-file", str(file))


def test_a_value_that_is_no_yaml_is_refused_by_name_and_place() -> None:
    with pytest.raises(ValueError, match="parameter 'box': line 1, column 4: .*<stream end>"):
        parse("-p", "box:=[1,")


def test_a_node_in_a_namespace_is_found_in_nested_files(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("robot:\n  field:\n    ros__parameters: {speed: 3}\n")
    assert parse("--params-file", str(file), "-r", "__ns:=/robot").parameters == {"speed": 3}
    assert parse("--params-file", str(file)).parameters == {}


@pytest.mark.parametrize(
    "words",
    [["-r"], ["-r", "a"], ["-r", ":=b"], ["--unknown"], ["-r", "__node:=no way"], ["-p", "x=1"]],
)
def test_malformed_arguments_are_refused(words: list[str]) -> None:
    with pytest.raises(ValueError):
        parse(*words)


def test_logging_and_enclave_arguments_are_accepted() -> None:
    arguments = parse("--log-level", "field:=debug", "-e", "/x", "--disable-rosout-logs")
    assert arguments.log_level == "debug"
