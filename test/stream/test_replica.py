import numpy as np
import pytest
from photo_scenes import write_replica

from semantic_field_ros.stream.holdout import Holdout
from semantic_field_ros.stream.replica import Replica


def test_frames_come_with_depth_and_a_right_angle_of_view(tmp_path):
    source = Replica(write_replica(tmp_path, (0, 2, 10)))
    first, second, third = source
    assert source.length == 3 and source.held_out == Holdout(10, 0)
    assert [f.stamp_ns for f in (first, second, third)] == [
        200_000_000,
        600_000_000,
        2_200_000_000,
    ]
    assert (first.camera.fx, first.camera.fy, first.camera.cx, first.camera.cy) == (4, 4, 3.5, 2.5)
    assert (first.depth_m == 2.0).all() and third.rgb.max() == 100
    assert third.world_from_camera[0, 3] == 1.0  # row 10 of the trajectory, not row 2


def test_frames_can_be_thinned_evenly(tmp_path):
    source = Replica(write_replica(tmp_path, range(9)), frames=3)
    assert [frame.rgb.max() for frame in source] == [0, 40, 80]


def test_an_image_without_a_pose_is_skipped_and_counted(tmp_path):
    write_replica(tmp_path)
    np.savetxt(tmp_path / "traj_w_c.txt", [np.eye(4).ravel()] * 2)
    source = Replica(tmp_path)
    assert len(list(source)) == 2
    assert "must have a row 2, has 2" in source.tally.last["frame not whole"]


def test_what_is_no_sequence_is_refused(tmp_path):
    with pytest.raises(ValueError, match="rgb_N.png, found none"):
        Replica(tmp_path)
    write_replica(tmp_path)
    np.savetxt(tmp_path / "traj_w_c.txt", np.eye(4))
    with pytest.raises(ValueError, match="16 numbers a row"):
        Replica(tmp_path)
    (tmp_path / "traj_w_c.txt").unlink()
    with pytest.raises(ValueError, match="traj_w_c.txt must hold"):
        Replica(tmp_path)
