import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_field_ros.stream.pairing import Dropped, PairingSettings, StampPairer
from semantic_field_ros.stream.tally import Tally
from semantic_field_ros.stream.tf_tree import ExtrapolationError, TfTree

MS = 1_000_000
POSE = np.eye(4)


def pairer(pose_at=lambda stamp_ns: POSE, on_jump=lambda: None, **changes):
    return StampPairer(PairingSettings(**changes), pose_at, Tally("test"), on_jump)


def counts(pairs):
    return dict(pairs.tally.counts)


def ids(done):
    return [(pair.image, pair.depth) for pair in done]


def test_equal_stamps_pair_at_once_in_either_order():
    pairs = pairer()
    assert pairs.add_image(100 * MS, "a") == []
    assert ids(pairs.add_depth(100 * MS, "A")) == [("a", "A")]
    assert pairs.add_depth(200 * MS, "B") == []
    assert ids(pairs.add_image(200 * MS, "b")) == [("b", "B")]


def test_nearest_depth_within_the_slop_is_taken():
    pairs = pairer(slop_s=0.02)
    pairs.add_depth(90 * MS, "early")
    assert pairs.add_image(100 * MS, "a") == []
    assert ids(pairs.add_depth(105 * MS, "late")) == [("a", "late")]


def test_depth_beyond_the_slop_drops_the_image_with_a_reason():
    pairs = pairer(slop_s=0.02)
    pairs.add_image(100 * MS, "a")
    assert pairs.add_depth(121 * MS, "A") == []
    assert counts(pairs) == {Dropped.NO_DEPTH.value: 1}
    assert pairs.waiting == 0
    pairs.add_image(130 * MS, "b")
    assert ids(pairs.add_depth(160 * MS, "B")) == [("b", "A")]


def test_one_depth_serves_one_image():
    pairs = pairer(slop_s=0.05)
    pairs.add_depth(100 * MS, "A")
    assert ids(pairs.add_image(100 * MS, "a")) == [("a", "A")]
    pairs.add_image(120 * MS, "b")
    assert ids(pairs.add_depth(200 * MS, "B")) == []
    assert counts(pairs) == {Dropped.NO_DEPTH.value: 1}


def test_without_depth_images_need_only_a_pose():
    pairs = pairer(with_depth=False)
    done = pairs.add_image(100 * MS, "a")
    assert ids(done) == [("a", None)] and done[0].stamp_ns == 100 * MS
    np.testing.assert_array_equal(done[0].world_from_camera, POSE)


def test_image_waits_for_its_pose_and_comes_out_when_it_is_there():
    tree = TfTree()
    tree.set_transform("map", "camera", 0, POSE)
    pairs = pairer(lambda ns: tree.lookup("map", "camera", ns), with_depth=False)
    assert pairs.add_image(100 * MS, "a") == [] and pairs.waiting == 1
    tree.set_transform("map", "camera", 110 * MS, POSE)
    assert ids(pairs.retry()) == [("a", None)]


def test_pose_that_does_not_come_drops_the_image_with_the_tf_error():
    tree = TfTree()
    tree.set_transform("map", "camera", 0, POSE)
    pairs = pairer(lambda ns: tree.lookup("map", "camera", ns), with_depth=False, tf_timeout_s=0.5)
    pairs.add_image(100 * MS, "a")
    pairs.add_image(600 * MS, "b")
    assert counts(pairs) == {}
    pairs.add_image(601 * MS, "c")
    assert counts(pairs) == {Dropped.NO_POSE.value: 1}
    assert "extrapolation into the future" in pairs.tally.last[Dropped.NO_POSE.value]
    assert pairs.waiting == 2


def test_pose_that_can_never_come_is_not_waited_for():
    tree = TfTree()
    tree.set_transform("map", "camera", 500 * MS, POSE)
    pairs = pairer(lambda ns: tree.lookup("map", "camera", ns), with_depth=False)
    assert pairs.add_image(100 * MS, "a") == [] and pairs.waiting == 0
    assert "past" in pairs.tally.last[Dropped.NO_POSE.value]


def test_queue_is_bounded_and_the_oldest_goes():
    pairs = pairer(capacity=3, tf_timeout_s=100.0)
    for step in range(5):
        pairs.add_image(step * 100 * MS, step)
    assert pairs.waiting == 3
    assert counts(pairs) == {Dropped.QUEUE_FULL.value: 2}
    assert ids(pairs.add_depth(200 * MS, "A")) == [(2, "A")]


def test_duplicates_and_late_images_are_ignored_and_said_once(caplog):
    pairs = pairer(with_depth=False)
    pairs.add_image(100 * MS, "a")
    with caplog.at_level(logging.WARNING):
        assert pairs.add_image(100 * MS, "again") == []
        assert pairs.add_image(100 * MS, "again") == []
        assert pairs.add_image(90 * MS, "late") == []
    assert counts(pairs) == {Dropped.DUPLICATE.value: 2, Dropped.OUT_OF_ORDER.value: 1}
    assert len(caplog.records) == 2


def test_time_jump_clears_the_buffers_and_goes_on(caplog):
    jumps = []
    pairs = pairer(on_jump=lambda: jumps.append(True))
    pairs.add_image(10_000 * MS, "old")
    pairs.add_depth(9_900 * MS, "old")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert pairs.add_image(100 * MS, "a") == []
            assert ids(pairs.add_depth(100 * MS, "A")) == [("a", "A")]
            pairs.add_image(10_000 * MS, "old")
    assert counts(pairs) == {Dropped.TIME_JUMP.value: 2}
    assert len(jumps) == 2
    assert len(caplog.records) == 1


def test_flush_completes_or_drops_what_waits():
    def pose_at(stamp_ns):
        if stamp_ns > 200 * MS:
            raise ExtrapolationError("too new", into_future=True)
        return POSE

    pairs = pairer(pose_at, slop_s=0.02)
    pairs.add_depth(195 * MS, "A")
    pairs.add_image(200 * MS, "a")
    pairs.add_depth(300 * MS - 5, "B")
    pairs.add_image(300 * MS, "b")
    assert ids(pairs.flush()) == []
    assert counts(pairs) == {Dropped.NO_POSE.value: 1}


@pytest.mark.parametrize(
    "changes", [{"slop_s": -1.0}, {"capacity": 0}, {"tf_timeout_s": -0.1}, {"max_rate_hz": -1.0}]
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(ValueError, match="pairing needs"):
        PairingSettings(**changes)


stamps = st.lists(st.integers(0, 60), max_size=30).map(sorted)


@settings(max_examples=150, deadline=None)
@given(stamps, stamps, st.randoms(use_true_random=False))
def test_every_image_is_paired_or_counted_exactly_once(image_ms, depth_ms, random):
    """Two ordered streams, interleaved at random."""
    slop_s = 0.004
    pairs, done = pairer(slop_s=slop_s, tf_timeout_s=0.02, capacity=4), []
    images, depths = list(image_ms), list(depth_ms)
    while images or depths:
        if images and (not depths or random.random() < 0.5):
            stamp = images.pop(0) * MS
            done += pairs.add_image(stamp, stamp)
        else:
            stamp = depths.pop(0) * MS
            done += pairs.add_depth(stamp, stamp)
    done += pairs.flush()
    stamps_out = [pair.stamp_ns for pair in done]
    assert stamps_out == sorted(set(stamps_out))
    assert len({pair.depth for pair in done}) == len(done)
    assert all(abs(pair.depth - pair.stamp_ns) <= slop_s * 1e9 for pair in done)
    depth_news = len(depth_ms) - len(set(depth_ms))
    assert len(done) + sum(pairs.tally.counts.values()) == len(image_ms) + depth_news
    assert pairs.waiting == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5000)), max_size=60))
def test_any_order_of_stamps_keeps_the_queues_bounded(messages):
    pairs, done = pairer(capacity=5), []
    for is_image, ms in messages:
        add = pairs.add_image if is_image else pairs.add_depth
        done += add(ms * MS, ms)
        assert pairs.waiting <= 5
    assert all(isinstance(pair.image, int) for pair in done + pairs.flush())


def test_an_image_waits_for_its_ignore_mask():
    pairs = pairer(with_ignored=True)
    pairs.add_depth(100 * MS, "A")
    assert pairs.add_image(100 * MS, "a") == []
    (pair,) = pairs.add_ignored(100 * MS, "people")
    assert (pair.image, pair.depth, pair.ignored) == ("a", "A", "people")


def test_without_its_ignore_mask_an_image_is_dropped_with_a_reason():
    pairs = pairer(with_ignored=True, with_depth=False, tf_timeout_s=0.2)
    pairs.add_image(100 * MS, "a")
    assert pairs.add_ignored(301 * MS, "late") == []
    assert counts(pairs) == {Dropped.NO_IGNORED.value: 1}


@pytest.mark.parametrize(
    ("latency_ms", "said"),
    [
        (700, "the newest is 0.200 s older than"),
        (800, "the newest is 0.300 s older than"),
        (5000, "none came for"),
    ],
)
def test_masks_that_come_too_late_are_not_blamed_on_their_stamps(latency_ms, said):
    """At 10 Hz; the last image that is overdue is that of 1.3 s."""
    pairs = pairer(with_ignored=True, with_depth=False, slop_s=0.02, tf_timeout_s=0.5)
    for now in range(0, 2000, 100):
        pairs.add_image(now * MS, now)
        if now >= latency_ms:
            assert pairs.add_ignored((now - latency_ms) * MS, "people") == []
    assert counts(pairs) == {Dropped.NO_IGNORED.value: 14}
    assert pairs.tally.last[Dropped.NO_IGNORED.value] == (
        f"{said} the image at 1300000000 ns, which waited tf_timeout_s = 0.5 s"
    )


def test_a_mask_of_another_stamp_is_not_blamed_on_its_latency():
    pairs = pairer(with_ignored=True, with_depth=False, slop_s=0.02)
    pairs.add_image(100 * MS, "a")
    pairs.add_ignored(130 * MS, "people")
    assert pairs.tally.last[Dropped.NO_IGNORED.value] == (
        "none within slop_s = 0.02 s of the image at 100000000 ns"
    )


@pytest.mark.parametrize("lost", ["image", "depth"])
@pytest.mark.parametrize(
    ("rate_hz", "lost_indices", "expected"),
    [
        (15.0, [], [*range(0, 300, 2)]),
        (15.0, [0, 90], [*range(2, 90, 2), *range(92, 300, 2)]),
        (5.0, [], [*range(0, 300, 6)]),
        (5.0, [0, 2, 94], [*range(4, 94, 6), *range(96, 300, 6)]),
    ],
)
def test_an_image_without_depth_does_not_count_for_the_rate(lost, rate_hz, lost_indices, expected):
    """Ten seconds of a colour camera at 30 Hz, of which every second image has depth."""
    pairs, done = pairer(max_rate_hz=rate_hz), []
    for index in range(300):
        stamp_ns, gone = index * 1_000_000_000 // 30, index in lost_indices
        if index % 2 == 0 and not (gone and lost == "depth"):
            done += pairs.add_depth(stamp_ns, index)
        if not (gone and lost == "image"):
            done += pairs.add_image(stamp_ns, index)
    assert [pair.image for pair in done] == expected


def test_of_images_that_wait_for_poses_only_those_whose_turn_it_is_take_a_place():
    poses_until_ns = 0

    def pose_at(stamp_ns):
        if stamp_ns > poses_until_ns:
            raise ExtrapolationError("too new", into_future=True)
        return POSE

    pairs = pairer(pose_at, with_depth=False, max_rate_hz=5.0, capacity=12, tf_timeout_s=2.5)
    for index in range(60):
        pairs.add_image(index * 1_000_000_000 // 30, index)
    assert pairs.waiting == 9
    poses_until_ns = 2_000 * MS
    assert [pair.image for pair in pairs.retry()] == [6, 12, 18, 24, 30, 36, 42, 48, 54]
    assert counts(pairs) == {}
