import json
import tracemalloc

import cv2
import numpy as np
import pytest

from semantic_field_ros.evaluation.ground_truth import (
    FolderTruth,
    FrameTruth,
    WorldTruth,
    sample_surface,
    spacing_for,
)
from semantic_field_ros.evaluation.open_truth import open_truth
from semantic_field_ros.stream.open import Adapted
from semantic_field_ros.stream.seven_scenes import SevenScenes
from semantic_field_ros.stream.synthetic import SyntheticSource
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(4, 3, 2.0, 2.0, 1.5, 1.0)


def write_folder(folder, frames=2, size=(3, 4)):
    np.savetxt(folder / "camera-intrinsics.txt", [[2.0, 0, 1.5], [0, 2.0, 1.0], [0, 0, 1]])
    for index in range(frames):
        stem = folder / f"frame-{index:06d}"
        cv2.imwrite(f"{stem}.color.png", np.zeros((*size, 3), np.uint8))
        cv2.imwrite(f"{stem}.depth.png", np.full(size, 2000, np.uint16))
        np.savetxt(f"{stem}.pose.txt", np.eye(4))
        instance = np.zeros(size, np.uint16)
        instance[index, 0] = 300  # does not fit in eight bits
        cv2.imwrite(f"{stem}.instance.png", instance)
    (folder / "labels.json").write_text(json.dumps({"300": "blue box"}))
    return folder


def test_a_labelled_folder_is_joined_by_stamp(tmp_path):
    truth = open_truth(SevenScenes(write_folder(tmp_path)))
    assert truth.things[300].phrase == "blue box"
    second = truth.at(400_000_000)
    assert second.instance.tolist() == [[0] * 4, [300, 0, 0, 0], [0] * 4]
    assert (second.depth_m == 2.0).all()
    assert not truth.lists_everything


def test_a_folder_without_labels_has_no_truth(tmp_path):
    (write_folder(tmp_path) / "labels.json").unlink()
    assert open_truth(SevenScenes(tmp_path)) is None


def test_truth_is_found_under_an_adapted_source(tmp_path):
    adapted = Adapted(SevenScenes(write_folder(tmp_path)), rgb_only=True)
    assert np.isfinite(open_truth(adapted).at(200_000_000).depth_m).all()


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": "mug"}', '{"0": "mug"}'])
def test_broken_labels_are_refused(tmp_path, text):
    (write_folder(tmp_path) / "labels.json").write_text(text)
    with pytest.raises(ValueError, match=r"labels.json must"):
        open_truth(SevenScenes(tmp_path))


def test_an_unknown_stamp_and_a_wrong_size_are_refused(tmp_path):
    truth = FolderTruth(SevenScenes(write_folder(tmp_path)))
    with pytest.raises(ValueError, match="no labelled frame has stamp 7 ns"):
        truth.at(7)
    cv2.imwrite(str(tmp_path / "frame-000000.instance.png"), np.zeros((5, 4), np.uint16))
    with pytest.raises(ValueError, match=r"size \(3, 4\), got \(5, 4\)"):
        truth.at(200_000_000)


def test_frames_of_a_labelled_folder_are_not_kept(tmp_path):
    """Of 20 frames with 19 200 pixels of 3 + 4 + 4 bytes, 4.2 MB, less than what two take."""
    write_folder(tmp_path, 20, size=(120, 160))
    tracemalloc.start()
    try:
        truth = FolderTruth(SevenScenes(tmp_path))
        for number in range(20):
            assert truth.at((number + 1) * 200_000_000).instance[number, 0] == 300
        assert tracemalloc.get_traced_memory()[0] < 2 * 19_200 * 11
    finally:
        tracemalloc.stop()


def wall(instance, depth_m=2.0):
    depth = np.full((3, 4), depth_m, np.float32)
    return FrameTruth(CAMERA, np.eye(4), np.asarray(instance, np.int32), depth)


def test_the_surface_is_sampled_once_however_often_it_is_seen():
    ids = [[0, 0, 5, 5], [0, 0, 5, 5], [0, 0, 0, 0]]
    # At 2 m and f = 2 px neighbouring pixels are exactly 1 m apart.
    surface = sample_surface([wall(ids), wall(ids)], 0.5)
    assert len(surface.points) == 12
    assert np.count_nonzero(surface.owner == 5) == 4
    assert surface.points[:, 2].tolist() == [2.0] * 12
    assert len(sample_surface([wall(ids)], 100.0).points) <= 8  # voxels around the origin


def test_unknown_depth_is_no_surface():
    truth = wall(np.zeros((3, 4)))
    truth.depth_m[0] = np.nan
    assert len(sample_surface([truth], 0.1).points) == 8


def test_spacing_follows_the_size_of_what_was_seen():
    assert spacing_for([wall(np.zeros((3, 4)))]) == pytest.approx(np.hypot(3, 2) / 400)
    assert spacing_for([wall(np.zeros((3, 4)), depth_m=50.0)]) == 0.02
    assert spacing_for([wall(np.zeros((3, 4)), depth_m=0.1)]) == 0.004


def test_resizing_keeps_ids_whole():
    truth = wall([[0, 0, 7, 7], [0, 0, 7, 7], [0, 0, 7, 7]]).resized(2, 3)
    assert truth.instance.tolist() == [[0, 7]] * 3
    assert truth.camera.fx == 1.0


def test_the_world_tells_true_pose_depth_and_names():
    source = SyntheticSource(
        "table", 3, frames=2, camera=PinholeCamera(32, 24, 28, 28, 15.5, 11.5)
    )
    truth, frames = WorldTruth(source), list(source)
    first = truth.at(frames[0].stamp_ns)
    assert truth.at(frames[0].stamp_ns) is first
    moved_m = np.linalg.norm((first.world_from_camera - frames[0].world_from_camera)[:3, 3])
    assert 0 < moved_m < 0.05  # the stream's pose is noisy, the truth's is not
    assert first.instance.shape == (24, 32)
    thing = truth.things[1]
    assert thing.phrase == f"{thing.colour} {thing.category}"
    assert "floor" in truth.unnamed and truth.lists_everything
    with pytest.raises(ValueError, match="has stamp 7 ns"):
        truth.at(7)
