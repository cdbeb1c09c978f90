"""Slow requests keep nobody waiting but those of the same service, whatever the graph."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from camera_bench import eventually

from semantic_field_ros.ros.connect import connect

TRIGGER = "std_srvs/srv/Trigger"
#: more than a pool of threads of ordinary size.
SERVICES, REQUESTS = 20, 2


def test_slow_requests_hold_up_no_other_service_message_or_timer(domain, graph_kind) -> None:
    go, lock, begun = threading.Event(), threading.Lock(), []

    def answer_slowly(number: int, request):
        with lock:
            begun.append(number)
        assert go.wait(30)
        return graph.message(f"{TRIGGER}_Response", success=True)

    with connect(graph_kind, "tester", []) as graph, connect("dds", "other", []) as other:
        heard, ticks = [], []
        for number in range(SERVICES):
            graph.serve(TRIGGER, f"slow{number}", partial(answer_slowly, number))
        graph.serve(TRIGGER, "quick", lambda _: graph.message(f"{TRIGGER}_Response", success=True))
        graph.subscribe("std_msgs/msg/Empty", "work", heard.append)
        graph.timer(0.01, lambda: ticks.append(0))
        work = other.publisher("std_msgs/msg/Empty", "work")
        ask = other.message(f"{TRIGGER}_Request")
        with ThreadPoolExecutor(SERVICES * REQUESTS) as pool:
            slow = [
                pool.submit(other.call, TRIGGER, f"/slow{number}", ask, 60.0)
                for number in range(SERVICES)
                for _ in range(REQUESTS)
            ]
            eventually(lambda: len(begun) == SERVICES)
            assert other.call(TRIGGER, "/quick", ask, 10.0).success
            work.publish(other.message("std_msgs/msg/Empty"))
            before = len(ticks)
            eventually(lambda: heard and len(ticks) > before + 10)
            assert sorted(begun) == list(range(SERVICES))  # one of each at a time
            go.set()
            assert all(reply.result(60).success for reply in slow)
    assert sorted(begun) == sorted([*range(SERVICES)] * REQUESTS)


def test_requests_that_wait_for_a_slow_one_are_all_answered(domain, graph_kind) -> None:
    """More than the history of 10 that services usually have."""
    go, begun, count = threading.Event(), threading.Event(), 40

    def answer_slowly(request):
        begun.set()
        assert go.wait(30)
        return graph.message("std_srvs/srv/SetBool_Response", success=not request.data)

    kind = "std_srvs/srv/SetBool"
    with connect(graph_kind, "tester", []) as graph, connect("dds", "other", []) as other:
        graph.serve(kind, "slow", answer_slowly)

        def ask(number: int) -> bool:
            request = other.message(f"{kind}_Request", data=bool(number % 2))
            return other.call(kind, "/slow", request, 60.0).success is not bool(number % 2)

        with ThreadPoolExecutor(count) as pool:
            replies = [pool.submit(ask, number) for number in range(count)]
            assert begun.wait(30)
            eventually(lambda: len(other._clients[kind, "/slow"]._pending) == count)
            go.set()
            assert all(reply.result(60) for reply in replies)
