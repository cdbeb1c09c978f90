"""Figures over trials, and the dense search for a grasp on exact meshes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from semantic_field_ros.evaluation.grasp_check import ExactScene, Verdict
from semantic_field_ros.evaluation.grasping import GraspBench, Trial, dense_grasps, figures
from semantic_field_ros.export.grasping import GraspPlan
from semantic_field_ros.export.gripper import Gripper
from semantic_field_ros.stream.synthetic.mesh import box

HELD = Verdict(True, "", 0.9, 0.002)
HIT = Verdict(False, "hits something else while closing")


def trial(kind: str, verdict: Verdict | None, **facts) -> Trial:
    told = {"shown": 1, "right": True, "holdable": True, "latency_s": 0.5} | facts
    return Trial(kind=kind, phrase="mug", verdict=verdict, **told)


def test_shares_are_of_what_could_be_held():
    trials = [
        trial("click", HELD),
        trial("click", HIT),
        trial("click", None),
        trial("click", HIT, holdable=False),
        trial("text", HELD, right=False),
        trial("text", None, shown=None, right=False),
        trial("text", None, shown=None, right=False, holdable=False),
    ]
    measured = figures(trials)
    click = measured["click"]
    assert (click["asked"], click["answered"], click["unholdable"]) == (4, 4, 1)
    assert click["top1_closes"] == 0.5
    assert click["offered_share"] == pytest.approx(2 / 3)
    assert click["closes_share"] == pytest.approx(1 / 3)
    assert click["failures"] == {"hits something else while closing": 1}
    # One closes on another object than the one that was asked for, one question has no answer.
    text = measured["text"]
    assert (text["asked"], text["answered"], text["unholdable"]) == (3, 1, 1)
    assert (text["top1_closes"], text["offered_share"], text["closes_share"]) == (1.0, 0.5, 0.0)
    assert measured["all"]["top1_closes"] == pytest.approx(2 / 3)
    assert measured["all"]["closes_share"] == pytest.approx(1 / 5)


def test_nothing_asked_has_no_shares():
    measured = figures([])["all"]
    assert (measured["asked"], measured["answered"], measured["unholdable"]) == (0, 0, 0)
    for name in ("top1_closes", "offered_share", "closes_share"):
        assert measured[name] is None


@pytest.mark.parametrize("asked", [1, 2])
def test_whether_it_can_be_held_is_told_of_the_object_that_was_asked_for(asked):
    """Also where nothing was found, or something else: a small cube, a large one."""
    small, large = box((0.05, 0.05, 0.05)), box((0.2, 0.2, 0.2)).moved(x=1.0)
    things = [SimpleNamespace(id=i, is_object=True) for i in (1, 2)]
    world = SimpleNamespace(meshes={1: small, 2: large}, objects=things)
    bench = GraspBench(world, Gripper())
    nothing = GraspPlan(False, "no such thing", None, None, [], 0.0, 1, 1)
    other = replace(nothing, mask=SimpleNamespace(points=world.meshes[3 - asked].vertices))
    for plan, shown in ((nothing, None), (other, 3 - asked)):
        judged = bench.judged("text", "cube", asked, plan)
        assert (judged.shown, judged.right, judged.verdict) == (shown, False, None)
        assert judged.holdable == (asked == 1)


def test_a_grasp_of_what_is_no_object_is_one_that_fails():
    """It was offered, and a robot would have tried it."""
    things = [SimpleNamespace(id=1, is_object=True)]
    bench = GraspBench(SimpleNamespace(meshes={1: box((0.05,) * 3)}, objects=things), Gripper())
    elsewhere = SimpleNamespace(points=np.full((20, 3), 0.5))
    plan = GraspPlan(True, "", elsewhere, None, [SimpleNamespace()], 0.0, 1, 1)
    judged = bench.judged("text", "cube", 1, plan)
    assert (judged.shown, judged.right) == (None, False)
    assert judged.verdict == Verdict(False, "the answer shows no object")
    measured = figures([judged])["all"]
    assert (measured["offered_share"], measured["top1_closes"], measured["answered"]) == (1, 0, 0)


@pytest.mark.parametrize(("edge_m", "holdable"), [(0.05, True), (0.12, False)])
def test_a_dense_search_finds_a_grasp_where_there_is_one(edge_m, holdable):
    def arrays(mesh):
        return mesh.vertices.astype(np.float64), mesh.triangles

    cube = arrays(box((edge_m, edge_m, edge_m)))
    scene = ExactScene({0: arrays(box((1, 1, 0.02)).moved(z=-0.02)), 1: cube})
    grasps = dense_grasps(*cube, scene.surface(1), Gripper())
    assert any(scene.check(grasp, Gripper(), 1).closes for grasp in grasps) == holdable
