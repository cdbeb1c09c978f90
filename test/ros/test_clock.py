"""What a jump of the simulated clock does to what came before it."""

import threading
import time
from dataclasses import replace

import numpy as np
from camera_bench import START_NS, STEP_NS, Bench, eventually, frame

from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.messages import (
    header_message,
    image_message,
    pose_message,
    time_message,
)
from semantic_field_ros.ros.settings import declare_settings
from semantic_field_ros.types import PosedFrame


def test_poses_of_before_a_jump_of_the_clock_are_forgotten(domain) -> None:
    """A simulation that is reset: the robot is elsewhere, at times that it has been through."""
    frames: list[PosedFrame] = []
    said = ["use_sim_time:=true", "pose_source:=pose", "depth_transport:=none"]
    arguments = ["--ros-args", *(word for parameter in said for word in ("-p", parameter))]
    with connect("dds", "tester", arguments) as graph, connect("dds", "other", []) as other:
        bench = Bench(graph, other, declare_settings(graph), frames)
        clock = bench.publisher("rosgraph_msgs/msg/Clock", "/clock")
        poses = bench.publisher("geometry_msgs/msg/PoseStamped", "pose")
        make = other.message
        used = (bench.image, bench.info, clock, poses)
        eventually(lambda: all(p.subscribers() for p in used))

        def send(at_ns: int, x_m: float) -> None:
            clock.publish(make("rosgraph_msgs/msg/Clock", clock=time_message(make, at_ns)))
            time.sleep(0.1)  # topics keep no order among each other
            for stamp_ns in (at_ns, at_ns + STEP_NS):
                pose, header = np.eye(4), header_message(make, "map", stamp_ns)
                pose[0, 3] = x_m
                posed = pose_message(make, pose)
                poses.publish(make("geometry_msgs/msg/PoseStamped", header=header, pose=posed))
            between = replace(frame(0), stamp_ns=at_ns + STEP_NS // 2)
            bench.send_info(between)
            time.sleep(0.1)
            image = image_message(make, bench.header(between), between.rgb, "rgb8")
            bench.image.publish(image)

        send(START_NS, 5.0)
        eventually(lambda: len(frames) == 1)
        send(START_NS - STEP_NS // 2, 0.0)
        eventually(lambda: len(frames) == 2)
    assert [f.world_from_camera[0, 3] for f in frames] == [5.0, 0.0]


def test_a_jump_is_told_between_callbacks_and_to_all_though_one_fails(domain, graph_kind) -> None:
    busy, go, jumps = threading.Event(), threading.Event(), []

    def occupy(_: object) -> None:
        busy.set()
        assert go.wait(20)

    def fail() -> None:
        jumps.append("fails")
        raise OSError("on purpose")

    said = ["--ros-args", "-p", "use_sim_time:=true"]
    with connect(graph_kind, "tester", said) as graph, connect("dds", "other", []) as other:
        graph.on_time_jump(fail)
        graph.on_time_jump(lambda: jumps.append("told"))
        forget = graph.on_time_jump(lambda: jumps.append("forgotten"))
        forget()
        forget()
        graph.subscribe("std_msgs/msg/Empty", "work", occupy)
        clock = other.publisher("rosgraph_msgs/msg/Clock", "/clock")
        work = other.publisher("std_msgs/msg/Empty", "work")
        eventually(lambda: clock.subscribers() and work.subscribers())

        def tell(sec: int) -> None:
            stamp = other.message("builtin_interfaces/msg/Time", sec=sec)
            clock.publish(other.message("rosgraph_msgs/msg/Clock", clock=stamp))

        eventually(lambda: tell(100) or graph.now_ns() == 100 * 10**9)
        work.publish(other.message("std_msgs/msg/Empty"))
        assert busy.wait(20)
        for _ in range(10):
            tell(50)
            time.sleep(0.02)
        assert not jumps  # while a callback has its turn
        go.set()
        eventually(lambda: jumps == ["fails", "told"])
        eventually(lambda: tell(60) or graph.now_ns() == 60 * 10**9)
        tell(40)
        eventually(lambda: jumps == ["fails", "told"] * 2)
