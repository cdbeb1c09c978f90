import numpy as np
import pytest
from photo_scenes import write_llff, write_photo

from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.llff import Llff
from semantic_field_ros.stream.photos import upright


def test_columns_down_right_back_become_opencv_axes(tmp_path):
    source = Llff(write_llff(tmp_path), scale=2.0)
    first, second = source
    assert source.length == 2 and source.held_out == Holdout(8, 0)
    assert first.depth_m is None and second.rgb.max() == 10
    camera = first.camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (35.0, 35.0, 19.5, 14.5)
    right, down, forward, position = second.world_from_camera[:3].T
    expected = [[1, 0, 0], [0, 0, -1], [0, 1, 0], [1.0, 0, 0]]  # z is up, half a unit is a metre
    np.testing.assert_allclose([right, down, forward, position], expected, atol=1e-12)


def test_the_middle_depth_is_taken_for_one_and_a_half_metres(tmp_path):
    _, second = Llff(write_llff(tmp_path, bounds=(1.0, 9.0)))  # 3 units in the geometric mean
    np.testing.assert_allclose(second.world_from_camera[:3, 3], [0.25, 0, 0], atol=1e-12)


def test_reduced_photos_have_the_camera_of_their_size(tmp_path):
    (frame, _) = Llff(write_llff(tmp_path, size=(20, 15)))
    assert (frame.camera.fx, frame.camera.cx, frame.camera.cy) == (17.5, 9.5, 7.0)


def test_poses_that_do_not_belong_to_the_photos_are_refused(tmp_path):
    write_llff(tmp_path)
    write_photo(tmp_path / "images/c.png")
    with pytest.raises(ValueError, match=r"must be \(3, 17\).*got \(2, 17\)"):
        Llff(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows * np.nan, "finite"),
        (lambda rows: rows - 2.0, "depths > 0"),
        (lambda rows: rows * 2.0, "rigid"),
        (lambda rows: rows.astype(object), "array of numbers"),
    ],
)
def test_broken_poses_are_refused(tmp_path, change, message):
    path = write_llff(tmp_path) / "poses_bounds.npy"
    np.save(path, change(np.load(path)))
    with pytest.raises(ValueError, match=message):
        Llff(tmp_path)


@pytest.mark.parametrize("up", [[0, 0, 1], [0, 0, -1], [0, 1, 0], [0.6, 0, -0.8]])
def test_the_mean_upward_direction_becomes_z(up):
    pose = np.eye(4)
    pose[:3, 1] = -np.array(up, float)  # the camera's y axis looks down
    turn = upright([pose])[:3, :3]
    np.testing.assert_allclose(turn @ up, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
