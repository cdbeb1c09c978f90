import numpy as np
import pytest
from photo_scenes import write_photo, write_png, write_scannet

from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.scannet import ScanNet


def test_frames_have_the_size_of_the_depth_images(tmp_path):
    source = ScanNet(write_scannet(tmp_path))
    first, second, _ = source
    assert source.length == 3 and source.held_out == Holdout(10, 0)
    assert second.stamp_ns == 4_200_000_000  # frame 20
    assert first.rgb.shape == (6, 8, 3) and first.depth_m.shape == (6, 8)
    assert (first.camera.fx, first.camera.cx, first.camera.cy) == (7.0, 3.5, 2.5)
    assert np.isnan(first.depth_m[0, 0]) and np.count_nonzero(first.depth_m == 1.5) == 47


def test_depth_is_looked_up_where_the_colour_camera_has_it(tmp_path):
    write_scannet(tmp_path, (0,))
    depth_mm = np.arange(1000, 1048).reshape(6, 8)
    write_png(tmp_path / "depth/0.png", depth_mm)
    matrix = np.loadtxt(tmp_path / "intrinsic/intrinsic_color.txt")
    matrix[0, 2] += 4  # four colour pixels, two of the depth camera
    np.savetxt(tmp_path / "intrinsic/intrinsic_color.txt", matrix)
    (frame,) = ScanNet(tmp_path)
    assert frame.camera.cx == 5.5
    assert np.isnan(frame.depth_m[:, :2]).all()
    np.testing.assert_allclose(frame.depth_m[:, 2:], depth_mm[:, :6] / 1000)


def test_colour_of_the_size_of_depth_is_in_the_depth_camera(tmp_path):
    write_scannet(tmp_path, (0,))
    write_photo(tmp_path / "color/0.jpg", 9, (8, 6))
    (frame,) = ScanNet(tmp_path)
    assert (frame.camera.fx, frame.camera.cx) == (7.0, 3.5)


def test_depth_of_unknown_intrinsics_is_used_in_the_pixels_of_colour_or_said_to_be_left_out(
    tmp_path, caplog
):
    write_scannet(tmp_path)
    (tmp_path / "intrinsic/intrinsic_depth.txt").unlink()
    source = ScanNet(tmp_path)
    first, *others = source
    assert first.depth_m is None and first.rgb.shape == (12, 16, 3) and len(others) == 2
    assert source.tally.counts == {"depth left out": 3}
    (said,) = caplog.messages
    assert "intrinsic/intrinsic_depth.txt must be there" in said
    assert "of another size than colour (16x12), got 8x6" in said

    depth_mm = np.full((12, 16), 2000)
    write_png(tmp_path / "depth/20.png", depth_mm)
    frame = source.frame(20)
    np.testing.assert_array_equal(frame.depth_m, np.full((12, 16), 2.0, np.float32))
    assert (frame.camera.fx, frame.camera.cx) == (14.0, 7.5)


def test_scenes_without_depth_keep_their_size(tmp_path):
    write_scannet(tmp_path, (0,))
    (tmp_path / "depth/0.png").unlink()
    (frame,) = ScanNet(tmp_path)
    assert frame.depth_m is None and frame.rgb.shape == (12, 16, 3) and frame.camera.fx == 14.0


def test_frames_whose_pose_was_lost_are_skipped_and_counted(tmp_path):
    write_scannet(tmp_path)
    np.savetxt(tmp_path / "pose/20.txt", np.full((4, 4), -np.inf))
    source = ScanNet(tmp_path)
    assert [frame.stamp_ns for frame in source] == [200_000_000, 8_200_000_000]
    assert "20.jpg: pose must be finite" in source.tally.last["frame not whole"]


def test_frames_can_be_thinned_and_asked_for(tmp_path):
    source = ScanNet(write_scannet(tmp_path, range(0, 100, 20)), frames=3)
    assert source.numbers == (0, 40, 80)
    assert source.frame(40).stamp_ns == 8_200_000_000
    with pytest.raises(ValueError, match="one of 3 taken, got 20"):
        source.frame(20)


def test_what_is_no_scene_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        ScanNet(tmp_path)
    write_scannet(tmp_path)
    (tmp_path / "intrinsic/intrinsic_color.txt").unlink()
    with pytest.raises(ValueError, match="4x4 matrix"):
        ScanNet(tmp_path)
