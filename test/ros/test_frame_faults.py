"""What goes wrong with one frame costs no other, and is counted."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from camera_bench import Bench, eventually, frame

from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import BadTransformError, TransformError
from semantic_field_ros.ros.messages import header_message, transform_message
from semantic_field_ros.ros.settings import declare_settings


class Mapper(list):
    """Takes frames, and fails with the first."""

    def append(self, taken) -> None:
        if taken.stamp_ns == frame(0).stamp_ns:
            raise KeyError("on purpose")
        super().append(taken)


@pytest.fixture()
def bench(domain, graph_kind: str, request) -> Iterator[Bench]:
    """Parameters of the node, and what takes frames, by name."""
    changes = dict(getattr(request, "param", {}))
    frames = changes.pop("frames", list)()
    with connect(graph_kind, "tester", []) as graph, connect("dds", "other", []) as other:
        opened = Bench(graph, other, replace(declare_settings(graph), **changes), frames)
        opened.ready()
        eventually(opened.tf.subscribers)
        yield opened


def tell_where(bench: Bench, child: str, indices: tuple[int, ...], infinite: int = -1) -> None:
    """Transforms of a frame at the stamps of some frames, in one message; tf2 takes the infinite
    one, for it asks for NaN alone."""
    make, items = bench.other.message, []
    for index in indices:
        sent = frame(index)
        header = header_message(make, "map", sent.stamp_ns)
        items.append(transform_message(make, header, child, sent.world_from_camera))
        if index == infinite:
            items[-1].transform.translation.y = float("inf")
    bench.tf.publish(make("tf2_msgs/msg/TFMessage", transforms=items))


def error_at(bench: Bench, child: str, index: int) -> TransformError | None:
    try:
        bench.graph.lookup("map", child, frame(index).stamp_ns)
    except TransformError as error:
        return error
    return None


def test_a_transform_that_is_not_finite_costs_its_own_frame_alone(
    bench: Bench, graph_kind: str
) -> None:
    tell_where(bench, "camera", (0, 1, 2, 3), infinite=1)
    eventually(lambda: error_at(bench, "camera", 3) is None)
    bench.send_info(frame(0))
    for index in range(4):
        bench.send_images(frame(index))
    if graph_kind == "dds":  # which refuses it when it comes
        eventually(lambda: len(bench.frames) == 4)
        assert bench.graph.refusals() == {"bad transform": 1}
        return
    eventually(lambda: len(bench.frames) == 3)
    assert [taken.stamp_ns for taken in bench.frames] == [frame(i).stamp_ns for i in (0, 2, 3)]
    assert bench.inputs.drops() == {"no pose in time": 1}
    error = error_at(bench, "camera", 1)
    assert isinstance(error, BadTransformError) and not error.may_still_come
    assert str(error).startswith("map from camera makes no sense: position must be finite, got [")
    assert bench.inputs.pose_error() == str(error)


@pytest.mark.parametrize("bench", [{"corrected_frame": "base"}], indirect=True)
def test_a_frame_counts_though_nobody_knows_where_the_robot_was(
    bench: Bench, graph_kind: str
) -> None:
    tell_where(bench, "base", (0,), infinite=0)
    wrong = bench.graph.refusals if graph_kind == "dds" else bench.graph.frames
    eventually(wrong)
    tell_where(bench, "camera", (0,))
    eventually(lambda: error_at(bench, "camera", 0) is None)
    bench.send_info(frame(0))
    bench.send_images(frame(0))
    eventually(lambda: bench.frames)
    eventually(lambda: bench.refused("no pose of corrected_frame") == 1)
    assert (bench.inputs.cameras[0].accepted, bench.inputs.drops()) == (1, {})
    assert not len(bench.inputs.trajectory)


@pytest.mark.parametrize("bench", [{"frames": Mapper}], indirect=True)
def test_a_fault_of_our_own_costs_one_frame(bench: Bench, caplog) -> None:
    """All three get their poses at once."""
    bench.send_info(frame(0))
    for index in range(3):
        bench.send_images(frame(index))
    eventually(lambda: bench.inputs.cameras[0]._pairer.waiting == 3)
    tell_where(bench, "camera", (0, 1, 2))
    eventually(lambda: len(bench.frames) == 2)
    assert [taken.stamp_ns for taken in bench.frames] == [frame(i).stamp_ns for i in (1, 2)]
    assert bench.inputs.drops() == {"internal error": 1}
    assert bench.inputs.cameras[0].tally.last["internal error"] == "KeyError: 'on purpose'"
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError]
