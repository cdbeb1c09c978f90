"""The skew is that of the nearest depth image, in whichever order they come."""

from semantic_field_ros.stream.skew import StampSkew

MS = 10**6


def test_nothing_is_known_before_both_came() -> None:
    skew = StampSkew()
    skew.image(0)
    assert skew.newest_s is None
    skew.depth(4 * MS)
    assert skew.newest_s == 0.004


def test_the_nearest_counts_not_the_latest() -> None:
    skew = StampSkew()
    skew.depth(95 * MS)
    skew.image(100 * MS)
    assert skew.newest_s is None  # the next depth may be nearer
    skew.depth(128 * MS)
    assert skew.newest_s == -0.005


def test_a_constant_offset_is_seen_though_nothing_pairs() -> None:
    skew = StampSkew()
    for i in range(20):
        skew.image(i * 100 * MS)
        skew.depth(i * 100 * MS + 30 * MS)
    assert skew.newest_s == 0.03
