from dataclasses import replace

import pytest

from semantic_field_ros.stream.bag_topics import BagTopics, TopicChoice, choose_topics

CAMERA_TOPICS = {
    "/cam/image_raw": "sensor_msgs/msg/Image",
    "/cam/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
    "/cam/camera_info": "sensor_msgs/msg/CameraInfo",
    "/cam/aligned_depth/image_raw": "sensor_msgs/msg/Image",
    "/cam/aligned_depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/tf": "tf2_msgs/msg/TFMessage",
}


def test_topics_are_found_by_type_and_name():
    expected = BagTopics(
        "/cam/image_raw",
        "/cam/camera_info",
        "/cam/aligned_depth/image_raw",
        depth_info="/cam/aligned_depth/camera_info",
    )
    assert choose_topics(CAMERA_TOPICS, TopicChoice()) == expected
    choice = TopicChoice(image="/cam/image_raw/compressed", depth="")
    expected = replace(expected, image="/cam/image_raw/compressed", depth="", depth_info="")
    assert choose_topics(CAMERA_TOPICS, choice) == expected


@pytest.mark.parametrize(
    ("image", "chosen", "other"),
    [
        (
            "/camera/camera/color",
            "/camera/camera/aligned_depth_to_color",
            "/camera/camera/depth",
        ),
        ("/rgb", "/depth_to_rgb", "/depth"),
        ("/camera/rgb", "/camera/depth_registered", "/camera/depth"),
        ("/camera/rgb", "/camera/depth", "/camera/unaligned_depth"),
    ],
)
def test_depth_that_is_registered_by_its_name_comes_first(image, chosen, other):
    types = {"/tf": "tf2_msgs/msg/TFMessage"}
    for camera in (image, chosen, other):
        types[f"{camera}/image_raw"] = "sensor_msgs/msg/Image"
        types[f"{camera}/camera_info"] = "sensor_msgs/msg/CameraInfo"
    found = choose_topics(types, TopicChoice())
    assert (found.image, found.info) == (f"{image}/image_raw", f"{image}/camera_info")
    assert (found.depth, found.depth_info) == (f"{chosen}/image_raw", f"{chosen}/camera_info")


@pytest.mark.parametrize(
    ("changes", "choice", "message"),
    [
        (
            {"/other/image": "sensor_msgs/msg/Image"},
            TopicChoice(),
            r"\(--image-topic\); found 2 of them in",
        ),
        ({"/cam/image_raw": "x", "/cam/image_raw/compressed": "x"}, TopicChoice(), "none in"),
        ({"/tf": "x/msg/Y"}, TopicChoice(image="/nope"), "'/nope' is not in the bag"),
    ],
)
def test_topics_that_are_missing_or_ambiguous_are_listed(changes, choice, message):
    with pytest.raises(ValueError, match=message):
        choose_topics(CAMERA_TOPICS | changes, choice)


def test_of_several_topics_of_poses_one_must_be_named():
    """The shortest name is that of where somebody wanted the robot to go."""
    types = {topic: kind for topic, kind in CAMERA_TOPICS.items() if topic != "/tf"}
    types |= {"/goal": "geometry_msgs/msg/PoseStamped", "/slam/odom": "nav_msgs/msg/Odometry"}
    message = (
        r"one pose topic, or it must be named \(--pose-topic\); found 2 of them in .*/goal .*"
    )
    with pytest.raises(ValueError, match=message + "/slam/odom"):
        choose_topics(types, TopicChoice())
    assert choose_topics(types, TopicChoice(pose="/slam/odom")).pose == "/slam/odom"
    assert choose_topics(types | {"/tf": CAMERA_TOPICS["/tf"]}, TopicChoice()).pose == ""
    del types["/goal"]
    assert choose_topics(types, TopicChoice()).pose == "/slam/odom"


def test_bag_without_any_pose_is_refused():
    types = {topic: kind for topic, kind in CAMERA_TOPICS.items() if topic != "/tf"}
    with pytest.raises(ValueError, match="must hold /tf or poses"):
        choose_topics(types, TopicChoice())
