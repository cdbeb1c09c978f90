import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_field_ros.geometry import project
from semantic_field_ros.keyframes.memory import RECENT, ReplayMemory
from semantic_field_ros.types import (
    FrameFeatures,
    Keyframe,
    MaskProposal,
    PinholeCamera,
    PosedFrame,
)

SMALL = PinholeCamera(8, 6, 7.0, 7.5, 3.5, 2.5)
LARGE = PinholeCamera(12, 10, 11.0, 11.0, 5.0, 4.5)


def frame(x_m=0.0, value=0, camera=SMALL, depth=2.0, stamp_ns=0):
    """Every pixel's colour is (value, u, v); depth is the same everywhere, or missing."""
    pose = np.eye(4)
    pose[0, 3] = x_m
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    rgb = np.stack([np.full_like(u, value), u, v], 2).astype(np.uint8)
    depth_m = None if depth is None else np.full(u.shape, depth, np.float32)
    return PosedFrame(stamp_ns, "head", camera, pose, rgb, depth_m)


def left_ignored(columns, camera=SMALL):
    ignored = np.zeros((camera.height, camera.width), bool)
    ignored[:, :columns] = True
    return replace(frame(camera=camera), ignored=ignored)


def features():
    proposal = MaskProposal.from_mask(np.eye(4, dtype=bool), 0.9)
    return FrameFeatures(np.zeros((2, 3, 3), np.float16), (proposal,), np.ones((1, 5), np.float16))


def kept_values(memory):
    return [int(memory.get(v.keyframe_id).frame.rgb[0, 0, 0]) for v in memory.views()]


def test_what_was_added_comes_back_as_a_copy():
    memory, original = ReplayMemory(5), frame(x_m=1.5, value=7, stamp_ns=42)
    added = memory.add(original)
    original.rgb[:] = 0
    kept = memory.get(added.keyframe_id)
    assert kept.id == added.keyframe_id and kept.features is None
    assert kept.frame.stamp_ns == 42 and kept.frame.world_from_camera[0, 3] == 1.5
    np.testing.assert_array_equal(kept.frame.rgb[..., 0], 7)
    np.testing.assert_array_equal(kept.frame.depth_m, 2.0)
    kept.frame.rgb[:] = 99
    np.testing.assert_array_equal(memory.get(added.keyframe_id).frame.rgb[..., 0], 7)


def test_a_keyframe_whose_sensor_measured_nothing_has_no_depth():
    """A black depth image, or everything out of range, is no better than no sensor."""
    memory = ReplayMemory(5)
    without = [memory.add(frame(depth=np.nan)), memory.add(frame(depth=None))]
    # 6 · 8 pixels of colour: there is no depth to keep yet.
    assert memory.status().image_bytes == 2 * 6 * 8 * 3
    partly = frame()
    partly.depth_m[1:] = np.nan
    added = memory.add(partly)
    assert [memory.get(a.keyframe_id).frame.depth_m for a in without] == [None, None]
    np.testing.assert_array_equal(memory.get(added.keyframe_id).frame.depth_m, partly.depth_m)


def test_full_memory_evicts_the_closest_neighbour_not_the_oldest():
    memory = ReplayMemory(7)
    for value, x_m in enumerate([0.0, 5.0, 5.1, 10.0, 20.0, 30.0, 40.0]):
        memory.add(frame(x_m, value))
    added = memory.add(frame(50.0, 7))
    assert added.evicted_id in (1, 2)
    assert kept_values(memory) == [0, 3 - added.evicted_id, 3, 4, 5, 6, 7]


def test_newest_keyframes_are_never_evicted():
    memory = ReplayMemory(8)
    for value in range(8 - RECENT):
        memory.add(frame(10.0 * value, value))
    for value in range(100, 100 + 3 * RECENT):
        added = memory.add(frame(77.0, value))
        assert added.evicted_id not in {added.keyframe_id - back for back in range(RECENT)}
    kept = set(kept_values(memory))
    assert kept >= set(range(112 - RECENT, 112))
    assert len(kept & {0, 1, 2, 3}) == 3  # the place at 77 m settles in one slot


def test_standing_still_for_long_costs_no_coverage():
    """A path of 20 m, then 200 frames from one place: the path is still covered."""
    memory = ReplayMemory(30)
    for step in range(20):
        memory.add(frame(float(step), step))
    for _ in range(200):
        memory.add(frame(19.0, 200))
    places = {round(view.world_from_camera[0, 3]) for view in memory.views()}
    assert places == set(range(20)) and len(memory) == 30


@pytest.mark.parametrize("depth", [3.0, None])
def test_a_long_path_is_kept_from_its_beginning_to_its_end(depth):
    """30 m in steps of 5 cm: without depth nobody knows at the first step how long it will be."""
    memory = ReplayMemory(40)
    for step in range(600):
        memory.add(frame(0.05 * step, depth=depth))
    at_m = np.array([view.world_from_camera[0, 3] for view in memory.views()])
    assert np.histogram(at_m, [0, 10, 20, 30])[0].min() >= 8
    assert np.diff(np.sort(at_m)).max() < 2.5


def test_turning_on_the_spot_is_coverage_too():
    memory, angles = ReplayMemory(10), np.linspace(0, np.pi, 40)
    for angle in angles:
        turned = frame()
        c, s = np.cos(angle), np.sin(angle)
        turned.world_from_camera[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
        memory.add(turned)
    kept = [
        np.arctan2(v.world_from_camera[0, 2], v.world_from_camera[0, 0]) for v in memory.views()
    ]
    assert np.diff(sorted(kept)).max() < 0.7


def test_rays_show_what_the_pixel_saw():
    memory = ReplayMemory(6)
    cameras = {
        memory.add(frame(1.0, 10)).slot: SMALL,
        memory.add(frame(2.0, 20, LARGE)).slot: LARGE,
    }
    batch = memory.sample(500, np.random.default_rng(0))
    poses = {view.slot: view.world_from_camera for view in memory.views()}
    for slot, camera in cameras.items():
        mine = batch.keyframe_index == slot
        assert mine.sum() > 150
        points = batch.origins[mine] + batch.directions[mine] * batch.depth_m[mine, None]
        pixel, depth_m = project(camera, poses[slot], points)
        np.testing.assert_allclose(pixel, batch.pixel[mine], atol=1e-4)
        np.testing.assert_allclose(depth_m, 2.0, atol=1e-5)
        np.testing.assert_allclose(batch.rgb[mine, 1:] * 255, batch.pixel[mine], atol=1e-4)
        assert set(np.round(batch.rgb[mine, 0] * 255)) == {10 * (1 if camera is SMALL else 2)}
        expected = {(u, v) for u in range(camera.width) for v in range(camera.height)}
        assert len(set(map(tuple, batch.pixel[mine])) & expected) > 0.6 * len(expected)
    assert batch.rgb.dtype == batch.directions.dtype == batch.depth_m.dtype == np.float32


def test_share_of_rays_from_the_newest():
    memory = ReplayMemory(40, recent_share=0.25)
    slots = [memory.add(frame(float(i), i)).slot for i in range(40)]
    batch = memory.sample(8000, np.random.default_rng(0))
    share = np.isin(batch.keyframe_index, slots[-RECENT:]).mean()
    assert share == pytest.approx(0.25 + 0.75 * RECENT / 40, abs=0.02)
    assert set(batch.keyframe_index) == set(slots)


def test_rays_of_chosen_keyframes_only():
    memory = ReplayMemory(10)
    added = [memory.add(frame(float(i), i)) for i in range(6)]
    batch = memory.sample(64, np.random.default_rng(0), ids=[1, 4, 999])
    assert set(batch.keyframe_index) == {added[1].slot, added[4].slot}


@pytest.mark.parametrize("depths", [(None, 2.0), (2.0, None), (None, None)])
def test_depth_is_nan_where_a_frame_has_none(depths):
    memory = ReplayMemory(6)
    slots = [memory.add(frame(float(i), depth=depth)).slot for i, depth in enumerate(depths)]
    batch = memory.sample(200, np.random.default_rng(0))
    for keyframe_id, (slot, depth) in enumerate(zip(slots, depths, strict=True)):
        seen = batch.depth_m[batch.keyframe_index == slot]
        assert np.isnan(seen).all() if depth is None else (seen == depth).all()
        assert (memory.get(keyframe_id).frame.depth_m is None) == (depth is None)


def test_empty_memory_says_what_to_do():
    with pytest.raises(RuntimeError, match="add frames first"):
        ReplayMemory(5).sample(10, np.random.default_rng(0))
    assert ReplayMemory(5).get(0) is None


@pytest.mark.parametrize(("capacity", "share"), [(RECENT, 0.3), (10, 1.5), (10, -0.1)])
def test_impossible_settings_are_refused(capacity, share):
    with pytest.raises(ValueError, match="got"):
        ReplayMemory(capacity, share)


def test_features_stay_beside_their_keyframe_and_go_with_it():
    memory = ReplayMemory(6)
    first = memory.add(frame()).keyframe_id
    assert memory.set_features(first, features())
    assert memory.get(first).features is memory.features(first)
    assert [view.has_features for view in memory.views()] == [True]
    assert memory.status().feature_bytes == 2 * 9 * 2 + 5 * 2 + 9 * 4
    for _ in range(10):
        memory.add(frame())
    assert memory.features(first) is None
    assert not memory.set_features(first, features())
    assert memory.status().feature_bytes == 0


def test_moved_poses_change_rays_and_eviction():
    memory = ReplayMemory(7)
    for value in range(7):
        memory.add(frame(10.0 * value, value))
    moved = np.eye(4)
    moved[0, 3] = 0.5
    assert memory.update_poses({2: moved, 1000: moved}) == 1
    batch = memory.sample(20, np.random.default_rng(0), ids=[2])
    np.testing.assert_allclose(batch.origins[:, 0], 0.5)
    assert memory.add(frame(70.0, 7)).evicted_id in (0, 2)
    with pytest.raises(ValueError, match="rigid"):
        memory.update_poses({3: np.diag([1.0, 2, 1, 1])})
    with pytest.raises(ValueError, match="within 100000 m, got 1e\\+39"):
        memory.update_poses({3: frame(1e39).world_from_camera})


def test_whoever_saves_can_tell_that_something_has_changed():
    memory, seen = ReplayMemory(6), [0]

    def changed():
        seen.append(memory.changes)
        return seen[-1] > seen[-2]

    first = memory.add(frame()).keyframe_id
    assert changed()
    assert memory.set_features(first, features()) and changed()
    memory.update_poses({first: frame(1.0).world_from_camera})
    assert changed()
    memory.set_features(99, features())
    memory.update_poses({99: frame(1.0).world_from_camera})
    memory.get(first), memory.views(), memory.sample(4, np.random.default_rng(0))
    assert not changed()
    kept = memory.get(first)
    memory.clear()
    assert changed()
    memory.restore([kept])
    assert changed()


def test_where_a_frame_was_seen_stays_though_the_caller_keeps_one_array_for_all_poses():
    memory, pose = ReplayMemory(6), np.eye(4)
    for x_m in (1.0, 2.0, 3.0):
        pose[0, 3] = x_m
        memory.passing.saw(replace(frame(), world_from_camera=pose))
    assert [v.world_from_camera[0, 3] for v in memory.passing.of("head")] == [1.0, 2.0, 3.0]


def test_status_counts_and_measures_what_is_held():
    memory = ReplayMemory(6)
    for _ in range(9):
        memory.add(frame())
    memory.add(frame(camera=LARGE))
    status = memory.status()
    assert (status.keyframes, status.evicted) == (6, 4)
    assert status.image_bytes == (5 * 48 + 120) * (3 + 4)
    memory.clear()
    assert len(memory) == 0 and memory.status().image_bytes == 0
    assert memory.add(frame()).keyframe_id == 10
    assert memory.status().evicted == 4


def test_adding_sampling_and_reading_side_by_side():
    """Each keyframe's colour is its depth; no ray and no copy may ever mix two of them."""
    memory, stop, errors = ReplayMemory(8), threading.Event(), []
    memory.add(frame(value=1, depth=1.0))

    def sample():
        rng = np.random.default_rng(0)
        while not stop.is_set():
            batch = memory.sample(256, rng)
            if not np.allclose(batch.rgb[:, 0] * 255, batch.depth_m, atol=1e-3):
                errors.append("mixed rays")

    def read():
        while not stop.is_set():
            for view in memory.views():
                kept = memory.get(view.keyframe_id)
                if kept and (kept.frame.rgb[..., 0] != kept.frame.depth_m).any():
                    errors.append("mixed frame")

    threads = [threading.Thread(target=job) for job in (sample, read)]
    for thread in threads:
        thread.start()
    for step in range(400):
        value = step % 250 + 1
        memory.add(frame(float(step), value, SMALL if step % 3 else LARGE, float(value)))
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.floats(-10, 10), st.booleans()),
            st.tuples(st.just("move"), st.integers(0, 30), st.floats(-10, 10)),
            st.tuples(st.just("features"), st.integers(0, 30), st.none()),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_any_history_keeps_the_invariants(steps):
    memory, added = ReplayMemory(6), 0
    for kind, first, second in steps:
        if kind == "add":
            memory.add(frame(first, added, SMALL if second else LARGE))
            added += 1
        elif kind == "move":
            memory.update_poses({first: frame(second).world_from_camera})
        else:
            memory.set_features(first, features())
        ids = [view.keyframe_id for view in memory.views()]
        assert len(ids) == min(added, 6) and ids == sorted(set(ids))
        assert ids[-RECENT:] == list(range(max(0, added - RECENT), added))
        assert len({view.slot for view in memory.views()}) == len(ids)
        assert kept_values(memory) == ids
    assert memory.status().evicted == max(0, added - 6)


def test_no_ray_goes_through_ignored_pixels():
    memory = ReplayMemory(6)
    whole = memory.add(frame(camera=LARGE))
    half = memory.add(left_ignored(4))
    other = memory.add(left_ignored(0, LARGE))
    batch = memory.sample(4000, np.random.default_rng(0))
    assert len(batch.pixel) > 3950
    of_half = batch.pixel[batch.keyframe_index == half.slot]
    assert set(of_half[:, 0]) == {4, 5, 6, 7} and len(of_half) > 1000
    for added in (whole, other):
        assert set(batch.pixel[batch.keyframe_index == added.slot][:, 0]) == set(range(12))


def test_ignored_pixels_come_back_with_their_keyframe():
    memory = ReplayMemory(6)
    plain, masked = memory.add(frame()).keyframe_id, memory.add(left_ignored(3)).keyframe_id
    assert memory.get(plain).frame.ignored is None and memory.ignored(plain) is None
    assert memory.get(masked).frame.ignored[:, :3].all()
    assert memory.ignored(masked).sum() == 3 * 6
    assert memory.ignored(999) is None
    assert memory.status().image_bytes == 2 * 48 * (3 + 4 + 1)


def test_a_slot_that_is_reused_forgets_what_was_ignored():
    memory = ReplayMemory(6)
    for _ in range(6):
        memory.add(left_ignored(7))
    for _ in range(20):
        memory.add(frame())
    assert sum(memory.ignored(view.keyframe_id) is not None for view in memory.views()) <= 1
    used = [v.slot for v in memory.views() if memory.ignored(v.keyframe_id) is None]
    batch = memory.sample(2000, np.random.default_rng(0))
    assert set(batch.pixel[np.isin(batch.keyframe_index, used)][:, 0]) == set(range(8))


def test_a_frame_that_is_all_ignored_gives_no_ray():
    memory = ReplayMemory(6)
    memory.add(left_ignored(8))
    assert len(memory.sample(100, np.random.default_rng(0)).pixel) == 0


def test_another_memory_is_taken_over_whole_and_at_once():
    """The five keyframes that were held go to the other one; nothing of either is mixed."""
    memory = ReplayMemory(6)
    for value in range(5):
        memory.add(frame(float(value), value))
    memory.passing.saw(frame())
    other = memory.empty()
    assert len(other) == 0
    kept = [Keyframe(3, frame(7.0, 70, LARGE)), Keyframe(9, frame(8.0, 80), features())]
    slots = {added.keyframe_id: added.slot for added in other.restore(kept)}
    generation, changes = memory.generation, memory.changes
    memory.take_over(other)
    assert (memory.generation, memory.changes > changes) == (generation + 1, True)
    assert {view.keyframe_id: view.slot for view in memory.views()} == slots
    assert kept_values(memory) == [70, 80] and kept_values(other) == [0, 1, 2, 3, 4]
    assert [view.has_features for view in memory.views()] == [False, True]
    assert not memory.passing.of("head")
    assert memory.sample(50, np.random.default_rng(0), ids=[3]).pixel[:, 0].max() > SMALL.width
    assert memory.add(frame()).keyframe_id == 10
    memory.take_over(memory.empty())
    assert len(memory) == 0 and memory.add(frame()).keyframe_id == 11
