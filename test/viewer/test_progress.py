"""What the page says about the map, and where it saves."""

import pytest

from semantic_field_ros.config import Config, MapConfig
from semantic_field_ros.viewer.progress import progress_text
from semantic_field_ros.viewer.saving import save
from semantic_field_ros.viewer.server import ViewerOptions

STATUS = {
    "state": "training",
    "message": "",
    "map_version": 3,
    "steps": 120,
    "steps_per_s": 8.25,
    "psnr_db": 21.37,
    "feature_backlog": 2,
    "features_done": 5,
    "features_dropped": 1,
    "keyframes": 7,
    "frames": {"first frame of the camera": 1, "moved": 6, "too close to the last keyframe": 9,
               "blurred": 4, "turned": 0},
    "refused": {"depth_m must be (2, 2)": 2},
    "surface_points": 54321,
}  # fmt: skip


def test_the_status_is_told_with_every_drop_and_its_reason():
    text = progress_text(STATUS)
    for part in (
        "**training**",
        "version 3, 54,321 points",
        "7 of 20 frames",
        "120, 8.2 per s",
        "21.4 dB",
        "5 done, 2 waiting",
        "4 blurred, 2 depth_m must be (2, 2), 1 features not made",
    ):
        assert part in text
    assert "too close" not in text


def test_a_failure_and_an_empty_map_are_told_too():
    empty = {**STATUS, "state": "failed", "message": "out of memory", "psnr_db": None}
    empty |= {"refused": {}, "frames": {}, "steps_per_s": 0.0, "features_dropped": 0}
    text = progress_text(empty)
    assert text.startswith("**failed**: out of memory\n")
    assert "| PSNR | – |" in text and "| dropped | nothing |" in text


class Written:
    """A field that only writes down what it is asked to save."""

    def __init__(self, folder):
        self.config = Config(map=MapConfig(folder=str(folder)))
        self.calls = []

    def save(self, path):
        self.calls.append(("map", path))

    def export(self, path, what, masks):
        self.calls.append((what, path))


def test_files_go_into_the_map_folder(tmp_path):
    field = Written(tmp_path / "maps")
    for kind in ("cloud (PLY)", "mesh (GLB)", "map"):
        save(field, kind, " table ", ())
    folder = (tmp_path / "maps").resolve()
    assert field.calls == [
        ("surface", folder / "table.ply"),
        ("mesh", folder / "table.glb"),
        ("map", folder / "table"),
    ]


@pytest.mark.parametrize("name", ["", "../table", "/tmp/table", "a/b", ".hidden", "..", "a\x00/b"])
def test_nothing_is_written_elsewhere(tmp_path, name):
    field = Written(tmp_path)
    with pytest.raises(ValueError, match="plain name"):
        save(field, "map", name, ())
    assert not field.calls


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ValueError, match="got 'video'"):
        save(Written(tmp_path), "video", "table", ())


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 70000}, {"most_points": 0}])
def test_options_are_checked(wrong):
    with pytest.raises(ValueError, match="port below 65536"):
        ViewerOptions(**wrong)


def test_the_page_is_local_unless_told_otherwise():
    assert ViewerOptions().host == "127.0.0.1"
