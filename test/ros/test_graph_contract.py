"""What every graph must do, between two processes, for each pair of graphs that exist here."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import (
    LATCHED,
    SENSOR,
    ExtrapolationError,
    Graph,
    ParameterSpec,
    Publication,
    Qos,
    ServiceError,
    UnknownFrameError,
    UnnamedFrameError,
    mismatch,
)
from semantic_field_ros.ros.messages import header_message, transform_message

PATIENCE_S = 20.0


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def image(graph: Graph, height: int, width: int, seed: int):
    pixels = np.random.default_rng(seed).integers(0, 256, height * width * 3, np.uint8)
    return pixels, graph.message(
        "sensor_msgs/msg/Image",
        height=height,
        width=width,
        encoding="rgb8",
        step=width * 3,
        data=pixels,
    )


def call(node: Graph, kind: str, name: str, timeout_s: float = PATIENCE_S, **fields):
    return node.call(kind, name, node.message(f"{kind}_Request", **fields), timeout_s)


@pytest.mark.parametrize("size", [(1, 1), (480, 640), (1999, 3001)])
def test_images_come_back_unchanged(node: Graph, size) -> None:
    received: list = []
    subscription = node.subscribe("sensor_msgs/msg/Image", "/echoed", received.append, Qos())
    publisher = node.publisher("sensor_msgs/msg/Image", "original", Qos())
    eventually(lambda: publisher.subscribers() and subscription.publishers())
    assert (publisher.topic, subscription.topic) == ("/original", "/echoed")
    pixels, message = image(node, *size, seed=size[0])
    publisher.publish(message)
    eventually(lambda: any(m.width == size[1] for m in received))
    echoed = next(m for m in received if m.width == size[1])
    assert (echoed.encoding, echoed.height, echoed.step) == ("rgb8", size[0], size[1] * 3)
    np.testing.assert_array_equal(np.frombuffer(echoed.data, np.uint8), pixels)


def test_a_late_subscriber_gets_what_is_latched(node: Graph) -> None:
    received: list = []
    node.subscribe("std_msgs/msg/String", "motto", received.append, LATCHED)
    eventually(lambda: received)
    assert received[0].data == "festina lente"


def test_a_best_effort_reader_matches_a_reliable_writer(node: Graph) -> None:
    subscription = node.subscribe("sensor_msgs/msg/Image", "echoed", print, SENSOR)
    assert subscription.topic == "/echoed"
    eventually(lambda: subscription.publishers() == 1)


def test_a_closed_subscription_hears_nothing_and_can_be_made_again(node: Graph) -> None:
    heard: list = []
    first = node.subscribe("tf2_msgs/msg/TFMessage", "/tf", heard.append)
    eventually(lambda: heard)
    first.close()
    first.close()
    time.sleep(0.05)  # a callback may have begun
    count = len(heard)
    again: list = []
    second = node.subscribe("tf2_msgs/msg/TFMessage", "/tf", again.append)
    eventually(lambda: len(again) > 2)
    assert (first.publishers(), len(heard)) == (0, count)
    second.close()


def test_publications_tell_type_and_quality_of_service(node: Graph) -> None:
    eventually(lambda: {"/motto", "/echoed"} <= {p.topic for p in node.publications()})
    found = {p.topic: p for p in node.publications()}
    assert found["/motto"] == Publication("/motto", "std_msgs/msg/String", True, True)
    assert found["/echoed"] == Publication("/echoed", "sensor_msgs/msg/Image", True, False)
    gone = node.publisher("std_msgs/msg/String", "rumour", SENSOR)
    assert gone.subscribers() == 0
    eventually(lambda: "/rumour" in {p.topic for p in node.publications()})
    rumour = next(p for p in node.publications() if p.topic == "/rumour")
    assert (rumour.reliable, rumour.latched) == (False, False)


def test_what_does_not_match_is_not_counted_and_says_why(node: Graph) -> None:
    rumour = node.publisher("std_msgs/msg/String", "whisper", SENSOR)
    wanted = node.subscribe("std_msgs/msg/String", "whisper", print, Qos(reliable=True))
    heard = node.subscribe("std_msgs/msg/String", "whisper", print, SENSOR)
    eventually(lambda: heard.publishers() == 1)
    assert (wanted.publishers(), rumour.subscribers()) == (0, 1)
    found = next(p for p in node.publications() if p.topic == "/whisper")
    assert "best effort" in mismatch(wanted, found)
    assert mismatch(heard, found) == ""
    latched = node.subscribe("tf2_msgs/msg/TFMessage", "whisper2", print, LATCHED)
    assert "type std_msgs/msg/String" in mismatch(latched, found)


def test_services_answer(node: Graph) -> None:
    assert call(node, "std_srvs/srv/SetBool", "/peer/negate", data=False).success is True
    assert call(node, "std_srvs/srv/SetBool", "/peer/negate", data=True).success is False


def test_services_carry_nested_messages(node: Graph) -> None:
    relation = node.message("semantic_field_ros/msg/Relation", relation="on", anchor="the table")
    reply = call(
        node, "semantic_field_ros/srv/QueryText", "/peer/ask", text="mug ☕", relations=[relation]
    )
    assert reply.answer.reason == "mug ☕"
    assert [mask.label for mask in reply.answer.masks] == ["the table"]
    np.testing.assert_array_equal(reply.answer.masks[0].indices, np.arange(1000))
    assert reply.answer.masks[0].box_pose.orientation.w == 1.0


def test_a_service_may_call_back_into_its_caller(node: Graph) -> None:
    def greet(request):
        return node.message("std_srvs/srv/Trigger_Response", success=True, message="salve")

    node.serve("std_srvs/srv/Trigger", "~/greet", greet)
    assert call(node, "std_srvs/srv/Trigger", "/peer/relay").message == "salve"


def test_many_threads_may_call(node: Graph) -> None:
    def ask(number: int) -> bool:
        odd = bool(number % 2)
        return call(node, "std_srvs/srv/SetBool", "/peer/negate", data=odd).success is not odd

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_a_service_that_nobody_serves_is_named(node: Graph) -> None:
    with pytest.raises(ServiceError, match="/nowhere"):
        call(node, "std_srvs/srv/Trigger", "/nowhere", timeout_s=0.3)


def test_a_failing_handler_is_a_service_error(node: Graph) -> None:
    with pytest.raises(ServiceError, match="/peer/fail"):
        call(node, "std_srvs/srv/Trigger", "/peer/fail", timeout_s=1.0)
    assert call(node, "std_srvs/srv/SetBool", "/peer/negate", data=False).success is True


def test_calling_from_a_callback_is_refused_instead_of_hanging(node: Graph) -> None:
    errors: list[Exception] = []

    def callback(message) -> None:
        try:
            call(node, "std_srvs/srv/SetBool", "/peer/negate", data=True)
        except RuntimeError as error:
            errors.append(error)

    node.subscribe("std_msgs/msg/String", "motto", callback, LATCHED)
    eventually(lambda: errors)
    assert "callback" in str(errors[0])


def test_an_exception_in_a_callback_is_survived(node: Graph) -> None:
    calls: list = []

    def callback(message) -> None:
        calls.append(message)
        raise ValueError("on purpose")

    node.subscribe("tf2_msgs/msg/TFMessage", "/tf", callback)
    eventually(lambda: len(calls) > 2)


def test_timers_fire_until_they_are_ended(node: Graph) -> None:
    fired: list[float] = []
    end = node.timer(0.01, lambda: fired.append(time.monotonic()))
    eventually(lambda: len(fired) > 2)
    end()
    end()
    time.sleep(0.05)  # a callback may have begun
    count = len(fired)
    other = threading.Event()
    node.timer(0.01, other.set)
    assert other.wait(PATIENCE_S)
    time.sleep(0.05)
    assert len(fired) == count


def test_parameters_of_another_node(node: Graph) -> None:
    listed = call(node, "rcl_interfaces/srv/ListParameters", "/peer/list_parameters").result
    assert {"speed", "names", "use_sim_time"} <= set(listed.names)
    got = call(
        node,
        "rcl_interfaces/srv/GetParameters",
        "/peer/get_parameters",
        names=["speed", "names", "range", "box"],
    ).values
    assert got[0].double_value == 1.5
    assert list(got[1].string_array_value) == ["a", "b"]
    assert [(v.type, len(v.double_array_value)) for v in got[2:]] == [(8, 0), (8, 0)]
    described = call(
        node,
        "rcl_interfaces/srv/DescribeParameters",
        "/peer/describe_parameters",
        names=["speed"],
    ).descriptors[0]
    assert described.description == "speed, m/s"
    assert described.floating_point_range[0].to_value == 10.0


def set_peer(node: Graph, name: str, **value):
    make = node.message
    changed = make(
        "rcl_interfaces/msg/Parameter",
        name=name,
        value=make("rcl_interfaces/msg/ParameterValue", **value),
    )
    return call(
        node, "rcl_interfaces/srv/SetParameters", "/peer/set_parameters", parameters=[changed]
    ).results[0]


def test_parameters_change_within_their_bounds_only(node: Graph) -> None:
    assert set_peer(node, "speed", type=3, double_value=2.5).successful
    for bad in (
        set_peer(node, "speed", type=3, double_value=99.0),
        set_peer(node, "speed", type=4, string_value="fast"),
        set_peer(node, "names", type=9, string_array_value=["c"]),
        set_peer(node, "box", type=8, double_array_value=[1.0]),
        set_peer(node, "range", type=8, double_array_value=[-1.0, 4.0]),
    ):
        assert not bad.successful
        assert bad.reason
    got = call(node, "rcl_interfaces/srv/GetParameters", "/peer/get_parameters", names=["speed"])
    assert got.values[0].double_value == 2.5
    assert set_peer(node, "speed", type=3, double_value=1.5).successful


def test_arrays_may_be_filled_and_emptied(node: Graph) -> None:
    def held() -> list[float]:
        service = "rcl_interfaces/srv/GetParameters"
        got = call(node, service, "/peer/get_parameters", names=["range"])
        return list(got.values[0].double_array_value)

    assert set_peer(node, "range", type=8, double_array_value=[0.5, 4.0]).successful
    assert held() == [0.5, 4.0]
    assert set_peer(node, "range", type=8, double_array_value=[]).successful
    assert held() == []


def test_own_parameters_are_overridden_by_arguments(node: Graph) -> None:
    assert node.declare(ParameterSpec("limit", 1, "a limit")) == 3
    assert node.parameter("limit") == 3
    assert node.declare(ParameterSpec("pause", 0.5, "whole seconds, yet a double")) == 2.0
    assert node.declare(ParameterSpec("span", (), "metres", kind="double_array")) == (1.0, 2.0)
    with pytest.raises(ValueError, match=r"far must be in \[0.0, 10.0\], got 99"):
        node.declare(ParameterSpec("far", 1.0, "too far", 0.0, 10.0))
    with pytest.raises(TypeError, match="word must be string, got 7"):
        node.declare(ParameterSpec("word", "x", "no word"))
    assert node.declare(ParameterSpec("nothing", (), "none", kind="double_array")) == ()
    with pytest.raises(ValueError, match="undeclared"):
        node.parameter("undeclared")


def test_transforms_are_interpolated(node: Graph) -> None:
    eventually(lambda: can_lookup(node))
    assert {"map", "base", "camera"} <= node.frames()
    newest = node.lookup("map", "camera")
    at_ns = node.now_ns() - 10**9
    eventually(lambda: can_lookup(node, at_ns))
    pose = node.lookup("map", "camera", at_ns)
    assert pose[0, 3] == pytest.approx(at_ns / 1e9 % 1000, abs=1e-3)
    assert pose[2, 3] == newest[2, 3] == 2.0


def can_lookup(node: Graph, at_ns: int | None = None) -> bool:
    try:
        node.lookup("map", "camera", at_ns)
    except (UnknownFrameError, ExtrapolationError):
        return False
    return True


def test_transforms_that_are_not_there_say_why(node: Graph) -> None:
    eventually(lambda: can_lookup(node))
    for frames in (("map", "atlantis"), ("atlantis", "map"), ("/map", "/atlantis")):
        with pytest.raises(UnknownFrameError, match="^frame 'atlantis' is unknown"):
            node.lookup(*frames)
    with pytest.raises(UnnamedFrameError, match="^frame name must not be empty, got ''$"):
        node.lookup("map", "")
    with pytest.raises(ExtrapolationError) as future:
        node.lookup("map", "camera", node.now_ns() + 3600 * 10**9)
    assert future.value.may_still_come
    with pytest.raises(ExtrapolationError) as past:
        node.lookup("map", "camera", node.now_ns() - 3600 * 10**9)
    assert not past.value.may_still_come


@pytest.mark.parametrize(("said", "kept"), [([], False), (["-p", "tf_cache_s:=30.0"], True)])
def test_transforms_are_kept_as_long_as_the_parameter_says(domain, graph_kind, said, kept) -> None:
    with connect(graph_kind, "reader", ["--ros-args", *said]) as graph, \
            connect("dds", "writer", []) as other:  # fmt: skip
        tf = other.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos(depth=100))
        make = other.message

        def heard() -> bool:
            """The writer may know the reader before the reader knows the writer."""
            for at_s in (100, 120, 121):  # tf2 forgets when the next one arrives
                header = header_message(make, "map", at_s * 10**9)
                item = transform_message(make, header, "camera", np.eye(4))
                tf.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))
            return can_lookup(graph, 121 * 10**9)

        eventually(heard)
        eventually(lambda: can_lookup(graph, 100 * 10**9) == kept)
        assert graph.parameter("tf_cache_s") == (30.0 if kept else 10.0)


def test_what_is_no_name_is_refused(node: Graph) -> None:
    text, trigger, bad = "std_msgs/msg/String", "std_srvs/srv/Trigger", "bad topic!"
    for use in (
        lambda: node.resolve(bad),
        lambda: node.publisher(text, bad),
        lambda: node.subscribe(text, bad, print),
        lambda: node.serve(trigger, bad, print),
        lambda: call(node, trigger, bad),
    ):
        with pytest.raises(ValueError, match="name must be letters, .* got 'bad topic!'"):
            use()


def test_messages_have_defaults_and_refuse_unknown_fields(node: Graph) -> None:
    pose = node.message("geometry_msgs/msg/Pose")
    assert (pose.position.x, pose.orientation.w) == (0.0, 1.0)
    assert len(node.message("sensor_msgs/msg/CameraInfo").k) == 9
    with pytest.raises(TypeError, match="nonsense"):
        node.message("geometry_msgs/msg/Pose", nonsense=1)
    with pytest.raises(ValueError, match="no_such_msgs"):
        node.message("no_such_msgs/msg/Nothing")
