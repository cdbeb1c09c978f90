"""What is written for nerfstudio comes back through the package's own reader."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semantic_field_ros.export.transforms import write_transforms
from semantic_field_ros.geometry import look_at
from semantic_field_ros.stream.nerfstudio import Nerfstudio
from semantic_field_ros.training.checkpoint import SavedMap, load_map, save_map
from semantic_field_ros.types import PinholeCamera, PosedFrame, SurfaceCloud

CAMERA = PinholeCamera(20, 16, 18.0, 18.5, 9.25, 7.75)


def frame(number: int, with_depth: bool = True) -> PosedFrame:
    rng = np.random.default_rng(number)
    pose = look_at(np.array([2.0, 0.1 * number, 1.0]), np.zeros(3))
    rgb = rng.integers(0, 256, (16, 20, 3), np.uint8)
    depth_m = rng.uniform(0.5, 3.0, (16, 20)).astype(np.float32)
    depth_m[0, :3] = np.nan
    return PosedFrame(number, "front", CAMERA, pose, rgb, depth_m if with_depth else None)


def test_the_round_trip_is_exact_up_to_millimetres(tmp_path: Path) -> None:
    frames = [frame(number) for number in range(12)]
    write_transforms(tmp_path / "out", frames)
    read = list(Nerfstudio(tmp_path / "out"))
    assert len(read) == 12
    for back, given in zip(read, frames, strict=True):
        assert back.camera == CAMERA
        np.testing.assert_array_equal(back.rgb, given.rgb)
        np.testing.assert_allclose(back.world_from_camera, given.world_from_camera, atol=1e-12)
        np.testing.assert_allclose(back.depth_m, given.depth_m, atol=5.1e-4)
    doubled = next(iter(Nerfstudio(tmp_path / "out", scale=2.0)))
    np.testing.assert_allclose(doubled.depth_m, 2 * read[0].depth_m)


def test_the_file_says_what_nerfstudio_reads(tmp_path: Path) -> None:
    cloud = SurfaceCloud(
        np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32), np.zeros((2, 3), np.uint8),
        np.ones(2, np.float32),
    )  # fmt: skip
    write_transforms(tmp_path / "out", [frame(1)], cloud)
    tree = json.loads((tmp_path / "out" / "transforms.json").read_text())
    entry = tree["frames"][0]
    assert tree["camera_model"] == "OPENCV" and tree["ply_file_path"] == "surface.ply"
    assert (entry["w"], entry["h"], entry["fl_x"], entry["fl_y"]) == (20, 16, 18.0, 18.5)
    # The middle of the first pixel is 0.5 in COLMAP's count and 0 in ours.
    assert (entry["cx"], entry["cy"]) == (9.75, 8.25)
    # OpenGL's camera looks along -z: from (2, 0.1, 1) to the origin.
    ahead = -np.array(entry["transform_matrix"])[:3, 2]
    np.testing.assert_allclose(ahead, -np.array([2.0, 0.1, 1.0]) / np.sqrt(5.01), atol=1e-9)
    for name in (entry["file_path"], entry["depth_file_path"], "surface.ply"):
        assert (tmp_path / "out" / name).is_file()


def test_frames_keep_the_names_of_their_cameras(tmp_path: Path) -> None:
    write_transforms(tmp_path / "out", [frame(1), replace(frame(2), camera_name="wrist")])
    entries = json.loads((tmp_path / "out" / "transforms.json").read_text())["frames"]
    assert [entry["camera_name"] for entry in entries] == ["front", "wrist"]
    source = Nerfstudio(tmp_path / "out")
    assert source.cameras == ("front", "wrist")
    assert [back.camera_name for back in source] == ["front", "wrist"]


def test_where_some_frames_have_depth_all_get_an_image_of_it(tmp_path: Path) -> None:
    write_transforms(tmp_path / "out", [frame(1), frame(2, with_depth=False)])
    _, second = Nerfstudio(tmp_path / "out")
    assert np.isnan(second.depth_m).all()
    write_transforms(tmp_path / "bare", [frame(2, with_depth=False)])
    assert next(iter(Nerfstudio(tmp_path / "bare"))).depth_m is None


def test_what_is_ignored_stays_so(tmp_path: Path) -> None:
    ignored = np.zeros((16, 20), np.bool_)
    ignored[10:, 5:9] = True
    given = [replace(frame(1), ignored=ignored), frame(2)]
    write_transforms(tmp_path / "out", given)
    first, second = Nerfstudio(tmp_path / "out")
    np.testing.assert_array_equal(first.ignored, ignored)
    assert np.isnan(first.depth_m[ignored]).all()
    assert not second.ignored.any()


def test_an_earlier_export_is_replaced_and_anything_else_is_left_alone(tmp_path: Path) -> None:
    far = replace(frame(0), depth_m=np.full((16, 20), 70.0, np.float32))
    for frames in ([frame(1), frame(2)], [far]):
        write_transforms(tmp_path / "out", frames)
    (only,) = Nerfstudio(tmp_path / "out")
    assert np.isnan(only.depth_m).all()  # 70 m do not fit into 16 bits of millimetres
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen" / "map.json").write_text("{}")
    with pytest.raises(ValueError, match="must not exist, or be an earlier export"):
        write_transforms(tmp_path / "kitchen", [frame(1)])
    with pytest.raises(ValueError, match="at least one keyframe"):
        write_transforms(tmp_path / "none", [])


def test_a_map_that_was_saved_beside_an_earlier_export_is_kept(tmp_path: Path) -> None:
    """Both are written into the map folder, and may be given one name."""
    write_transforms(tmp_path / "kitchen", [frame(1)])
    save_map(tmp_path, "kitchen", SavedMap({"keyframes": []}, {}))
    with pytest.raises(ValueError, match="holds a saved map"):
        write_transforms(tmp_path / "kitchen", [frame(2)])
    assert load_map(tmp_path, "kitchen").meta == {"keyframes": []}


@pytest.mark.parametrize("text", ['{"frames": []}', "[]", "not JSON"])
def test_a_data_set_of_photos_is_no_earlier_export(tmp_path: Path, text: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "original.jpg").write_text("a photo")
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(ValueError, match="must not exist, or be an earlier export"):
        write_transforms(tmp_path, [frame(1)])
    assert (tmp_path / "images" / "original.jpg").read_text() == "a photo"
    assert (tmp_path / "transforms.json").read_text() == text
