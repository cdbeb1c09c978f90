import cv2
import numpy as np
import pytest
from photo_scenes import write_colmap, write_llff, write_replica, write_scannet

from semantic_field_ros.stream.colmap import Colmap
from semantic_field_ros.stream.llff import Llff
from semantic_field_ros.stream.nerfstudio import Nerfstudio
from semantic_field_ros.stream.open import SourceOptions, open_source
from semantic_field_ros.stream.replica import Replica
from semantic_field_ros.stream.scannet import ScanNet
from semantic_field_ros.stream.seven_scenes import SevenScenes
from semantic_field_ros.stream.synthetic.source import SyntheticSource


@pytest.fixture
def folder(tmp_path):
    np.savetxt(tmp_path / "camera-intrinsics.txt", [[7, 0, 3.5], [0, 7, 2.5], [0, 0, 1]])
    cv2.imwrite(str(tmp_path / "frame-000000.color.png"), np.zeros((6, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "frame-000000.depth.png"), np.full((6, 8), 1000, np.uint16))
    np.savetxt(tmp_path / "frame-000000.pose.txt", np.eye(4))
    return tmp_path


def test_built_in_world():
    source = open_source("world:table:7", SourceOptions(frames=3))
    assert isinstance(source, SyntheticSource)
    assert (source.name, source.length) == ("world:table:7", 3)


def test_folder_in_the_layout_of_7_scenes(folder):
    assert isinstance(open_source(str(folder)), SevenScenes)


def test_size_and_rgb_only_hold_for_every_source(folder):
    source = open_source(str(folder), SourceOptions(max_width_px=4, rgb_only=True))
    (frame,) = source
    assert frame.rgb.shape == (3, 4, 3) and frame.camera.width == 4 and frame.depth_m is None
    assert (source.length, source.rate_hz, source.name) == (1, 5.0, str(folder))


def test_transforms_json_and_its_folder(tmp_path):
    (tmp_path / "transforms.json").write_text('{"frames": [{"file_path": "a.png"}]}')
    assert isinstance(open_source(str(tmp_path)), Nerfstudio)
    assert isinstance(open_source(str(tmp_path / "transforms.json")), Nerfstudio)


@pytest.mark.parametrize(
    ("write", "kind"),
    [
        (write_replica, Replica),
        (write_scannet, ScanNet),
        (write_colmap, Colmap),
        (write_llff, Llff),
    ],
)
def test_folders_of_published_data_sets(tmp_path, write, kind):
    source = open_source(str(write(tmp_path)))
    assert isinstance(source, kind)
    smaller = open_source(str(tmp_path), SourceOptions(max_width_px=4, scale=1.0, frames=2))
    assert smaller.held_out == source.held_out  # those of the data set
    assert [frame.camera.width for frame in smaller] == [4, 4]


@pytest.mark.parametrize("spec", ["world:moon:1", "world:table:x", "world:table", "no/such/thing"])
def test_unknown_sources_list_the_forms(spec):
    with pytest.raises(ValueError, match=r"world:table:SEED.*transforms.json.*rosbag2"):
        open_source(spec)


def test_folder_without_frames_lists_the_forms(tmp_path):
    with pytest.raises(ValueError, match="nothing that can be read"):
        open_source(str(tmp_path))
