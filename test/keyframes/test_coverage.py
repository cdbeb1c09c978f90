import numpy as np
from scipy.spatial.transform import Rotation

from semantic_field_ros.keyframes.coverage import Coverage, turn_and_step


def pose(x_m=0.0, yaw_rad=0.0):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec([0, 0, yaw_rad]).as_matrix()
    matrix[0, 3] = x_m
    return matrix


def test_views_differ_by_a_turn_and_a_step():
    poses = np.stack([pose(), pose(1.0), pose(yaw_rad=0.5), pose(2.0, 0.25)])
    turn_rad, step_m = turn_and_step(pose(), poses)
    np.testing.assert_allclose(turn_rad, [0.0, 0.0, 0.5, 0.25], atol=1e-7)
    np.testing.assert_allclose(step_m, [0.0, 1.0, 0.0, 2.0], atol=1e-7)


def filled(positions):
    coverage = Coverage(len(positions))
    for slot, x_m in enumerate(positions):
        coverage.add(slot, pose(x_m))
    return coverage


def test_view_with_the_nearest_neighbour_is_missed_least():
    coverage = filled([0.0, 3.0, 3.5, 5.0, 9.0])
    assert coverage.least_missed(np.arange(5)) in (1, 2)
    assert coverage.least_missed(np.array([0, 2, 3, 4])) in (2, 3)


def test_all_views_are_compared_by_the_scale_of_today():
    """Half a metre is five radians of what is seen at first, and a twentieth of one later."""
    coverage = Coverage(4)
    coverage.metres_per_radian = 0.1
    coverage.add(0, pose())
    coverage.add(1, pose(0.5))
    coverage.metres_per_radian = 10.0
    coverage.add(2, pose(20.0))
    coverage.add(3, pose(20.0, 0.3))
    assert coverage.least_missed(np.arange(4)) in (0, 1)


def test_heir_is_kept_for_what_it_stands_for():
    coverage = filled([0.0, 1.0, 1.9, 4.0])
    coverage.remove(1, np.arange(4))  # 1.9 is its heir
    coverage.add(1, pose(2.7))
    assert coverage.least_missed(np.arange(4)) == 1


def test_view_that_comes_back_takes_the_witness_over():
    coverage = filled([0.0, 1.0, 1.9, 4.0])
    coverage.remove(1, np.arange(4))
    coverage.add(1, pose(1.0))
    assert coverage.least_missed(np.arange(4)) in (1, 2)
    coverage.move(2, pose(3.9))
    assert coverage.least_missed(np.arange(4)) in (2, 3)


def test_thinning_a_path_as_it_grows_leaves_no_hole():
    coverage, slots = Coverage(8), np.arange(8)
    at = {}
    for step in range(100):
        slot = step if step < 8 else coverage.least_missed(slots)
        if step >= 8:
            coverage.remove(slot, slots)
        coverage.add(slot, pose(float(step)))
        at[slot] = step
    assert np.diff(sorted(at.values())).max() <= 2 * 100 / 8
