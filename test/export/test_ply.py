"""PLY files that other programs read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest

from semantic_field_ros.export.ply import write_ply
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.types import SurfaceCloud


def surface() -> SurfaceCloud:
    points = np.arange(12, dtype=np.float32).reshape(4, 3)
    normals = np.tile(np.array([[0, 0, 1]], np.float32), (4, 1))
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    return SurfaceCloud(points, normals, rgb, np.full(4, 5.0, np.float32), map_version=3)


def test_another_program_reads_what_was_written(tmp_path: Path) -> None:
    cloud = surface()
    masks = [
        make_mask(cloud, np.array([1, 2]), np.array([0.75, 0.5], np.float32), "red mug", 0.9),
        make_mask(cloud, np.array([2, 3]), np.array([0.25, 0.25], np.float32), "ball\nx", 0.8),
    ]
    write_ply(tmp_path / "map.ply", cloud, masks)
    read = o3d.t.io.read_point_cloud(str(tmp_path / "map.ply"))
    np.testing.assert_array_equal(read.point.positions.numpy(), cloud.points)
    np.testing.assert_array_equal(read.point.colors.numpy(), cloud.rgb)
    assert read.point.label.numpy().ravel().tolist() == [0, 1, 1, 2]
    assert read.point.score.numpy().ravel().tolist() == [0.0, 0.75, 0.5, 0.25]
    header = (tmp_path / "map.ply").read_bytes().split(b"end_header")[0].decode()
    assert "comment label 1 red mug\ncomment label 2 ball x\n" in header


@pytest.mark.parametrize("name", ["map.json", "kitchen"])
def test_only_ply_files_are_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"is written as \.ply, got '{name}'"):
        write_ply(tmp_path / name, surface())
    assert [path.name for path in tmp_path.iterdir()] == ["map.json"]
    assert (tmp_path / "map.json").read_text() == "{}"


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken.ply").mkdir()
    with pytest.raises(OSError):
        write_ply(tmp_path / "taken.ply", surface())
    assert [path.name for path in tmp_path.iterdir()] == ["taken.ply"]


def test_masks_of_another_version_are_refused(tmp_path: Path) -> None:
    other = replace(surface(), map_version=2)
    mask = make_mask(other, np.array([1]), np.ones(1, np.float32), "", 1.0)
    with pytest.raises(ValueError, match="masks must be of map version 3, got 2"):
        write_ply(tmp_path / "map.ply", surface(), [mask])
    assert list(tmp_path.iterdir()) == []
