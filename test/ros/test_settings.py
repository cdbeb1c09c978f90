"""Every parameter explains itself, and says what may change."""

import re
from dataclasses import replace

import pytest

from semantic_field_ros.ros.connect import connect
from semantic_field_ros.ros.graph import Graph
from semantic_field_ros.ros.parameter_spec import ParameterSpec
from semantic_field_ros.ros.settings import _SPECS, Present, config_specs

SPECS = [*_SPECS, *(spec for spec, _ in config_specs())]
UNITS = {"s": r"second|\bs\b", "hz": "per second", "px": "pixel", "m": "metre", "deg": "degree"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_parameter_is_described_with_unit_and_range(spec: ParameterSpec) -> None:
    assert len(spec.description) > 5
    suffix = spec.name.rpartition("_")[2]
    if suffix in UNITS and "_per_" not in spec.name:
        assert re.search(UNITS[suffix], spec.description), spec.description
    if spec.kind in ("integer", "double"):
        assert spec.minimum is not None
        assert spec.maximum is not None
        assert spec.minimum <= spec.default <= spec.maximum


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_what_is_not_within_the_bounds_is_refused(value: float) -> None:
    slop = next(spec for spec in SPECS if spec.name == "slop_s")
    with pytest.raises(ValueError, match="must be in"):
        slop.checked(value)


def test_ranges_go_by_the_whole_name_then_by_its_last_words() -> None:
    ranges = {spec.name: (spec.minimum, spec.maximum) for spec in SPECS}
    assert ranges["scene.box_m"] == (-1e4, 1e4)
    assert ranges["scene.margin_m"] == (0.0, 10.0)
    assert ranges["training.seed"] == (0, 2**31 - 1)
    assert ranges["models.language"] == (None, None)


def test_what_a_map_is_made_of_is_fixed_and_how_it_is_asked_is_not() -> None:
    fixed = {spec.name: spec.read_only for spec in SPECS}
    assert fixed["map_frame"] and fixed["training.rays"] and fixed["models.segmenter"]
    assert not (fixed["max_rate_hz"] or fixed["image_topic"] or fixed["queries.click_views"])
    by_name = {spec.name: spec for spec in SPECS}
    assert by_name["map_frame"].constraints == "fixed after the start"
    assert by_name["max_rate_hz"].constraints == ""


def test_present_values_and_those_that_are_asked_for(graph: Graph) -> None:
    own, others = ParameterSpec("left.rate", 5.0, "rate"), ParameterSpec("rate", 5.0, "rate")
    graph.declare(own)
    graph.declare(others)
    assert Present(graph).declare(own) == 5.0
    assert Present(graph, {"rate": 7.0}).declare(others) == 7.0
    following = replace(own, default=7.0)  # what the other one has become
    assert Present(graph).declare(following) == 7.0


def test_present_values_that_were_set_stay(domain) -> None:
    with connect("dds", "tester", ["--ros-args", "-p", "left.rate:=3.0"]) as graph:
        own = ParameterSpec("left.rate", 5.0, "rate")
        graph.declare(own)
        assert Present(graph).declare(replace(own, default=7.0)) == 3.0
