"""The other side of the contract test: echoes, serves, moves a frame."""

import sys
import threading

import numpy as np

from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import LATCHED, ParameterSpec, Qos
from semantic_field_ros.ros.messages import header_message, transform_message

SECOND_NS = 10**9


def main(kind: str) -> None:
    with connect(kind, "peer", []) as graph:
        echo = graph.publisher("sensor_msgs/msg/Image", "echoed", Qos(depth=5))
        graph.subscribe("sensor_msgs/msg/Image", "original", echo.publish, Qos(depth=5))
        motto = graph.publisher("std_msgs/msg/String", "motto", LATCHED)
        motto.publish(graph.message("std_msgs/msg/String", data="festina lente"))
        graph.declare(ParameterSpec("speed", 1.5, "speed, m/s", 0.0, 10.0))
        graph.declare(ParameterSpec("names", ("a", "b"), "names", read_only=True))
        graph.declare(ParameterSpec("range", (), "range, m", 0.0, kind="double_array"))
        graph.declare(ParameterSpec("box", (), "box, m", read_only=True, kind="double_array"))
        graph.on_parameter(lambda values: None)
        serve(graph)
        broadcast(graph)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        graph.spin()


def serve(graph) -> None:
    def negate(request):
        return graph.message("std_srvs/srv/SetBool_Response", success=not request.data)

    def ask(request):
        masks = [
            graph.message(
                "semantic_field_ros/msg/Mask3D",
                label=relation.anchor,
                indices=np.arange(1000, dtype=np.uint32),
            )
            for relation in request.relations
        ]
        answer = graph.message(
            "semantic_field_ros/msg/QueryAnswer", reason=request.text, masks=masks
        )
        return graph.message("semantic_field_ros/srv/QueryText_Response", answer=answer)

    def relay(request):
        trigger = graph.message("std_srvs/srv/Trigger_Request")
        return graph.call("std_srvs/srv/Trigger", "/tester/greet", trigger)

    def fail(request):
        raise ValueError("the handler failed on purpose")

    graph.serve("std_srvs/srv/SetBool", "~/negate", negate)
    graph.serve("semantic_field_ros/srv/QueryText", "~/ask", ask)
    graph.serve("std_srvs/srv/Trigger", "~/relay", relay)
    graph.serve("std_srvs/srv/Trigger", "~/fail", fail)


def broadcast(graph) -> None:
    """base moves 1 m/s along x of map, and is at x = seconds mod 1000; camera is 2 m above it."""
    moving = graph.publisher("tf2_msgs/msg/TFMessage", "/tf", Qos(depth=100))
    fixed = graph.publisher("tf2_msgs/msg/TFMessage", "/tf_static", LATCHED)
    above = np.eye(4)
    above[2, 3] = 2.0
    make = graph.message
    mounted = transform_message(make, header_message(make, "base", 0), "camera", above)
    fixed.publish(make("tf2_msgs/msg/TFMessage", transforms=[mounted]))
    lock = threading.Lock()

    def move() -> None:
        with lock:
            stamp_ns = graph.now_ns()
            pose = np.eye(4)
            pose[0, 3] = stamp_ns / SECOND_NS % 1000
            header = header_message(make, "map", stamp_ns)
            item = transform_message(make, header, "base", pose)
            moving.publish(make("tf2_msgs/msg/TFMessage", transforms=[item]))

    graph.timer(0.1, move)


if __name__ == "__main__":
    main(sys.argv[1])
