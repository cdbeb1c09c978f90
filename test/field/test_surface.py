import numpy as np
import pytest
from scipy.spatial import cKDTree

from semantic_field_ros.config import SurfaceConfig
from semantic_field_ros.field.surface import SurfaceBuilder
from semantic_field_ros.geometry import look_at
from semantic_field_ros.types import Keyframe, PinholeCamera, PosedFrame

CAMERA = PinholeCamera(40, 30, 40.0, 40.0, 19.5, 14.5)
GREY = np.full((30, 40, 3), 128, np.uint8)
BOX = (np.full(3, -4.0), np.full(3, 4.0))


def facing(x=0.0, z=-2.0):
    """(4, 4) pose at (x, 0, z) that looks along world z, image rows along world y."""
    pose = np.eye(4)
    pose[:3, 3] = x, 0, z
    return pose


def builder(**options):
    return SurfaceBuilder(SurfaceConfig(**{"voxel_m": 0.05, "stride_px": 1, **options}), *BOX)


def wall(origins, directions):
    """A wall at world z = 0."""
    depth = -origins[:, 2] / directions[:, 2]
    return depth, np.ones_like(depth)


def floating(keyframe_x):
    """The wall with a hanging square 1 m in front of it, seen from one camera only."""

    def render(origins, directions):
        depth, opacity = wall(origins, directions)
        at = origins + directions * (depth / 2)[:, None]
        hangs = np.abs(at[:, :2] - [keyframe_x, 0]).max(axis=1) < 0.2
        return np.where(hangs, depth / 2, depth).astype(np.float32), opacity

    return render


def view(keyframe_id, pose, rgb=GREY, **seen):
    return Keyframe(keyframe_id, PosedFrame(0, "rgb", CAMERA, pose, rgb, **seen))


def test_a_floater_goes_when_others_look_through_it():
    made = builder()
    made.refresh([view(0, facing(0.0))], floating(0.0))
    assert (made.cloud(1).points[:, 2] < -0.5).any()
    made.refresh([view(1, facing(0.3)), view(2, facing(-0.3))], wall)
    cloud = made.cloud(2)
    assert (np.abs(cloud.points[:, 2]) < 0.01).all()
    assert cloud.map_version == 2


def test_one_view_that_disagrees_is_not_enough():
    made = builder()
    made.refresh([view(0, facing(0.0))], floating(0.0))
    made.refresh([view(1, facing(0.3))], wall)
    assert (made.cloud(1).points[:, 2] < -0.5).any()


def test_a_sheet_seen_alike_from_both_sides_is_a_surface():
    """As two simulated cameras see it: the normals of each voxel cancel each other exactly."""
    other_side = facing(z=2.0) @ np.diag([-1.0, 1.0, -1.0, 1.0])
    made = builder()
    made.refresh([view(0, facing()), view(1, other_side)], wall)
    cloud = made.cloud(1)
    assert len(cloud.points) > 500
    np.testing.assert_allclose(cloud.points[:, 2], 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-6)


def test_colour_is_what_the_cameras_saw():
    left_red = GREY.copy()
    left_red[:, :20] = 200, 0, 0
    made = builder()
    made.refresh([view(0, facing(), left_red)], wall)
    cloud = made.cloud(1)
    assert (cloud.rgb[cloud.points[:, 0] < -0.05] == [200, 0, 0]).all()
    assert (cloud.rgb[cloud.points[:, 0] > 0.05] == 128).all()


def test_colour_of_views_that_differ_is_their_mean():
    made = builder()
    made.refresh([view(0, facing(), GREY), view(1, facing(), GREY // 2)], wall)
    assert set(made.cloud(1).rgb.ravel().tolist()) == {96}


def test_transparent_rays_see_no_surface():
    def half(origins, directions):
        depth, _ = wall(origins, directions)
        return depth, np.where(directions[:, 0] > 0, 0.9, 0.3).astype(np.float32)

    made = builder()
    made.refresh([view(0, facing())], half)
    assert (made.cloud(1).points[:, 0] > 0).all()
    seen = made.depths()[0]
    assert np.isnan(seen.depth_m[:, :20]).all()
    np.testing.assert_allclose(seen.depth_m[:, 20:], 2.0)


def test_the_field_shows_only_what_the_sensor_did_not_measure():
    """The sensor says 1.5 m on the left and nothing on the right, where the wall is 2 m away."""
    sensor = np.full((30, 40), np.nan, np.float32)
    sensor[:, :20] = 1.5
    looked_at = []

    def render(origins, directions):
        looked_at.append(directions[:, 0])
        return wall(origins, directions)

    made = builder()
    made.refresh([view(0, facing(), depth_m=sensor)], render)
    assert len(looked_at[0]) == 30 * 20 and (looked_at[0] > 0).all()
    seen = made.depths()[0].depth_m
    np.testing.assert_allclose(seen[:, :20], 1.5)
    np.testing.assert_allclose(seen[:, 20:], 2.0)


@pytest.mark.parametrize("stride_px", [1, 2, 3])
def test_a_measured_slope_lies_where_it_is_whatever_the_stride(stride_px):
    """The plane z = 0.5 + x, from 2.5 m before its middle."""
    rays_x = (np.arange(40, dtype=np.float32) - 19.5) / 40
    sensor = (2.5 / (1 - rays_x))[None].repeat(30, axis=0).astype(np.float32)
    made = builder(stride_px=stride_px, voxel_m=0.02)
    made.refresh([view(0, facing(), depth_m=sensor)], wall)
    points = made.cloud(1).points
    np.testing.assert_allclose(points[:, 2] - points[:, 0], 0.5, atol=1e-3)


def test_what_the_sensor_measured_whole_is_never_rendered():
    def never(origins, directions):
        raise AssertionError("nothing is missing")

    made = builder()
    made.refresh([view(0, facing(), depth_m=np.full((30, 40), 2.0, np.float32))], never)
    np.testing.assert_allclose(made.cloud(1).points[:, 2], 0, atol=1e-5)


def test_noise_of_the_sensor_is_averaged_over_a_stride():
    """Its noise is 8 mm at 2 m, of a mean of nine 2.7 mm."""
    noise_m = np.random.default_rng(0).normal(0, 0.002 * 2.0**2, (30, 40))
    made = builder(stride_px=3)
    made.refresh([view(0, facing(), depth_m=(2 + noise_m).astype(np.float32))], wall)
    assert np.std(made.depths()[0].depth_m) == pytest.approx(0.008 / 3, rel=0.2)


def test_rays_are_rendered_until_they_are_used_up():
    """Each view has 1200 rays; one whose depth is measured costs none."""
    measured = view(1, facing(), depth_m=np.full((30, 40), 2.0, np.float32))
    views = [view(0, facing()), measured, view(2, facing()), view(3, facing())]
    made = builder()
    made.refresh(views, wall, rays=1500)
    assert [seen.keyframe_id for seen in made.depths()] == [0, 1, 2]
    made.refresh(views[3:], wall, rays=0)
    assert [seen.keyframe_id for seen in made.depths()] == [0, 1, 2, 3]


def test_surface_of_a_forgotten_keyframe_stays():
    made = builder()
    made.refresh([view(0, facing())], wall)
    before = made.cloud(1)
    made.forget(0)
    for version in (2, 3):
        after = made.cloud(version)
        np.testing.assert_allclose(after.points, before.points, atol=1e-5)
    assert made.depths() == []


def test_a_floater_of_a_forgotten_keyframe_goes_for_good():
    made = builder()
    made.refresh([view(0, facing(0.0))], floating(0.0))
    made.forget(0)
    made.refresh([view(1, facing(0.3)), view(2, facing(-0.3))], wall)
    made.cloud(1)
    made.forget(1)
    made.forget(2)
    assert (np.abs(made.cloud(2).points[:, 2]) < 0.01).all()


def test_never_more_than_the_most_points():
    made = builder(voxel_m=0.01, max_points=100)
    made.refresh([view(i, facing(x)) for i, x in enumerate((-0.5, 0.0, 0.5))], wall)
    assert 50 < len(made.cloud(1).points) <= 100
    assert made.voxel_m > 0.01
    for keyframe_id in range(3):
        made.forget(keyframe_id)
    assert len(made.cloud(2).points) <= 100


def test_the_cloud_is_fine_where_a_camera_was_near():
    """The wall from 10 m has pixels of 0.25 m; its middle is then seen from 1 m."""
    made = builder()
    made.refresh([view(0, facing(z=-10.0))], wall)
    far = made.cloud(1)
    assert set(far.spacing_m.tolist()) == {np.float32(0.2)}
    made.refresh([view(1, facing(z=-1.0))], wall)
    for version in (2, 3):
        near = made.cloud(version)
        middle = np.abs(near.points[:, :2]).max(axis=1) < 0.3
        assert set(near.spacing_m[middle].tolist()) == {np.float32(0.05)}
        assert middle.sum() == 12 * 12  # one layer
        around = [np.abs(cloud.points[:, 0]) > 1 for cloud in (far, near)]
        assert around[1].sum() == around[0].sum()
        assert set(near.spacing_m[around[1]].tolist()) == {np.float32(0.2)}
        made.forget(1)


def test_points_outside_the_box_are_left_out():
    made = SurfaceBuilder(SurfaceConfig(0.05, stride_px=1), np.full(3, -0.25), np.full(3, 0.25))
    made.refresh([view(0, facing())], wall)
    points = made.cloud(1).points
    assert len(points) > 0
    assert (np.abs(points) <= 0.25).all()


def test_a_corrected_pose_moves_the_patch():
    made = builder()
    made.refresh([view(0, facing())], wall)
    shifted = facing(z=-1.0)
    assert made.move({0: shifted, 77: shifted}) == {0: pytest.approx([0.0, 0.0, 1.0])}
    np.testing.assert_allclose(made.cloud(1).points[:, 2], 1.0, atol=1e-5)
    np.testing.assert_array_equal(made.depths()[0].world_from_camera, shifted)
    with pytest.raises(ValueError, match="rigid"):
        made.move({0: np.diag([2.0, 1, 1, 1])})


def test_what_a_forgotten_keyframe_left_goes_where_its_neighbours_go():
    """Two cameras far apart and a forgotten one beside each; the right half moves by 1 m."""
    made = builder()
    made.refresh([view(i, facing(x)) for i, x in enumerate((-2.5, -2.3, 2.5, 2.3))], wall)
    for gone in (1, 3):
        made.forget(gone)
    made.move({0: facing(-2.5), 2: facing(2.5, z=-1.0)})
    points = made.cloud(1).points
    np.testing.assert_allclose(points[points[:, 0] < 0, 2], 0.0, atol=1e-5)
    np.testing.assert_allclose(points[points[:, 0] > 0, 2], 1.0, atol=1e-5)


def test_ignored_pixels_show_no_surface():
    made = builder()
    ignored = np.zeros((30, 40), bool)
    ignored[:, :20] = True
    made.refresh([view(0, facing(), ignored=ignored)], wall)
    depth = made.depths()[0].depth_m
    half = depth.shape[1] // 2
    assert np.isnan(depth[:, :half]).all() and np.isfinite(depth[:, half:]).all()


def test_new_keyframes_take_turns_with_those_that_waited_longest():
    made = builder()
    assert made.due([0, 1, 2, 3]) == [3, 2, 1, 0]
    made.refresh([view(3, facing()), view(0, facing())], wall)
    assert made.due([0, 1, 2, 3]) == [2, 0, 1, 3]
    made.refresh([view(1, facing()), view(2, facing())], wall)
    assert made.due([0, 1, 2, 3]) == [0, 3, 1, 2]
    made.refresh([view(3, facing())], wall)
    assert made.due([3, 2, 7, 1, 0]) == [7, 0, 1, 2, 3]
    assert made.due([]) == []


def test_the_order_of_refreshes_does_not_matter():
    poses = [look_at(np.array([np.cos(a), np.sin(a), -1.5]), np.zeros(3)) for a in (0.1, 1, 2)]
    one, other = builder(), builder()
    one.refresh([view(i, pose) for i, pose in enumerate(poses)], wall)
    for i in (2, 0, 1):
        other.refresh([view(i, poses[i])], wall)
    np.testing.assert_array_equal(one.cloud(1).points, other.cloud(1).points)


def test_state_brings_everything_back():
    made = builder(voxel_m=0.01, max_points=300)
    made.refresh([view(4, facing(0.0)), view(9, facing(1.0))], floating(0.0))
    made.forget(9)
    made.refresh([view(11, facing(-1.0))], wall)
    made.cloud(1)
    state = made.state()
    restored = builder(voxel_m=0.01, max_points=300)
    restored.load_state(state)
    assert restored.voxel_m == made.voxel_m
    assert restored.due([4, 11, 12]) == made.due([4, 11, 12])
    a, b = made.cloud(2), restored.cloud(2)
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.rgb, b.rgb)
    np.testing.assert_array_equal(made.depths()[1].depth_m, restored.depths()[1].depth_m)


def test_an_empty_state_is_a_state():
    made = builder()
    made.load_state(builder().state())
    assert len(made.cloud(1).points) == 0
    assert made.cloud(1).rgb.shape == (0, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.zeros(3, np.int64)},
        {"depth_m": np.zeros(5, np.float32)},
        {"poses": np.zeros((1, 4, 4))},
        {"cameras": np.full((1, 6), np.nan)},
        {"left_behind": np.full((2, 11), np.nan, np.float32)},
        {"left_behind": np.zeros((2, 11), np.float32)},
        {"left_behind": np.ones((2, 10), np.float32)},
        {"voxel_m": np.array([np.nan])},
        {"voxel_m": np.zeros(0)},
        {"rgb": None},
    ],
)
def test_a_damaged_state_is_refused(change):
    made = builder()
    made.refresh([view(0, facing())], wall)
    state = {**made.state(), **change}
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(ValueError, match="damaged"):
        made.load_state(state)
    assert len(made.cloud(1).points) == 0


@pytest.mark.parametrize("options", [{"stride_px": 0}, {"max_points": 0}, {"voxel_m": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="surface needs"):
        builder(**options)


def test_an_empty_box_is_refused():
    with pytest.raises(ValueError, match="box_min"):
        SurfaceBuilder(SurfaceConfig(), np.zeros(3), np.zeros(3))


@pytest.mark.parametrize("away_m", [20_971.5, -60_000.0])
def test_the_surface_is_the_same_far_from_the_origin(away_m):
    """The first is where the numbers of voxels of 4 cm begin anew."""
    eye = np.array([away_m, away_m, -away_m])

    def wall_there(origins, directions):
        return wall(origins - eye.astype(np.float32), directions)

    pose = facing()
    pose[:3, 3] += eye
    config = SurfaceConfig(voxel_m=0.005, stride_px=1)
    far, near = SurfaceBuilder(config, eye - 4, eye + 4), SurfaceBuilder(config, *BOX)
    far.refresh([view(0, pose)], wall_there)
    near.refresh([view(0, facing())], wall)
    here, there = near.cloud(1), far.cloud(1)
    assert abs(len(here.points) - len(there.points)) < 0.1 * len(here.points)
    distance, _ = cKDTree(here.points).query(there.points - eye)
    assert distance.max() < 0.03
