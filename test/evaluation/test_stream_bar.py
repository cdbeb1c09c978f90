"""What the bar of the stream counts."""

from semantic_field_ros.evaluation.stream_bar import losses


def test_whatever_is_lost_on_the_way_is_counted():
    status = {
        "frames": {"first frame of the camera": 1, "moved": 39, "blurred": 3520},
        "features_dropped": 12,
        "features_failed": 1,
    }
    assert losses(3600, 3560, {"bad frame": 3, "no pose": 30}, status) == {
        "published": 3600,
        "accepted": 3560,
        "dropped": 33,
        "frames_lost": 7,
        "keyframes": 40,
        "features_dropped": 12,
        "features_failed": 1,
    }
