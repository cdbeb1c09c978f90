import json
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.cli import build_parser, main, split_ros_args
from semantic_field_ros.commands import COMMANDS
from semantic_field_ros.commands.measuring import eval_options
from semantic_field_ros.commands.robot import _Shown, click_of, rendered
from semantic_field_ros.commands.shared import (
    answer_tree,
    plain_console,
    progress,
    show_answer,
    source_of,
)
from semantic_field_ros.doctor import Finding, examine, socket_room
from semantic_field_ros.evaluation import comparison
from semantic_field_ros.evaluation.report import Mapping, Report, mapping_table
from semantic_field_ros.evaluation.run import Mapped
from semantic_field_ros.stream.open import SourceOptions, open_source
from semantic_field_ros.training.checkpoint import SavedMap, save_map
from semantic_field_ros.training.mapper import Mapper
from semantic_field_ros.types import Mask3D, OrientedBox, QueryAnswer

MAPPING = Mapping(84, 61, 900, 90.0, 21.5, 22.5, 0.012, 1500.0, 12)


def parse(*arguments):
    return build_parser().parse_args(arguments)


def test_every_command_has_a_parser_and_a_function():
    help_text = build_parser().format_help()
    for name in COMMANDS:
        assert f"\n    {name} " in help_text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert f"semantic-field {name}" in capsys.readouterr().out


def test_ros_arguments_are_passed_on_untouched():
    own, ros = split_ros_args(
        ["node", "--graph", "dds", "--ros-args", "-r", "image:=/cam", "-p", "a:=1"]
    )
    assert own == ["node", "--graph", "dds"]
    assert ros == ["--ros-args", "-r", "image:=/cam", "-p", "a:=1"]
    assert split_ros_args(["doctor"]) == (["doctor"], [])


@pytest.mark.parametrize("path", ["/nowhere/at/all", "[/nowhere]", "[red]x", "/far" * 60])
def test_a_refusal_is_one_line_and_code_1(path, capsys):
    assert main(["replay", path]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"semantic-field replay: there is no {path!r}; a source is world:t")
    assert error.count("\n") == 1 and error.endswith("\n")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["ask", "maps/table", "mug", "--config", "{file}"], "{file}: line 2, column 1: "),
        (["node", "--ros-args", "--params-file", "{file}"], "{file}: line 2, column 1: "),
        (["node", "--ros-args", "-p", "a:=[1,"], "parameter 'a': line 1, column 4: "),
    ],
)
def test_malformed_yaml_is_refused_in_one_line(arguments, place, tmp_path, capsys):
    file = tmp_path / "bad.yaml"
    file.write_text("training: [1,\n")
    assert main([word.format(file=file) for word in arguments]) == 1
    error = capsys.readouterr().err
    assert f"semantic-field {arguments[0]}: {place.format(file=file)}" in error
    assert error.count("\n") == 1


def test_a_refusal_of_many_lines_is_one_line(monkeypatch, capsys):
    def refuse(options):
        raise ValueError("no such thing:\n  a, b\nor c")

    monkeypatch.setitem(COMMANDS, "maps", refuse)
    assert main(["maps"]) == 1
    assert capsys.readouterr().err == "semantic-field maps: no such thing: a, b or c\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--methods", "lerf,dream"], "unknown method 'dream'; expected 'all', 'ablations' or"),
        (["--methods", "all", "--refine"], "--refine is for a single run"),
    ],
)
def test_a_comparison_refuses_what_it_cannot_do(arguments, complaint, capsys):
    assert main(["eval", "world:table:1007", *arguments]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert complaint in error
    if "dream" in complaint:
        for name in ("sam_features", "object_field", "lerf", "ovnerf", "maskfield"):
            assert name in error


@pytest.mark.parametrize(("failing", "code"), [({"lerf"}, 0), ({"lerf", "maskfield"}, 1)])
def test_a_comparison_fails_where_every_method_does(monkeypatch, capsys, failing, code):
    @contextmanager
    def mapped(recording, config, *_):
        if failing & set(config.semantics.methods):
            raise ValueError("a broken mask")
        field = SimpleNamespace(retune=lambda *_: None)
        yield Mapped(field, None, None, None, Report("a table", "tiny", MAPPING))

    monkeypatch.setattr(comparison, "mapped", mapped)
    source = ["world:table:1", "--frames", "2"]
    assert main(["eval", *source, "--methods", "maskfield,lerf"]) == code
    assert "maskfield" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"), [(["replay", "world:table:1"], 0), (["maps"], 130)]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ImportError, RuntimeError])
def test_an_interrupt_ends_a_program_well_whatever_it_came_out_as(
    monkeypatch, capsys, arguments, code, number, error
):
    """An import or native code that it comes amid may raise something else in its place."""

    def interrupted(options):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise error("of its own") from None

    monkeypatch.setitem(COMMANDS, arguments[0], interrupted)
    before = signal.getsignal(number)
    assert main(arguments) == code
    assert capsys.readouterr().err == "" and signal.getsignal(number) is before


def test_an_interrupt_lets_open3d_finish_loading(monkeypatch):
    loading = {"__name__": "open3d", "signal": signal, "loaded": False}

    def imports(options):
        exec("signal.raise_signal(signal.SIGTERM)\nloaded = True", loading)
        time.sleep(60)

    monkeypatch.setitem(COMMANDS, "maps", imports)
    began = time.monotonic()
    assert main(["maps"]) == 130 and loading["loaded"]
    assert time.monotonic() - began < 30


def test_what_the_shell_wants_to_be_ignored_stays_so(monkeypatch):
    monkeypatch.setitem(COMMANDS, "maps", lambda options: signal.raise_signal(signal.SIGINT) or 7)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert main(["maps"]) == 7
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_map_that_could_not_be_saved_is_not_made(capsys):
    assert main(["train", "world:table:1", "--out", "maps/my kitchen"]) == 1
    assert "map name must be" in capsys.readouterr().err


@pytest.mark.parametrize("methods", [[], ["--methods", "all"]])
@pytest.mark.parametrize("name", ["sheet", "sheet.txt"])
def test_pictures_that_nothing_can_write_are_refused_at_once(methods, name, capsys):
    assert main(["eval", "world:room:1", "--pictures", f"out/{name}", *methods]) == 1
    assert capsys.readouterr().err == (
        "semantic-field eval: pictures must end in one of ('.png', '.jpg', '.jpeg', '.webp'), "
        f"got {name!r}\n"
    )


@pytest.mark.parametrize("file", [["--ply", "thing.ply"], ["--mesh", "thing.glb"]])
def test_grasps_are_not_written_to_files(file, tmp_path, capsys):
    assert main(["ask", str(tmp_path), "red mug", "--grasps", *file]) == 1
    assert capsys.readouterr().err == (
        "semantic-field ask: --ply and --mesh write an answer, got them with --grasps\n"
    )


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (["--ply", "out/thing"], "--ply must end in .ply, got 'thing'"),
        (["--mesh", "thing.stl"], "--mesh must end in .glb or .obj, got 'thing.stl'"),
    ],
)
def test_files_of_an_answer_that_nothing_can_write_are_refused_at_once(
    file, said, tmp_path, capsys
):
    assert main(["ask", str(tmp_path), "red mug", *file]) == 1
    assert capsys.readouterr().err == f"semantic-field ask: {said}\n"


def test_a_negative_width_is_refused(capsys):
    assert main(["eval", "world:table:1", "--width", "-3"]) == 1
    error = capsys.readouterr().err
    assert error == "semantic-field eval: width must be ≥ 0 pixels, got -3\n"


@pytest.mark.parametrize(
    ("arguments", "width"),
    [
        (["train", "--out", "map"], 160),
        (["eval"], 160),
        (["view"], 160),
        (["eval", "--width", "0"], 320),
        (["eval", "--width", "80"], 80),
    ],
)
def test_what_is_mapped_is_read_as_wide_as_keyframes_are_kept(tmp_path, arguments, width):
    config = tmp_path / "narrow.yaml"
    config.write_text("keyframes: {max_width_px: 160}\n")
    source = ["world:table:1", "--frames", "1", "--config", str(config)]
    (frame,) = source_of(parse(*arguments, *source))
    assert frame.rgb.shape[1] == frame.depth_m.shape[1] == frame.camera.width == width


def test_a_replay_keeps_images_as_they_are():
    (frame,) = source_of(parse("replay", "world:table:1", "--frames", "1"))
    assert frame.camera.width == 320


def test_training_that_fails_ends_the_program_and_saves_nothing(tmp_path, monkeypatch, capsys):
    step = Mapper.step

    def broken(mapper):
        if threading.current_thread().name == "training":
            raise RuntimeError("device-side assert")
        return step(mapper)

    monkeypatch.setattr(Mapper, "step", broken)
    source = ["world:table:1", "--frames", "12", "--width", "160"]
    began = time.monotonic()
    assert main(["train", *source, "--seconds", "300", "--out", str(tmp_path / "table")]) == 1
    assert time.monotonic() - began < 200
    complaint = "semantic-field train: training failed: RuntimeError: device-side assert"
    assert capsys.readouterr().err.splitlines()[-1] == complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "seconds"), [([], 90), (["--rgb-only"], 330), (["--seconds", "0"], 0)]
)
def test_no_seconds_of_mapping_are_no_seconds(arguments, seconds):
    assert eval_options(parse("eval", "world:table:1", *arguments)).seconds == seconds


def test_an_unknown_option_is_a_usage_error():
    with pytest.raises(SystemExit) as stopped:
        main(["eval", "world:table:1", "--loud"])
    assert stopped.value.code == 2


def test_a_click_is_a_pixel_or_a_point():
    click = click_of(
        parse("query", "click", "--pixel", "3", "4", "--camera", "left", "--stamp", "5")
    )
    assert click.pixels.tolist() == [[3.0, 4.0]]
    assert (click.camera_name, click.stamp_ns) == ("left", 5)
    assert click_of(parse("query", "click", "--point", "1", "2", "3")).points_world.shape == (1, 3)
    with pytest.raises(ValueError, match="either --pixel U V or --point X Y Z"):
        click_of(parse("query", "click"))


def mask_called(label):
    box = OrientedBox(
        np.array([1.0, 2.0, 3.0]), np.array([0.0, 0, 0, 1]), np.array([0.1, 0.2, 0.3])
    )
    return Mask3D(
        np.arange(4), np.zeros((4, 3), np.float32), np.zeros((4, 3), np.uint8),
        np.ones(4, np.float32), label, 0.9, box, 7,
    )  # fmt: skip


def test_an_answer_for_people_is_in_the_words_of_whoever_asked(capsys):
    show_answer(QueryAnswer(True, "", [mask_called("red [b] mug :dog:")], 0.9, 0.01, 7, 1), False)
    shown = capsys.readouterr().out
    assert shown.startswith("found  score 0.90  0.010 s") and "red [b] mug :dog:" in shown
    reason = "no '[/mug]' here, " + "nor there, " * 30 + "the best score is 0.10"
    show_answer(QueryAnswer(False, reason, [], 0.1, 0.01, 7, 1), False)
    assert capsys.readouterr().out == f"not found  score 0.10  0.010 s  {reason}\n"


def test_an_answer_for_programs():
    mask = mask_called("red mug")
    tree = json.loads(json.dumps(answer_tree(QueryAnswer(True, "", [mask], 0.9, 0.01, 7, 123))))
    assert tree["masks"][0]["points"] == 4
    assert tree["masks"][0]["centre_m"] == [1.0, 2.0, 3.0]
    assert tree["found"] is True and tree["stamp_ns"] == 123


def test_doctor_names_what_is_needed(capsys):
    findings = {finding.name: finding for finding in examine()}
    assert findings["torch"].available and findings["torch"].needed
    assert not findings["tinycudann"].needed
    assert findings["mapping"].available, findings["mapping"].detail
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in told} == set(findings)
    assert code == int(any(finding.is_needed_and_gone for finding in findings.values()))


def test_doctor_says_why_nothing_can_be_mapped(monkeypatch):
    def broken(config):
        raise RuntimeError("no kernel for this CPU")

    monkeypatch.setattr("semantic_field_ros.engine.rehearse", broken)
    mapping = examine()[-1]
    assert mapping.is_needed_and_gone
    assert mapping.detail == "RuntimeError: no kernel for this CPU"


def test_doctor_tells_whether_images_fit_into_a_socket(tmp_path):
    limit = tmp_path / "rmem_max"
    assert socket_room(limit) == Finding("socket buffers", True, False, "not limited")
    limit.write_text("10485760\n")
    assert socket_room(limit).available
    limit.write_text("212992\n")
    little = socket_room(limit)
    assert not little.available and not little.is_needed_and_gone
    assert "at most 212992 bytes" in little.detail
    assert "`sudo sysctl -w net.core.rmem_max=10485760`" in little.detail


def test_a_replay_can_loop_and_leaves_out_what_is_held_out():
    source = open_source("world:table:3", SourceOptions(frames=5))
    told = []
    shown = _Shown(rendered(source, lambda: told.append(1)), 4)
    stamps_s = [frame.stamp_ns / 1e9 for frame in shown]
    assert stamps_s == [0.2, 0.4, 0.8, 1.0]  # the third of every four is held out
    assert [frame.stamp_ns / 1e9 for frame in shown] == stamps_s
    assert len(told) == 5


def test_maps_of_a_folder_are_listed(tmp_path, capsys):
    meta = {"keyframes": [{}], "map_version": 4, "methods": ["maskfield"]}
    save_map(tmp_path, "kitchen", SavedMap(meta, {}))
    assert main(["maps", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "kitchen" in shown and "maskfield" in shown
    assert main(["maps", str(tmp_path), "--json"]) == 0
    (known,) = json.loads(capsys.readouterr().out)
    assert (known["name"], known["keyframes"], known["problem"]) == ("kitchen", 1, "")
    nowhere = tmp_path / "[/nowhere]" / ("far" * 60)
    assert main(["maps", str(nowhere)]) == 0
    assert capsys.readouterr().out == f"no maps in {nowhere}\n"


def test_the_name_of_a_source_is_shown_as_it_is(capsys):
    console = plain_console(stderr=True)
    with progress(console) as bar:
        bar.add_task("mapping a[/b].bag", total=1)
    console.print(mapping_table(asdict(MAPPING), "a[/b].bag · tiny"))
    shown = capsys.readouterr().err
    assert "mapping a[/b].bag" in shown and "a[/b].bag · tiny" in shown


def test_an_export_that_nothing_can_write_is_refused_at_once(tmp_path, capsys):
    assert main(["export", str(tmp_path), "thing.stl"]) == 1
    assert "FILE must end in one of" in capsys.readouterr().err
