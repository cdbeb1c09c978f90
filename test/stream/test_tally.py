import logging

from semantic_field_ros.stream.tally import Tally


def test_counts_by_reason_and_says_each_once(caplog):
    tally = Tally("camera")
    with caplog.at_level(logging.WARNING):
        tally.count("dark", "frame 1")
        tally.count("late", "frame 2")
        tally.count("dark", "frame 3")
    assert tally.counts == {"dark": 2, "late": 1}
    assert tally.last == {"dark": "frame 3", "late": "frame 2"}
    assert [record.getMessage() for record in caplog.records] == [
        "camera: dark: frame 1 (said once)",
        "camera: late: frame 2 (said once)",
    ]
    assert tally.summary() == "dark: 2, late: 1"
    assert Tally("x").summary() == ""


def test_of_late_another_reason_may_prevail():
    tally = Tally("camera")
    assert tally.prevailing() == ""
    for reason, count in (("no pose", 1000), ("bad frame", 15)):
        for _ in range(count):
            tally.count(reason, "")
    assert tally.prevailing() == "no pose"  # 17 of the last 32
    for _ in range(2):
        tally.count("bad frame", "")
    assert tally.prevailing() == "bad frame"  # 17 of the last 32
    tally.settle()
    assert tally.prevailing() == ""
    assert tally.counts["no pose"] == 1000
